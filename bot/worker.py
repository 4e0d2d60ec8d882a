"""The worker: claims lanes, loads, classifies in one go, decides each, and flushes all in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import answering, crashpoints, leasing, metrics, patience, times
from bot.assessor import Assessor
from bot.carried import Carried, Item
from bot.ids import new_id
from bot.operator_lines import CLOSURES, Reports, dead_letter_notice, operator_notice
from bot.reading import Batch, Reader
from domain import changes, events
from domain.assessment import Assessment, Text
from domain.changes import Changes, Situation
from domain.errors import (
    AccessRevoked,
    CardOnItsWay,
    LeaseLost,
    MalformedEvent,
    NotYet,
    RetryLater,
    Unclear,
)
from domain.ports import Channel, Desk
from domain.rulebook import Rulebook
from handlers import actions, cases, facts, intake, reactions, replies
from handlers.frame import Context
from storage import flush, labels, lanes, outbox
from storage import inbox as inbox_rows
from storage.database import Database
from storage.engines import Connection, Work
from storage.inbox import Claim, Found, Inbox, Stored
from storage.record import Record

log = structlog.get_logger()

LANES_PER_BATCH = 64
ONE_NEWS = timedelta(minutes=10)
"""What happens to a channel twice in so short a time is told once."""
MAX_ATTEMPTS = 5
NOT_YET_LIMIT = timedelta(hours=1)  # a backlog of cards at one a second, or a platform that is away for a while
CARD_SOON, CARD_LATE = timedelta(milliseconds=300), timedelta(seconds=10)
CARD_WAIT = timedelta(seconds=0.5)
CONFLICT_RERUNS = 8
STORAGE_PAUSE_S = 1.0
BACKOFF_CAP_S = 60.0


class Worker:
    """Turns stored events into decisions. Any number of them may run; leases keep them apart."""

    def __init__(
        self,
        *,
        database: Database,
        inbox: Inbox,
        record: Record,
        channels: Mapping[str, Channel],
        desk: Desk,
        assessor: Assessor,
        rules: Rulebook,
        clock: times.Timekeeper,
        is_whole: Callable[..., Awaitable[bool]],  # see Reconciler.is_whole
        owner: str,
        desk_source: str = "slack",
        answers: Callable[[], Mapping[str, timedelta]] = dict,  # see Expectations.usual
        settles: timedelta = timedelta(0),  # so long something said before a line in its thread may still come
    ) -> None:
        self._db = database
        self._inbox = inbox
        self._record = record
        self._channels = channels
        self._assessor = assessor
        self._rules = rules
        self._clock = clock
        self._is_whole = is_whole
        self._claimed_at = 0.0  # monotonic
        self._newest: dict[str, float] = {}  # lane -> when the newest line was said that is stored (the desk's time)
        self._keeper = leasing.Keeper(database, "in", owner)
        self._waiting = patience.Waiting(2 * NOT_YET_LIMIT)  # inbox rows that depend on something under way
        self._known = patience.Waiting(2 * NOT_YET_LIMIT)  # those whose thread became known late
        self._owner = owner
        self._answers = answers
        self._settles = settles
        self._signal = database.signal(inbox_rows.SIGNAL)
        self._reports = Reports(rules.operator_channel, told=outbox.Outbox(database).known)
        self._claiming = inbox.claiming(owner, times.real, limit=LANES_PER_BATCH)
        self._reader = Reader(record=record, channels=channels, desk=desk, rules=rules, desk_source=desk_source)

    @property
    def owner(self) -> str:
        """Under which name it claims lanes: one of its own, so that no two workers take each other's for theirs."""
        return self._owner

    async def run(self) -> None:
        """Work until cancelled. A batch that is under way when cancelled is finished or undone as a whole."""
        keeper = asyncio.create_task(self._keeper.run(), name="worker-keeper")
        found: Found | None = None
        try:
            while True:
                found = await self._turn(found)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _turn(self, found: Found | None) -> Found | None:
        """Work on what was found, or wait for something; returns what was found since, None to look again."""
        claims: list[Claim] = []
        try:
            if found is None:
                self._signal.clear()
                found = await self._db.write(self._claiming)
            claims = await self._inbox.opened(found)
            if not claims:
                pause = 0.0 if found.full else times.idle(found.due)
                return await self._db.ride(inbox_rows.SIGNAL, self._claiming, pause)
            self._claimed_at = time.monotonic()
            crashpoints.reach("after_claim")
            with self._keeper.hold([claim.lane for claim in claims]):
                return await self.work(claims, then=self._claiming)
        except (SQLAlchemyError, OSError, LeaseLost) as error:
            log.error("worker.storage_failed", error=type(error).__name__)
            await self._give_back()
            await times.until(self._signal, STORAGE_PAUSE_S)
            return None

    async def _give_back(self) -> None:
        """After a failure: let our lanes be taken again at once, those of a claim whose commit was lost, too."""
        try:
            await self._db.write(lambda conn: lanes.leave(conn, self._owner, times.real()))
        except (SQLAlchemyError, OSError) as error:  # their lease ends
            log.warning("worker.lanes_kept", error=type(error).__name__)

    async def work(self, claims: Sequence[Claim], *, then: Work[Found] | None = None) -> Found | None:
        """Decide everything in these claims and give the lanes back.

        `then` takes what is ready after that, in the same transaction; None when that did not come to pass.
        """
        started = time.perf_counter()
        batch = Batch()
        queues = {claim.lane: await self._reader.parse(claim, batch) for claim in claims}
        items = [item for queue in queues.values() for item in queue]
        try:
            await self._reader.load(items)
            await self._decide_rounds(queues, batch)
            crashpoints.reach("before_commit")
            found = await self._flush(claims, batch, then=then)
        except LeaseLost:
            log.warning("worker.lease_lost", lanes=len(claims))
            return None
        except Exception as error:  # noqa: BLE001  # one row that cannot be looked up must not stop the others
            log.info("worker.batch_rerun", error=type(error).__name__, decisions=len(batch.decisions))
            found = None
            await self._one_by_one(claims)
        crashpoints.reach("after_commit")
        metrics.decision_seconds.observe(time.perf_counter() - started)
        return found

    # ---- deciding -------------------------------------------------------------------------------------------

    async def _decide_rounds(self, queues: Mapping[str, list[Item]], batch: Batch) -> None:
        """Decide the first row of every lane, then the second, ...: each sees what the ones before it changed."""
        carried = Carried()
        self._newest = patience.newest_said(queues)
        # A lane whose third row cannot be read yet still goes as far as its second.
        cut_short, batch.later = batch.later, {}
        for depth in range(max((len(queue) for queue in queues.values()), default=0)):
            ready = [q[depth] for lane, q in queues.items() if depth < len(q) and lane not in batch.later]
            for item in ready:
                item.situation = carried.into(item)
            assessed = await self._assess(ready)
            for item in ready:
                item.situation = replace(item.situation, team=carried.team(item.situation.team))
                decided = await self._decide(item, assessed.get(item.wanted.key), batch)
                if decided is not None:
                    carried.busy(decided.agent)
                    carried.settle(decided.settle)
                    carried.keep(item, changes.apply(item.situation, decided))
        batch.later = cut_short | batch.later

    async def _assess(self, items: Sequence[Item]) -> dict[str, Assessment]:
        context = self._context()
        texts = []
        for item in items:
            text = intake.text_to_assess(item.situation, item.event, context)
            if text is not None and isinstance(item.event, events.CustomerMessage):
                texts.append(Text(key=item.wanted.key, text=text, language_hint=item.event.customer.language))
        if not texts:
            return {}
        started = time.perf_counter()
        found = await self._assessor.assess(texts)
        metrics.classify_seconds.observe((time.perf_counter() - started) / len(texts))
        return {text.key: assessment for text, assessment in zip(texts, found, strict=True)}

    async def _decide(self, item: Item, assessment: Assessment | None, batch: Batch) -> Changes | None:
        row = item.row
        if item.waits_for is not None:
            batch.later[row.lane] = times.real() + item.waits_for.after
            return None
        try:
            decided = await self._dispatch(item, assessment)
        except NotYet as error:
            if self._waiting.begin(row.id) < NOT_YET_LIMIT:
                batch.later[row.lane] = times.real() + error.after
                return None
            self._waiting.end(row.id)
            batch.failed.append((row, f"gave up waiting: {error}", True))
            return None
        except (RetryLater, Unclear, AccessRevoked) as error:
            batch.later[row.lane] = times.real() + timedelta(seconds=_backoff(row.attempts + 1))
            log.warning("worker.platform_unavailable", code=error.code, attempts=row.attempts)
            return None
        except Exception as error:  # a poisoned entry must not stop its lane or the process
            dead = row.attempts + 1 >= MAX_ATTEMPTS
            log.exception("worker.decision_failed", kind=row.kind, error=type(error).__name__, dead=dead)
            batch.failed.append((row, f"decision failed: {type(error).__name__}", dead))
            if not dead:
                batch.later[row.lane] = times.real() + timedelta(seconds=_backoff(row.attempts + 1))
            return None
        actor = getattr(item.event, "agent_id", None)
        batch.decisions.append(
            flush.Decision(id=new_id(), changes=decided, actor=f"agent:{actor}" if actor else "machine")
        )
        batch.decisions += [
            flush.Decision(id=new_id(), changes=more, actor=batch.decisions[-1].actor) for more in decided.also
        ]
        batch.done += [one.id for one in item.rows]
        self._waiting.end(row.id)
        self._known.end(row.id)
        if decided.reason == "reply":
            answering.show(self._channels, item.situation.identity, decided)
        metrics.decisions.labels(reason=decided.reason).inc()
        return decided

    async def _dispatch(self, item: Item, assessment: Assessment | None) -> Changes:
        context, situation, event = self._context(), item.situation, item.event
        match event:
            case events.AgentMessage() | events.AgentEdit():
                await self._wait_for_earlier(item.row, event, situation)
                patience.for_parts(item.row, event, situation)
                return replies.decide(event, situation, context)
            case events.AgentReaction():
                await self._wait_for_post(item.row, event, situation)
                return reactions.decide(event, situation, context)
            case events.AgentAction() if event.action in (cases.APPROVE, cases.REFUSE, cases.TAKE):
                return cases.decide(event, situation, context)
            case events.AgentAction():
                await self._wait_for_post(item.row, event, situation)
                patience.for_line(event, situation, self._waited(item.row), self._rules.undo)
                return actions.decide(event, patience.pressed(item.row, event, situation), context)
            case events.DeskCommand():
                return actions.command(event, situation, context)
            case events.FactEntered():
                return facts.by_hand(event, situation, context)
            case events.DeskNotice():
                return await self._notice(event)
            case events.ClockDue():
                msg = "clocks are not inbox events"
                raise MalformedEvent(msg)
            case _:
                return intake.decide(event, situation, assessment, context)

    async def _wait_for_earlier(
        self, row: Stored, event: events.AgentMessage | events.AgentEdit, situation: Situation
    ) -> None:
        """Raise NotYet while the thread, or something said in it before, may still be on its way to us."""
        early = times.ahead(row.received_at + self._settles, self._settles)  # its lane was ready for something else
        if early > timedelta(0) and self._waited(row) < self._settles:
            raise NotYet("something said before it may still be on its way", early)
        conversation = situation.conversation
        if conversation is None:
            if await self._record.is_posting_cards(event.channel):
                msg = "its thread may be one that is being posted right now"
                raise NotYet(msg, patience.less_often(self._waited(row), CARD_SOON, CARD_LATE))
            is_known = await self._record.is_thread(event.channel, event.thread_ts)
            if is_known and self._known.begin(row.id) < patience.KNOWN_PATIENCE:  # however long it has waited for that
                raise NotYet("its thread became known between two looks", CARD_SOON)
            return
        place = (event.channel, event.thread_ts)
        said_at = patience.said_at(event)
        is_patient = self._waited(row) < patience.ORDER_PATIENCE
        newest = max(said_at, self._newest.get(row.lane, said_at))
        if is_patient and not await self._inbox.is_first_said(row.source, place, row.lane, said_at):
            msg = "something was said before it while its thread was not known yet"
            raise NotYet(msg, patience.JOINING)
        when = {"said_at": said_at, "newest": newest, "by": self._claimed_at}
        if not await self._is_whole(*place, conversation.id, **when):
            raise NotYet("something said before it may have come in just now", timedelta(0))

    async def _wait_for_post(
        self, row: Stored, event: events.AgentReaction | events.AgentAction, situation: Situation
    ) -> None:
        """Raise NotYet while the post of ours that an emoji stands on may be one whose id we have not heard yet."""
        if situation.conversation is not None or not event.on_ours:
            return
        waited = self._waited(row)
        places, until = (event.channel, event.agent_id), row.received_at + patience.CLOCKS_DIFFER
        if waited < patience.ORDER_PATIENCE and await self._record.is_posting(places, until):
            msg = "it may stand on a post that is leaving just now"
            raise NotYet(msg, patience.less_often(waited, patience.JOINING, patience.LINE_LATE))
        if self._known.begin(row.id) < patience.JOINING:  # however long it has waited for that
            raise NotYet("its post became known between two looks", patience.JOINING)

    def _waited(self, row: Stored) -> timedelta:
        """How long this row has depended on something under way."""
        return self._waiting.waited(row.id)

    def _context(self) -> Context:
        clock, answers = self._clock, self._answers()
        return Context(rules=self._rules, now=clock.now(), new_id=new_id, answers=answers, speed=clock.speed)

    async def _notice(self, event: events.DeskNotice) -> Changes:
        log.error("desk.notice", kind=event.kind, channel=event.channel)
        place = self._rules.operator_channel
        if place is None or place == event.channel:
            return Changes(reason="desk_notice")
        if event.kind in CLOSURES.values() and event.channel is not None:
            told = await self._reports.closed(event.kind, event.channel)
            return Changes(reason="desk_notice", outbox=tuple(told))
        text = {"text": "desk_changed", "kind": event.kind, "channel": event.channel, "place": place}
        moment = int(event.at.timestamp() // ONE_NEWS.total_seconds())  # Slack tells some of it by two events
        item = operator_notice(place, f"{event.kind}:{event.channel}:{moment}", text)
        return Changes(reason="desk_notice", outbox=(item,))

    # ---- writing --------------------------------------------------------------------------------------------

    async def _flush(
        self, claims: Sequence[Claim], batch: Batch, *, give_back: bool = True, then: Work[Found] | None = None
    ) -> Found | None:
        """Write a batch under the fences of its lanes, and give the lanes back unless more of them is to be done.

        `then` is run in the same transaction when all that is done.
        """
        now = times.real()
        prepared = await self._record.prepare(batch.decisions, now)
        fences = {claim.lane: claim.fence for claim in claims}
        dead = [row for row, _, is_dead in batch.failed if is_dead]
        if dead and self._rules.operator_channel:
            prepared.outbox.append(dead_letter_notice(self._rules.operator_channel, now))

        async def work(conn: Connection) -> Found | None:
            await lanes.check(conn, "in", self._owner, fences)
            await flush.write(conn, prepared, self._record.audit_key)
            await inbox_rows.finish(conn, batch.done, now)
            for row, reason, is_dead in batch.failed:
                await inbox_rows.fail(conn, row.id, row.attempts + 1, reason, dead=is_dead)
            if give_back:
                await lanes.release(conn, "in", self._owner, sorted(fences), now, at=batch.later)
            return await then(conn) if then is not None else None

        wake = [] if then is not None else [inbox_rows.SIGNAL]
        if prepared.outbox or prepared.settle:
            wake.append(outbox.SIGNAL)
        if prepared.clocks:
            wake.append(flush.CLOCKS_SIGNAL)
        if prepared.labels is not None:
            wake.append(labels.SIGNAL)
        self._signal.clear()
        found = await self._db.write(work, wake=tuple(wake))
        for label in (one for decision in batch.decisions for one in decision.changes.labels):
            metrics.labels.labels(kind=label.kind.value, source=label.source.value).inc()
        metrics.dead_letters.inc(len(dead))
        return found

    async def _one_by_one(self, claims: Sequence[Claim]) -> None:
        """Run each decision in a transaction of its own; one that still fails is counted against its row alone."""
        for claim in claims:
            together = await self._together(claim)
            for place, rows in enumerate(together):
                last = place == len(together) - 1
                if not await self._alone(claim, rows, last=last):
                    break

    async def _together(self, claim: Claim) -> list[tuple[Stored, ...]]:
        """The rows of a claim, those of one album together."""
        album = {item.rows[0].id: item.rows for item in await self._reader.parse(claim, Batch())}
        inside = {row.id for rows in album.values() for row in rows[1:]}
        return [album.get(row.id, (row,)) for row in claim.rows if row.id not in inside]

    async def _alone(self, claim: Claim, rows: tuple[Stored, ...], *, last: bool) -> bool:
        """Decide one row, or one album; returns whether the lane may go on. The lane is kept until its last row."""
        row, single = rows[0], replace(claim, rows=rows)
        for rerun in range(CONFLICT_RERUNS):
            batch = Batch()
            queue = await self._reader.parse(single, batch)
            try:
                await self._reader.load(queue)
                await self._decide_rounds({claim.lane: queue}, batch)
                stop = last or bool(batch.later)
                await self._flush([single], batch, give_back=stop)
            except LeaseLost:
                return False
            except CardOnItsWay:  # for as long as a dispatcher that was killed may hold it; nobody's failure
                await self._flush([single], Batch(later={claim.lane: times.real() + CARD_WAIT}))
                return False
            except Exception as error:  # noqa: BLE001  # counted against this row, whatever it was
                log.info("worker.decision_rerun", error=type(error).__name__, rerun=rerun)
                await asyncio.sleep(0.01 * 2.0**rerun)
                continue
            return not stop
        dead = row.attempts + 1 >= MAX_ATTEMPTS
        batch = Batch(failed=[(row, "could not be written", dead)])
        if not dead:
            batch.later[claim.lane] = times.real() + timedelta(seconds=_backoff(row.attempts + 1))
        await self._flush([single], batch)
        return False


def _backoff(attempts: int) -> float:
    return float(min(BACKOFF_CAP_S, 2.0 ** min(attempts, 10)))

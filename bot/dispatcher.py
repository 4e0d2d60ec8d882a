"""The dispatcher: the only one who sends. Renders from the newest state, calls, writes the receipt or the reason."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot import crashpoints, leasing, metrics, times, verdicts
from bot.homes import Homes
from bot.hooks import Hook
from bot.ids import new_id
from bot.operator_lines import Reports
from bot.rendering import Renderer, Shown
from bot.settler import Settler
from bot.unsent import NothingToSend, NotReady
from domain.changes import ANSWER_KINDS, DeliveryKind
from domain.errors import (
    AccessRevoked,
    Conflict,
    KeyDestroyed,
    LeaseLost,
    Moved,
    NeverPossible,
    RelaydeskError,
    RetryLater,
    StoppedUnsent,
    ThreadGone,
    Unclear,
)
from domain.ports import Channel, ChatDelivery, Desk, DeskDelivery, HookDelivery, Receipt
from domain.rulebook import Rulebook
from handlers import receipts
from handlers.frame import Context
from storage import flush, lanes, outbox, outgoing, threads
from storage.database import Database
from storage.engines import Connection
from storage.outbox import Claim, Found, Outbox, Outcome, Waiting
from storage.record import Record
from storage.wishes import Wanted

log = structlog.get_logger()

LANES_AT_ONCE = 32
PARKED_RETRY_S = 15.0
STORAGE_PAUSE_S = 1.0
GIVE_BACK_S = 1.0
NOT_THERE = "was_not_sent"  # a platform was asked after what may have arrived


class Dispatcher:
    """Sends what the outbox names, lane by lane; lanes run side by side, inside a lane order never changes."""

    def __init__(
        self,
        *,
        database: Database,
        box: Outbox,
        store: Record,
        channels: Mapping[str, Channel],
        desk: Desk,
        renderer: Renderer,
        rules: Rulebook,
        clock: times.Timekeeper,
        owner: str,
        pace: Mapping[str, float] | None = None,
        hook: Hook | None = None,
        homes: Homes | None = None,
    ) -> None:
        self._db = database
        self._outbox = box
        self._record = store
        self._channels = channels
        self._desk = desk
        self._renderer = renderer
        self._rules = rules
        self._clock = clock
        self._owner = owner
        self._pace = dict(pace or {})
        self._hook = hook
        self._homes = homes
        self._reports = Reports(rules.operator_channel, told=box.known, on_call=hook is not None)
        self._settler = Settler(database, owner, self._pace)
        self._keeper = leasing.Keeper(database, "out", owner)
        self._running: set[asyncio.Task[None]] = set()
        self._claiming = asyncio.Lock()
        self._signal = database.signal(outbox.SIGNAL)

    async def run(self) -> None:
        """Send until cancelled. What was being called then is left `sending`, to be looked at by whoever comes next."""
        helpers = [
            asyncio.create_task(self._revive(), name="dispatcher-reviver"),
            asyncio.create_task(self._keeper.run(), name="dispatcher-keeper"),
        ]
        found: Found | None = None
        try:
            while True:
                try:
                    found = await self._turn(found)
                except (SQLAlchemyError, OSError, LeaseLost) as error:
                    log.error("dispatcher.storage_failed", error=type(error).__name__)
                    found = None
                    await times.until(self._signal, STORAGE_PAUSE_S)
        finally:
            for task in (*helpers, *self._running):
                task.cancel()
            await asyncio.gather(*helpers, *self._running, return_exceptions=True)

    async def _turn(self, found: Found | None) -> Found | None:
        """Take what is ready and begin to send it; returns what the next turn needs to know, None to look again."""
        if self._room == 0:
            self._signal.clear()
            if self._room == 0:
                await times.until(self._signal, times.IDLE_S)
            return None
        async with self._claiming:
            room = self._room
            work = self._outbox.claiming(self._owner, times.real, limit=room, pace=self._pace)
            if found is None or found.full:
                self._signal.clear()
                found = await self._db.write(work) if room else None
            else:
                found = await self._db.ride(outbox.SIGNAL, work, times.idle(found.due)) if room else None
            for claim in found.claims if found is not None else ():
                self._start(claim)
        return found

    @property
    def _room(self) -> int:
        """How many lanes may be begun now."""
        return max(0, LANES_AT_ONCE - len(self._running)) if self._settler.take_next else 0

    async def drain(self) -> None:
        """Begin nothing more, and wait until nothing is being sent (for a graceful stop)."""
        self._settler.take_next = False
        self._db.wake(outbox.SIGNAL)
        async with self._claiming:  # what was just marked `sending` is sent, or nobody would know that it was not
            pass
        while self._running:
            await asyncio.wait(self._running)

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._run_lane(claim), name=f"send-{claim.row.kind.value}")
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if len(self._running) == LANES_AT_ONCE - 1:
            self._db.wake(outbox.SIGNAL)
        if not task.cancelled() and task.exception() is not None:
            log.error("dispatcher.lane_failed", error=type(task.exception()).__name__)

    async def _run_lane(self, claim: Claim) -> None:
        """Send a lane's head, then the next, until it is empty or must wait."""
        current: Claim | None = claim
        with self._keeper.hold((claim.lane,)):
            while current is not None:
                crashpoints.reach("after_sending")
                outcome = await self._send(current)
                if current.company and outcome.state in ("dead", "cancelled"):
                    outcome = verdicts.apart(current)
                current = await self._settle(outcome)
                if current is None and (self._pace or outcome.not_before is not None or outcome.limit is not None):
                    self._db.wake(outbox.SIGNAL)  # the lane is ready again sooner than the next look

    # ---- sending --------------------------------------------------------------------------------------------

    async def _send(self, claim: Claim) -> Outcome:
        row = claim.row
        started = time.perf_counter()
        called = False
        try:
            delivery = await self._rendered(claim)
            if not row.unclear and not self._keeper.is_sure(claim.lane):  # another process may be at it: ask first
                return verdicts.again(claim, "too_late", verdicts.STORAGE_RETRY, free=True)
            called = True
            receipt = await self._call(claim, delivery)
            crashpoints.reach("after_call")
            if self._homes is not None:
                self._homes.sent(row.kind, row.data)
        except NothingToSend as nothing:
            return Outcome(claim=claim, state="cancelled", reason=nothing.reason)
        except NotReady:
            return verdicts.wait_for_card(claim)
        except RetryLater as error:
            return verdicts.retry(claim, error)
        except Moved as error:
            return await self._moved(claim, error)
        except ThreadGone as error:
            return await self._begin_anew(claim, error)
        except AccessRevoked as error:
            log.error("dispatcher.access_revoked", code=error.code, kind=row.kind.value)
            return verdicts.park(claim, error)
        except NeverPossible as error:
            return verdicts.refused(claim, error, new_id)
        except Unclear as error:
            return verdicts.unclear(claim, error)
        except RelaydeskError as error:
            log.error("dispatcher.not_rendered", kind=row.kind.value, error=type(error).__name__, delivery=row.id)
            return Outcome(claim=claim, state="dead", reason=f"cannot be rendered: {type(error).__name__}")
        except Exception as error:  # a poisoned row must not stop its lane, and a full disk must not lose one
            log.exception("dispatcher.send_failed", kind=row.kind.value, error=type(error).__name__)
            return verdicts.broken(claim, error, called=called)
        finally:
            metrics.send_seconds.labels(kind=row.kind.value).observe(time.perf_counter() - started)
        if receipt is None:  # unclear before, and certainly not there: send it now
            return verdicts.again(claim, NOT_THERE, timedelta(0), free=True)
        return Outcome(
            claim=claim,
            state="sent",
            platform_id=receipt.platform_id,
            place=receipt.place,
            at=receipt.at,
            signed=self._renderer.signed(row),
        )

    async def _rendered(self, claim: Claim) -> DeskDelivery | ChatDelivery | HookDelivery:
        """What is to be sent, with its files: fetching those may take a while, in which nothing of it leaves."""
        try:
            return await self._renderer.render(claim.row, claim.company)
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise

    async def _give_back(self, claim: Claim) -> None:
        """We stop before anything of it can have arrived: whoever comes next sends it, and asks nobody about it."""
        if claim.row.unclear:
            return
        self._settler.take_next = False
        with contextlib.suppress(TimeoutError, LeaseLost, SQLAlchemyError, OSError):  # then it is asked about
            async with asyncio.timeout(GIVE_BACK_S):
                await self._settler.settle(verdicts.again(claim, "stopped", timedelta(0), free=True), None)

    async def _call(self, claim: Claim, delivery: DeskDelivery | ChatDelivery | HookDelivery) -> Receipt | None:
        row = claim.row
        if isinstance(delivery, HookDelivery):  # it says which call it is, so that the service can tell it came twice
            if self._hook is None:
                raise NeverPossible("no_hook", "alerts.webhook is not set")
            return await self._hook.send(delivery)
        if isinstance(delivery, ChatDelivery):
            if row.unclear and row.kind is not DeliveryKind.CHAT_REACTION:
                raise Unclear("broken_off", "the process stopped while it was being sent")
            return await self._to_a_chat(claim, delivery)
        if row.unclear and row.kind not in verdicts.COSMETIC:
            verdicts.let_it_arrive(row)
            if row.kind is DeliveryKind.DESK_CARD and row.bucket != f"slack:{delivery.place}":
                await self._left_behind(row, delivery)
                return None
            return await self._desk.find(delivery, row.sending_at or row.created_at)
        return await self._desk.deliver(delivery)

    async def _to_a_chat(self, claim: Claim, delivery: ChatDelivery) -> Receipt:
        try:
            return await self._channels[str(self._renderer.channel_of(claim.row))].send(delivery)
        except StoppedUnsent:
            await self._give_back(claim)
            raise

    async def _left_behind(self, row: Waiting, delivery: DeskDelivery) -> None:
        """The conversation got another channel while nobody knew whether its card had been posted in this one.

        A card that stands there leads to the conversation, which gets one where it is now.
        """
        there = replace(delivery, place=row.bucket.partition(":")[2])
        found = await self._desk.find(there, row.sending_at or row.created_at)
        thread = None if found is None else found.platform_id
        await self._db.write(lambda conn: threads.left_behind(conn, row, delivery.place, thread))

    async def _moved(self, claim: Claim, error: Moved) -> Outcome:
        """Remember the chat's new address, then send there."""
        try:
            await self._renderer.rekey(claim.row, error.new_address)
        except IntegrityError:  # that address is somebody we know already: which of the two is meant is not ours to say
            return Outcome(claim=claim, state="dead", reason=error.code)
        except Exception as failure:  # noqa: BLE001  # the row must be settled, whatever it was
            return verdicts.broken(claim, failure, called=False)
        return verdicts.retry(claim, RetryLater(error.code))

    async def _begin_anew(self, claim: Claim, error: ThreadGone) -> Outcome:
        """Have the card posted again, once, whoever finds its thread gone first; what waits goes under it."""
        row = claim.row
        try:
            began = await self._db.write(
                lambda conn: threads.begin_anew(
                    conn, str(row.conversation_id), error.thread, row.id, new_id, times.real()
                ),
                wake=(outbox.SIGNAL,),
            )
        except Exception as failure:  # noqa: BLE001  # the row must be settled, whatever it was
            return verdicts.broken(claim, failure, called=False)
        log.warning("dispatcher.thread_gone", delivery=row.id, began=began)
        if row.kind is DeliveryKind.DESK_UPDATE:
            return Outcome(claim=claim, state="cancelled", reason=error.code)
        return verdicts.again(claim, error.code, verdicts.CARD_NOT_YET, free=True)

    # ---- receipts -------------------------------------------------------------------------------------------

    async def _settle(self, outcome: Outcome) -> Claim | None:
        """Write what became of a row, with what follows from it, and take the next of its lane."""
        row = outcome.claim.row
        for one in outcome.claim.rows:
            metrics.deliveries.labels(kind=one.kind.value, outcome=outcome.state).inc()
        if outcome.state == "dead":
            log.warning("dispatcher.gave_up", kind=row.kind.value, reason=outcome.reason, delivery=row.id)
        shown = self._renderer.shown(row)
        if shown is not None and row.unclear and row.kind is DeliveryKind.DESK_CARD:
            shown = replace(shown, version=-1)  # what was found shows the state of when it was posted, not of now
        for rerun in itertools.count():
            try:
                return await self._write(outcome, shown)
            except LeaseLost:
                log.warning("dispatcher.lease_lost", delivery=row.id)
                return None
            except Conflict:  # the conversation is busy; what follows from a receipt is never left out
                wait = min(1.0, 0.005 * 2.0 ** min(rerun, 8))
            except (SQLAlchemyError, OSError) as error:  # what the platform said must not be forgotten
                log.error("dispatcher.receipt_not_written", delivery=row.id, error=type(error).__name__)
                wait = min(5.0, 0.1 * 2.0 ** min(rerun, 8))
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
        return None

    async def _write(self, outcome: Outcome, shown: Shown | None) -> Claim | None:
        prepared = await self._prepared(outcome)
        if prepared is None:
            return await self._settler.settle(outcome, shown)

        async def work(conn: Connection) -> list[Claim]:
            await flush.write(conn, prepared, self._record.audit_key)
            return await outbox.settle(
                conn, self._owner, [outcome], times.real(), take_next=self._settler.take_next, pace=self._pace
            )

        following = await self._db.write(work, wake=(outbox.SIGNAL, flush.CLOCKS_SIGNAL))
        return following[0] if following else None

    async def _prepared(self, outcome: Outcome) -> flush.Prepared | None:
        try:
            prepared = await self._follow_up(outcome)
        except (Conflict, SQLAlchemyError, OSError):
            raise
        except KeyDestroyed:  # erased meanwhile: there is nobody left to write about
            prepared = None
        except Exception as error:  # the receipt itself must be written all the same
            log.exception("dispatcher.no_follow_up", delivery=outcome.claim.row.id, error=type(error).__name__)
            prepared = None
        if told := await self._reports.of(outcome):
            prepared = prepared or flush.Prepared(now=times.real())
            prepared.outbox.extend(told)
        return prepared

    async def _follow_up(self, outcome: Outcome) -> flush.Prepared | None:
        """The decision that a settled chat delivery calls for; None where nothing follows."""
        row = outcome.claim.row
        if not row.kind.to_customer or outcome.state not in ("sent", "dead", "unclear"):
            return None
        if row.entry_id is None or row.conversation_id is None:
            return None
        key = row.id
        wanted = Wanted(key=key, conversation_id=row.conversation_id, automatic=row.kind in ANSWER_KINDS)
        found = await self._record.load([wanted])
        entry = (await self._record.entries([row.entry_id])).get(row.entry_id)
        if entry is None:
            return None
        context = Context(rules=self._rules, now=self._clock.now(), new_id=new_id)
        decided = receipts.decide(
            receipts.Outcome(
                outbox_id=row.id,
                kind=row.kind,
                entry=entry,
                state=outcome.state,
                reason=outcome.reason,
                platform_id=outcome.platform_id,
                at=outcome.at or self._clock.now(),
                others=await self._outbox.other_parts(row) if int(row.data.get("parts", 1)) > 1 else (),
                more_waits=await self._outbox.more_answers_wait(row),
                files=tuple(int(place) for place in row.data.get("files") or ()),
                worded=bool(row.data.get("caption")),
            ),
            found[key],
            context,
        )
        return await self._record.prepare([flush.Decision(id=new_id(), changes=decided)], times.real())

    # ---- parked lanes ---------------------------------------------------------------------------------------

    async def _revive(self) -> None:
        """Try one lane of each revoked access now and then; when it works again, all of them go on, in order."""
        while True:  # at the start, too: a process is started anew because of a new token
            try:
                async with self._db.read() as conn:
                    reasons = await lanes.parked_reasons(conn, "out")
                for reason in (r for r in reasons if r.startswith("access:")):
                    await self._try_parked(reason)
            except (SQLAlchemyError, OSError) as error:
                log.error("dispatcher.revive_failed", error=type(error).__name__)
            await asyncio.sleep(PARKED_RETRY_S)

    async def _try_parked(self, reason: str) -> None:
        claims = await self._outbox.claim(self._owner, times.real(), limit=1, parked=reason)
        for claim in claims:
            with self._keeper.hold((claim.lane,)):
                outcome = await self._send(claim)
                if claim.company and outcome.state in ("dead", "cancelled"):
                    outcome = verdicts.apart(claim)
                following = await self._settle(outcome)
            if outcome.park is None:
                await self._go_on(outcome, reason)
                log.info("dispatcher.access_restored", reason=reason)
            if following is not None:
                self._start(following)

    async def _go_on(self, outcome: Outcome, reason: str) -> None:
        """Let all go on that waited for the same, and say so where this one has shown that it works."""
        now = times.real()
        works = outcome.state == "sent" or outcome.reason == NOT_THERE
        told = await self._reports.restored(outcome.claim.row, reason.partition(":")[2]) if works else []

        async def work(conn: Connection) -> None:
            await lanes.unpark_all(conn, "out", reason, now)
            await outgoing.add(conn, told, now)

        await self._db.write(work, wake=(outbox.SIGNAL,))

"""The keeper: finishes what was begun about people's rights, whoever began it and whatever became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from bot.ids import new_id
from bot.operator_lines import operator_notice
from bot.retirement import Retirement
from domain.cases import Case, CaseKind, CaseState
from domain.changes import DeliveryKind, Outgoing
from domain.errors import LegalHold, RelaydeskError
from domain.model import Identity
from domain.rulebook import Rulebook
from handlers import cases as deciding
from handlers.frame import Context
from storage import audit, cases, digests, links, outbox, outgoing
from storage.cases import Cases
from storage.database import Database
from storage.engines import Connection
from storage.erasures import Erasures
from storage.outbox import Outbox
from storage.reviews import Reviews
from storage.segmentation import Segmentation
from storage.views import Views

log = structlog.get_logger()

LEASE: Final = "privacy"
OVERLAP: Final = 500
"""Lines looked at again: on PostgreSQL a smaller number may be committed after a larger one."""
EVERY: Final = timedelta(seconds=5)
MONTH: Final = timedelta(days=28)
"""Who looks at customers is reviewed so often."""
REMIND: Final = timedelta(days=7)
"""So long before a case is due the privacy officer hears of it every day."""
Chore = Callable[[datetime], Awaitable[object]]
"""Something else to look after in every turn; it knows itself whether it is time. Given product time."""
SETTLED: Final = frozenset({"sent", "dead", "cancelled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """What brings a case on: its next state and what is sent with it."""

    to: CaseState
    kind: DeliveryKind | None = None
    text: str | None = None
    again: str = ""
    """Tells apart what is sent beside the one text of a decision."""


class Keeper:
    """Carries erasures and cases on until they are over: one process at a time, the next goes on where it stopped."""

    def __init__(
        self,
        *,
        database: Database,
        erasures: Erasures,
        found: Cases,
        box: Outbox,
        views: Views,
        rules: Rulebook,
        clock: times.Timekeeper,
        retirement: Retirement,
        segmentation: Segmentation,
        reviews: Reviews,
        audit_key: bytes,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._db = database
        self._erasures = erasures
        self._cases = found
        self._outbox = box
        self._views = views
        self._rules = rules
        self._clock = clock
        self._retirement = retirement
        self._segmentation = segmentation
        self._reviews = reviews
        self._audit_key = audit_key
        self._chores = tuple(chores)
        self._reviewed = ""
        self._sorted = 0  # up to this line of the timelines everybody is in their segments
        self._sorted_all: date | None = None

    async def run(self) -> None:
        """Look every few seconds until cancelled; a store that is away is waited for."""
        while True:
            try:
                await self.turn()
            except (SQLAlchemyError, OSError) as error:
                log.error("keeper.storage_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def turn(self) -> None:
        """Do what can be done now; one matter that fails does not hold up the others."""
        moot = {case.id for case in await self._cases.moot()}
        for case in await self._cases.unfinished():
            try:
                await (self._end(case) if case.id in moot else self._go_on(case))
            except RelaydeskError as error:
                log.error("keeper.case_failed", case=case.id, error=type(error).__name__)
        for erasure in await self._erasures.unfinished():
            try:
                await self._erasures.go_on(erasure, times.real())
            except RelaydeskError as error:
                log.error("keeper.erasure_failed", erasure=erasure, error=type(error).__name__)
        for chore in (self._retire, self._sort, self._review, *self._chores):
            try:
                await chore(self._clock.now())
            except RelaydeskError as error:
                log.error("keeper.chore_failed", chore=chore.__qualname__, error=type(error).__name__)

    async def _review(self, now: datetime) -> None:
        """Once a month: who looked how often, for whoever answers for it."""
        place = self._rules.privacy_channel
        month = f"{now:%Y-%m}"
        if not place or self._reviewed == month:
            return
        before = await self._reviews.last()
        since = before.at if before else await self._reviews.began()
        if since is None or now - since < MONTH:
            return
        looked = await self._reviews.looked(before.at if before else None)
        counts = {"looks": sum(one.count for one in looked), "lookers": len({one.actor for one in looked})}
        data: dict[str, str | None] = {"text": "access_review", "place": place, **_as_data(counts)}
        item = operator_notice(place, f"review:{month}", data)
        await self._db.write(lambda conn: outgoing.add(conn, [item], times.real()), wake=(outbox.SIGNAL,))
        self._reviewed = month

    async def _sort(self, now: datetime) -> None:
        """Who wrote lately is sorted into segments at once; everybody once a day, since time alone moves people too."""
        rules = self._rules.segments
        everybody = self._sorted_all != now.date()
        newest = await self._segmentation.newest()
        if not everybody and newest == self._sorted:
            return
        after = None if everybody else max(0, self._sorted - OVERLAP)
        changed = await self._segmentation.refresh(rules, now, after_line=after)
        self._sorted, self._sorted_all = newest, now.date()
        if changed:
            log.info("segments.changed", customers=changed, everybody=everybody)

    async def _retire(self, now: datetime) -> None:
        """Once a day, what was kept long enough; the privacy officer reads how much it was."""
        place = self._rules.privacy_channel
        taken = await self._retirement.nightly(now)
        if not taken or not place:
            return
        counts: Counter[str] = Counter()
        for one in taken:  # several rules may be about the same
            counts[one.rule.what.value] += one.count
        data: dict[str, str | None] = {"text": "retention", "place": place, **_as_data(counts)}
        item = operator_notice(place, f"retention:{now:%Y-%m-%d}", data)
        await self._db.write(lambda conn: outgoing.add(conn, [item], times.real()), wake=(outbox.SIGNAL,))

    async def _go_on(self, case: Case) -> None:
        if case.state.is_waiting:
            await self._remind(case)
        elif case.state is CaseState.WORKING:
            await self._look(case)
        elif _wants_erasing(case) and await self._erasures.is_held(case.customer_id):
            await self._move(case, _Step(to=CaseState.FAILED))  # before the customer is told that it begins
        else:
            await self._move(case, _NEXT[case.state, case.kind])

    async def _end(self, case: Case) -> None:
        """End a case whose customer was erased: done only where what was granted had reached them before."""
        is_sent = case.state is CaseState.WORKING and "sent" in await self._outbox.states([_key(case)], apart="")
        await self._move(case, _Step(to=CaseState.DONE if is_sent else CaseState.MOOT))

    async def _move(self, case: Case, step: _Step) -> None:
        items = []
        copied: dict[str, str] = {}
        if step.kind is not None:
            identity = (await self._views.identities([case.identity_id])).get(case.identity_id)
            if identity is not None:
                items.append(self._to_customer(case, identity, step))
                copied = await self._copied(case) if step.kind is DeliveryKind.CHAT_EXPORT else {}
        context = Context(rules=self._rules, now=self._clock.now(), new_id=new_id)
        if self._rules.privacy_channel:
            items.append(deciding.post(case.id, context))

        async def work(conn: Connection) -> None:
            now = self._clock.now()
            if step.to is CaseState.REFUSED:
                moved = await cases.close_refused(conn, case.id, now)
            else:
                moved = await cases.move(conn, case.id, was=case.state, to=step.to, now=now)
            if not moved:
                return
            await outgoing.add(conn, items, times.real())
            for thing, digest in copied.items():
                await audit.record(
                    conn,
                    self._audit_key,
                    at=times.real(),
                    actor=case.decided_by or "machine",
                    action="privacy.export",
                    object=thing,
                    detail=f"case {case.id}",
                    digest=digest,
                )

        await self._db.write(work, wake=(outbox.SIGNAL,))

    async def _copied(self, case: Case) -> dict[str, str]:
        """Whose data a copy holds, as the trail calls them, with the digests of it."""

        async def read(conn: Connection) -> dict[str, str]:
            things = [f"customer:{one}" for one in await links.members(conn, case.customer_id)]
            known = await digests.of(conn, things)
            return {thing: known.get(thing, "") for thing in things}

        return await self._db.query(read)

    def _to_customer(self, case: Case, identity: Identity, step: _Step) -> Outgoing:
        return Outgoing(
            id=new_id(),
            lane=f"chat:{identity.id}",
            bucket=f"{identity.channel}:{identity.id}",
            kind=step.kind or _TEXT,
            idem_key=_key(case) + step.again,
            identity_id=identity.id,
            data={"text": step.text, "language": identity.language, "customer": case.customer_id},
        )

    async def _look(self, case: Case) -> None:
        """What became of what was sent: only then is a copy handed over, and only then is anything erased."""
        states = await self._outbox.states([_key(case)], apart="")
        if states and not SETTLED.intersection(states):
            return
        if case.kind is CaseKind.ERASE:
            try:
                await self._erasures.begin(
                    case.customer_id, actor=case.decided_by or "machine", reason=f"case {case.id}", now=times.real()
                )
            except LegalHold:  # placed since it was granted: who was told that it begins is told that it does not
                await self._move(case, _STOPPED if "sent" in states else _Step(to=CaseState.FAILED))
                return
            await self._move(case, _Step(to=CaseState.DONE))
            return
        arrived = "sent" in states
        await self._move(case, _Step(to=CaseState.DONE if arrived else CaseState.FAILED))

    async def _remind(self, case: Case) -> None:
        """Once a day from a week before: what the law wants answered must not be forgotten."""
        place, now = self._rules.privacy_channel, self._clock.now()
        if not place or case.due_at - now > REMIND:
            return
        key = f"case:{case.id}:{now:%Y-%m-%d}"
        late = "overdue" if now > case.due_at else "due"
        data: dict[str, str | None] = {
            "text": "case_due",
            "kind": late,
            "place": place,
            "case": case.id,
            "due": _date(case.due_at),
        }
        if case.owner:
            data |= {"kind": f"{late}_owned", "who": case.owner}
        item = operator_notice(place, key, data)
        await self._db.write(lambda conn: outgoing.add(conn, [item], times.real()), wake=(outbox.SIGNAL,))


def _wants_erasing(case: Case) -> bool:
    return (case.state, case.kind) == (CaseState.APPROVED, CaseKind.ERASE)


def _key(case: Case) -> str:
    """What is sent for a decision: once for each decision, however often it is looked at."""
    decided = 0 if case.decided_at is None else int(case.decided_at.timestamp())
    return f"case:{case.id}:{decided}"


def _as_data(counts: Mapping[str, int]) -> dict[str, str]:
    """Counts as they are noted; the desk says them."""
    return {what: str(count) for what, count in counts.items()}


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


_TEXT = DeliveryKind.CHAT_AUTOMATIC
_STOPPED: Final = _Step(to=CaseState.FAILED, kind=_TEXT, text="erase_stopped", again=":stopped")
_NEXT: Final = {
    (CaseState.APPROVED, CaseKind.EXPORT): _Step(
        to=CaseState.WORKING, kind=DeliveryKind.CHAT_EXPORT, text="export_here"
    ),
    (CaseState.APPROVED, CaseKind.ERASE): _Step(to=CaseState.WORKING, kind=_TEXT, text="erase_now"),
    (CaseState.APPROVED, CaseKind.CORRECT): _Step(to=CaseState.DONE, kind=_TEXT, text="case_settled"),
    (CaseState.APPROVED, CaseKind.COMPLAINT): _Step(to=CaseState.DONE, kind=_TEXT, text="case_settled"),
} | {(CaseState.REFUSED, kind): _Step(to=CaseState.REFUSED, kind=_TEXT, text="case_not_granted") for kind in CaseKind}

"""Holding the tables of current state against what the timeline alone says of them (see `domain.rebuild`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import BindParameter, Row, bindparam, func, or_, select

from domain import changes, deadlines, rebuild
from domain.changes import ClockRow
from domain.model import Entry, EntryKind
from domain.profile import Profile
from domain.rulebook import Rulebook
from domain.sla import ClockState, EventKind
from storage import profiles, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import clocks, conversations, customers, deliveries, timeline, unstamp

AT_ONCE: Final = 100
"""Customers in one snapshot."""
OVER_TIME: Final = (ClockState.RUNNING, ClockState.BREACHED, ClockState.UNDELIVERABLE)
"""What a clock that runs goes through by itself: its row says how it stood when somebody last looked."""
_ALIVE = customers.c.erased_at.is_(None)
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
_PLACES: BindParameter[Any] = bindparam("b_places", expanding=True)
_NEXT = select(customers).where(customers.c.id > bindparam("b_after"), _ALIVE).order_by(customers.c.id).limit(AT_ONCE)
_THEIRS = select(conversations).where(conversations.c.customer_id.in_(_IDS)).order_by(conversations.c.number)
_LINES = (
    select(timeline)
    .where(or_(timeline.c.conversation_id.in_(_PLACES), timeline.c.conversation_id.in_(_IDS)))
    .order_by(timeline.c.seq)
)
_CLOCKS = select(clocks).where(clocks.c.conversation_id.in_(_PLACES)).order_by(clocks.c.metric, clocks.c.instance)
_ARRIVED = select(deliveries.c.entry_id, deliveries.c.platform_id).where(
    deliveries.c.entry_id.in_(bindparam("b_entries", expanding=True)), deliveries.c.side == "chat"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One stored value that the timeline does not give. `of` is what it is about (`conversation #1042`).

    `stored` and `rebuilt` are words, numbers and times; of what may be personal only that it differs.
    """

    of: str
    field: str
    stored: str
    rebuilt: str


@dataclass(kw_only=True, slots=True)
class Report:
    """What was compared, what was left out, and what differs."""

    customers: int = 0
    conversations: int = 0
    clocks: int = 0
    answers: int = 0
    profiles: int = 0
    erased: int = 0  # their timeline is empty: nothing can be compared
    without_policy: int = 0  # conversations whose policy is configured no more: their clocks are put away
    emptied: int = 0  # profiles whose changes retention has emptied
    differences: list[Difference] = field(default_factory=list)


class _Read(NamedTuple):
    """One snapshot of some customers, still sealed."""

    people: Sequence[Row[Any]]
    talks: Sequence[Row[Any]]
    lines: Sequence[Row[Any]]
    clocks: Sequence[Row[Any]]
    arrived: frozenset[tuple[str, str]]


class Rebuild:
    """Compares; writes nothing."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def check(
        self, rules: Rulebook, now: datetime, *, advance: Callable[[float], None] = lambda _share: None
    ) -> Report:
        """Hold everything that is stored of everybody against their timeline. `now` is product time.

        Runs beside a running bot: each hundred customers are read in one snapshot. `advance` is told the share done.
        """
        report, after, seen = Report(), "", 0
        async with self._db.read() as conn:
            erased = await conn.execute(select(func.count()).select_from(customers).where(~_ALIVE))
            report.erased = int(erased.scalar_one())
            total = int((await conn.execute(select(func.count()).select_from(customers).where(_ALIVE))).scalar_one())
        while True:
            found = await self._db.query(lambda conn, after=after: _read(conn, after))  # type: ignore[misc]
            if not found.people:
                return report
            await self._compare(found, rules, now, report)
            after, seen = found.people[-1].id, seen + len(found.people)
            advance(min(1.0, seen / max(total, 1)))

    async def _compare(self, found: _Read, rules: Rulebook, now: datetime, report: Report) -> None:
        told = {row.customer_id for row in found.lines if row.kind == EntryKind.PROFILE.value}
        told |= {row.id for row in found.people if row.profile_sealed is not None}
        keys = await self._keys.data_keys(told, create=False) if told else {}
        lines: dict[str, list[Row[Any]]] = {}
        own: dict[str, list[Row[Any]]] = {}
        for row in found.lines:
            lines.setdefault(row.conversation_id, []).append(row)
            own.setdefault(row.customer_id, []).append(row)
        running: dict[str, list[ClockRow]] = {}
        for row in found.clocks:
            running.setdefault(row.conversation_id, []).append(sealing.clock_of(row))
        acknowledged: dict[str, datetime | None] = {}
        for row in found.talks:
            entries = [sealing.entry_of(None, line) for line in lines.get(row.id, ())]
            _conversation(row, entries, acknowledged, report)
            _answers(row, entries, found.arrived, report)
            _deadlines(row, entries, running.get(row.id, []), rules, now, report)
        for row in found.people:
            _person(row, own.get(row.id, ()), keys.get(row.id), report)


async def _read(conn: Connection, after: str) -> _Read:
    people = (await conn.execute(_NEXT, {"b_after": after})).all()
    ids = [row.id for row in people]
    if not ids:
        return _Read(people=(), talks=(), lines=(), clocks=(), arrived=frozenset())
    talks = (await conn.execute(_THEIRS, {"b_ids": ids})).all()
    places = [row.id for row in talks]
    lines = (await conn.execute(_LINES, {"b_ids": ids, "b_places": places})).all()
    running = (await conn.execute(_CLOCKS, {"b_places": places})).all()
    answers = [row.id for row in lines if row.kind == EntryKind.OUTGOING.value]
    arrived = await conn.execute(_ARRIVED, {"b_entries": answers})
    return _Read(
        people=people,
        talks=talks,
        lines=lines,
        clocks=running,
        arrived=frozenset((entry, platform) for entry, platform in arrived),
    )


def _conversation(
    row: Row[Any], entries: Sequence[Entry], acknowledged: dict[str, datetime | None], report: Report
) -> None:
    stored = sealing.conversation_of(row)
    report.conversations += 1
    before = acknowledged.get(stored.previous or "")
    said = rebuild.conversation(entries, acknowledged_at=before)
    acknowledged[stored.id] = said["acknowledged_at"]
    name = f"conversation #{stored.number}"
    report.differences += _differing(name, {one: getattr(stored, one) for one in said}, said)


def _answers(row: Row[Any], entries: Iterable[Entry], arrived: frozenset[tuple[str, str]], report: Report) -> None:
    """An answer that the timeline says has arrived has its receipt under the same number."""
    for entry in entries:
        if entry.kind is not EntryKind.DELIVERED or entry.platform_id is None:
            continue
        if entry.data.get("sla") != EventKind.AGENT_REPLY.value:
            continue
        report.answers += 1
        if (str(entry.data.get("of")), entry.platform_id) not in arrived:
            where = f"conversation #{row.number}, answer {entry.data.get('of')}"
            report.differences.append(Difference(of=where, field="receipt", stored="none", rebuilt="arrived"))


def _deadlines(
    row: Row[Any], entries: Sequence[Entry], rows: Sequence[ClockRow], rules: Rulebook, now: datetime, report: Report
) -> None:
    found = deadlines.standing(rules, row.policy, changes.events_of(tuple(entries)), now)
    if found is None:
        report.without_policy += 1
        return
    excused = {
        (str(one.data.get("metric")), int(one.data.get("instance", 0))): str(one.actor)[:80]
        for one in entries
        if one.kind is EntryKind.EXCUSED
    }
    stored = {(one.metric, one.instance): one for one in rows}
    rebuilt = {(one.metric, one.instance): one for one in found.clocks}
    for key in sorted(stored.keys() | rebuilt.keys()):
        name = f"conversation #{row.number}, clock {key[0].value} {key[1]}"
        kept, told = stored.get(key), rebuilt.get(key)
        report.clocks += 1
        if kept is None or told is None:
            have, want = ("none" if one is None else one.state.value for one in (kept, told))
            report.differences.append(Difference(of=name, field="clock", stored=have, rebuilt=want))
            continue
        names = ("started_at", "due_at", "stopped_at")
        said: dict[str, Any] = {one: getattr(told, one) for one in names} | {
            "state": told.state,
            "excused_by": excused.get((key[0].value, key[1])),
        }
        held: dict[str, Any] = {one: getattr(kept, one) for one in said}
        if kept.stopped_at is None and told.stopped_at is None and {kept.state, told.state} <= set(OVER_TIME):
            held["state"] = said["state"]
        report.differences += _differing(name, held, said)


def _person(row: Row[Any], lines: Sequence[Row[Any]], key: bytes | None, report: Report) -> None:
    report.customers += 1
    entries = [sealing.entry_of(None, line) for line in lines]
    stored = sealing.customer_of(None, row)
    name = f"customer {row.id}"
    held: dict[str, Any] = {f"consent to {word}": said for word, said in sorted(stored.consents.items())}
    told: dict[str, Any] = {f"consent to {word}": said for word, said in sorted(rebuild.consents(entries).items())}
    nothing = dict.fromkeys(held.keys() | told.keys())
    held, told = {**nothing, **held, "notice": stored.notice}, {**nothing, **told, "notice": rebuild.notice(entries)}
    report.differences += _differing(name, held, told)
    changed = [line for line in lines if line.kind == EntryKind.PROFILE.value]
    if not changed and row.profile_sealed is None:
        return
    if any(line.body_sealed is None for line in changed):
        report.emptied += 1
        return
    report.profiles += 1
    kept = profiles.opened(key, row)
    rebuilt = rebuild.profile(_said(key, line) for line in changed)
    report.differences += _fields(name, kept, rebuilt)


def _said(key: bytes | None, line: Row[Any]) -> Mapping[str, Any]:
    body = json.loads(sealing.open_text(key, "timeline", "body", line.id, line.body_sealed))
    return {name: tuple(profiles.value_of(one) for one in told) for name, told in body.get("fields", {}).items()}


def _fields(name: str, kept: Profile, rebuilt: Profile) -> list[Difference]:
    """Profile fields that differ, by their names: what they hold is personal."""
    return [
        Difference(of=name, field=f"profile field {one}", stored=_count(kept, one), rebuilt=_count(rebuilt, one))
        for one in sorted(kept.values.keys() | rebuilt.values.keys())
        if kept.values.get(one, ()) != rebuilt.values.get(one, ())
    ]


def _count(found: Profile, name: str) -> str:
    return f"{len(found.values.get(name, ()))} values"


def _differing(of: str, stored: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(of=of, field=name, stored=_plain(stored[name]), rebuilt=_plain(rebuilt[name]))
        for name in rebuilt
        if _same(stored[name]) != _same(rebuilt[name])
    ]


def _same(value: Any) -> Any:  # noqa: ANN401 -- whatever a column holds
    """Times as their columns keep them: a number of seconds loses what is below a microsecond."""
    return unstamp(round(value.timestamp(), 5)) if isinstance(value, datetime) else value


def _plain(value: Any) -> str:  # noqa: ANN401 -- whatever a column holds
    if value is None:
        return "none"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value.value if isinstance(value, Enum) else value)

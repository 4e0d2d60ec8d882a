"""Cases as rows: one open case of a kind, one decision, one end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.cases import Case, CaseKind, CaseState, Ruling
from domain.changes import Changes
from storage import cases, tables
from storage.cases import Cases
from storage.engines import Connection
from tests.contracts.storage_kit import NOW, Process, new_id


def case(kind: CaseKind = CaseKind.EXPORT, customer: str = "C1") -> Case:
    """A request that was just made."""
    return Case(
        id=new_id(),
        customer_id=customer,
        identity_id="I1",
        kind=kind,
        opened_at=NOW,
        due_at=NOW + timedelta(days=30),
    )


def opening(*found: Case) -> Changes:
    """The decision that opens them."""
    return Changes(reason="asked", cases=found)


def ruling(of: Case, *, granted: bool | None, by: str = "agent:U1") -> Changes:
    """A decision on a case."""
    return Changes(reason="ruled", rulings=(Ruling(case_id=of.id, granted=granted, by=by, at=NOW),))


async def states(process: Process) -> dict[str, CaseState]:
    """How they stand."""
    return {one.id: one.state for one in await Cases(process.db).all()}


async def test_there_is_one_open_case_of_a_kind(one: Process) -> None:
    """A second tap opens none; another kind, another customer, and a later request do."""
    first, again, other, theirs = case(), case(), case(CaseKind.ERASE), case(customer="C2")
    await one.decide(opening(first))
    await one.decide(opening(again, other), opening(theirs))
    assert set(await states(one)) == {first.id, other.id, theirs.id}
    await one.decide(ruling(first, granted=True))

    async def finish(conn: Connection) -> None:
        assert await cases.move(conn, first.id, was=CaseState.APPROVED, to=CaseState.DONE, now=NOW)

    await one.db.write(finish)
    later = case()
    await one.decide(opening(later))
    assert later.id in await states(one)
    assert [found.id for found in await Cases(one.db).unfinished()] == [other.id, theirs.id, later.id]


async def test_only_the_first_decision_counts(one: Process) -> None:
    """Two officers press at once: the second changes nothing, and the first stands under it."""
    of = case()
    await one.decide(opening(of))
    await one.decide(ruling(of, granted=True, by="agent:U1"), ruling(of, granted=False, by="agent:U2"))
    (found,) = await Cases(one.db).all()
    assert (found.state, found.decided_by, found.decided_at) == (CaseState.APPROVED, "agent:U1", NOW)


async def test_somebody_sees_to_a_case(one: Process) -> None:
    """Whoever took it on last owns it, also when another decides; without anybody it is whoever decided."""
    taken, left = case(), case(CaseKind.ERASE)
    await one.decide(opening(taken, left))
    for by in ("agent:U1", "agent:U2"):
        await one.decide(ruling(taken, granted=None, by=by))
    found = {each.id: each for each in await Cases(one.db).all()}
    assert (found[taken.id].owner, found[taken.id].state) == ("agent:U2", CaseState.OPEN)
    await one.decide(ruling(taken, granted=True, by="agent:U1"), ruling(left, granted=False, by="agent:U3"))
    found = {each.id: each for each in await Cases(one.db).all()}
    assert [(found[each.id].owner, found[each.id].decided_by) for each in (taken, left)] == [
        ("agent:U2", "agent:U1"),
        ("agent:U3", "agent:U3"),
    ]
    await one.decide(ruling(taken, granted=None, by="agent:U4"))
    assert {each.owner for each in await Cases(one.db).all()} == {"agent:U2", "agent:U3"}, "it was decided"


async def test_the_trail_tells_of_what_came_of_a_press(one: Process) -> None:
    """Taken on twice by one person, decided by two, taken on when it was decided: what changed nothing is no line."""
    of = case()
    await one.decide(opening(of))
    for granted, by in ((None, "U1"), (None, "U1"), (None, "U2"), (True, "U1"), (False, "U2"), (None, "U3")):
        pressed = ruling(of, granted=granted, by=f"agent:{by}")
        act = (pressed.rulings[0].word, f"case:{of.id}", "export")
        await one.decide(replace(pressed, audit=(act,)), actor=f"agent:{by}")
    told = [(row["actor"], row["action"]) for row in await one.rows(tables.audit)]
    assert told == [("agent:U1", "privacy.take"), ("agent:U2", "privacy.take"), ("agent:U1", "privacy.approve")]


async def test_a_case_moves_from_where_it_is(one: Process) -> None:
    """Whoever looked at an older state moves nothing."""
    of = case()
    await one.decide(opening(of))

    async def move(conn: Connection) -> bool:
        return await cases.move(conn, of.id, was=CaseState.WORKING, to=CaseState.DONE, now=NOW)

    assert not await one.db.write(move)
    assert await states(one) == {of.id: CaseState.OPEN}


async def test_a_refusal_ends_once(one: Process) -> None:
    """The customer is told of it once; afterwards they may ask again."""
    of = case()
    await one.decide(opening(of))
    await one.decide(ruling(of, granted=False))
    assert await one.db.write(lambda conn: cases.close_refused(conn, of.id, NOW))
    assert not await one.db.write(lambda conn: cases.close_refused(conn, of.id, NOW))
    await one.decide(opening(case()))
    assert sorted((await states(one)).values()) == [CaseState.OPEN, CaseState.REFUSED]

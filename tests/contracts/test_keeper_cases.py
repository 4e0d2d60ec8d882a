"""Requests about data as the keeper carries them on: what a hold forbids, what is moot, and who is reminded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import update

from bot import times
from bot.desk import cases as desk
from bot.keeper import Chore, Keeper
from bot.retirement import Retirement
from domain.cases import Case, CaseKind, CaseState
from domain.changes import DeliveryKind
from domain.erasure import Step
from domain.errors import CannotDecrypt
from domain.retention import Rule, What
from storage import digests, tables
from storage.cases import Cases
from storage.engines import Connection
from storage.erasures import Erasures
from storage.holds import Holds
from storage.retention import Retention
from storage.reviews import Reviews
from storage.segmentation import Segmentation
from tests.contracts.storage_kit import Process, Story, new_id, story
from tests.contracts.test_storage_cases import opening, ruling
from tests.contracts.test_storage_retention import retention, wrote
from tests.handlers.kit import rulebook

PLACE = "C0LEADS"


def erasures(process: Process) -> Erasures:
    """The erasures of a process."""
    return Erasures(process.db, process.keys, process.segments, new_id)


def keeper(process: Process, *chores: Chore, nightly: Retirement | None = None) -> Keeper:
    """The keeper over a process's stores."""
    return Keeper(
        database=process.db,
        erasures=erasures(process),
        found=Cases(process.db),
        box=process.outbox,
        views=process.views,
        rules=rulebook(privacy_channel=PLACE),
        clock=times.Timekeeper(),
        retirement=nightly or Retirement(retention(process), process.clocks, rules=(), hour=2),
        segmentation=Segmentation(process.db, process.keys),
        reviews=Reviews(process.db),
        audit_key=process.record.audit_key,
        chores=chores,
    )


async def asked(process: Process, kind: CaseKind, *, days: float = 30) -> tuple[Story, Case]:
    """A customer asked for something that is due in so many days."""
    ann, now = story(address=new_id()), times.real()
    case = Case(
        id=new_id(),
        customer_id=ann.customer.id,
        identity_id=ann.identity.id,
        kind=kind,
        opened_at=now,
        due_at=now + timedelta(days=days),
    )
    await process.decide(ann.opening("hello"))
    await process.decide(opening(case))
    return ann, case


async def standing(process: Process) -> CaseState:
    """How the only case stands."""
    (found,) = await Cases(process.db).all()
    return found.state


async def sent(process: Process) -> list[str]:
    """What was put out so far, by kind."""
    return sorted(str(row["kind"]) for row in await process.rows(tables.outbox))


async def test_an_erasure_that_a_hold_forbids_is_decided_again(one: Process) -> None:
    """Nobody is told that it begins; the channel sees why; once the hold is released it goes its way."""
    ann, case = await asked(one, CaseKind.ERASE)
    holds = Holds(one.db, one.keys)
    await holds.place(ann.customer.id, hold_id=new_id(), actor="os:carol", reason="lawsuit 7", now=times.real())
    await one.decide(ruling(case, granted=True))
    await keeper(one).turn()
    assert await standing(one) is CaseState.FAILED
    assert await sent(one) == [DeliveryKind.DESK_CASE.value]
    await keeper(one).turn()
    assert await sent(one) == [DeliveryKind.DESK_CASE.value], "it waits for a person"

    await holds.release(ann.customer.id, actor="os:carol", reason="settled", now=times.real())
    await one.decide(ruling(case, granted=True))
    await keeper(one).turn()
    assert await standing(one) is CaseState.WORKING
    assert DeliveryKind.CHAT_AUTOMATIC.value in await sent(one)


async def test_a_hold_that_comes_after_the_grant_still_counts(one: Process) -> None:
    """The last message has gone out when the hold is placed: nothing is erased, the case is decided again, and the
    customer, who was told that it begins, is told that it does not.
    """
    ann, case = await asked(one, CaseKind.ERASE)
    await one.decide(ruling(case, granted=True))
    await keeper(one).turn()
    assert await standing(one) is CaseState.WORKING

    async def arrived(conn: Connection) -> None:
        await conn.execute(update(tables.outbox).values(state="sent"))

    await one.db.write(arrived)
    holds = Holds(one.db, one.keys)
    await holds.place(ann.customer.id, hold_id=new_id(), actor="os:carol", reason="lawsuit 7", now=times.real())
    await keeper(one).turn()
    assert await standing(one) is CaseState.FAILED
    assert await one.rows(tables.erasures) == []
    told = [json.loads(row["data"]).get("text") for row in await one.rows(tables.outbox) if row["lane"][:4] == "chat"]
    assert sorted(told) == ["erase_now", "erase_stopped"]


async def test_what_an_erased_customer_asked_for_is_over(one: Process) -> None:
    """Erased by command while a request waits, overdue: it ends, its post is changed, and nobody is reminded of it."""
    ann, _ = await asked(one, CaseKind.CORRECT, days=-1)
    await erasures(one).begin(ann.customer.id, actor="os:carol", reason="asked by letter", now=times.real())
    await keeper(one).turn()
    (found,) = await Cases(one.db).all()
    assert (found.state, found.decided_by, found.finished_at is None) == (CaseState.MOOT, None, False)
    assert await sent(one) == [DeliveryKind.DESK_CASE.value]
    assert await Cases(one.db).moot() == []


async def test_what_an_erasure_overtook_is_not_said_to_be_done(one: Process) -> None:
    """Granted but not sent, forbidden by a hold, refused but not told: what the customer never got is called moot; a
    copy that had arrived is done.
    """

    async def settle(state: str) -> None:
        await one.db.write(lambda conn: conn.execute(update(tables.outbox).values(state=state)))

    async def erased(kind: CaseKind, state: str | None, *, granted: bool = True, held: bool = False) -> CaseState:
        ann, case = await asked(one, kind)
        holds = Holds(one.db, one.keys)
        if held:
            await holds.place(ann.customer.id, hold_id=new_id(), actor="os:carol", reason="lawsuit", now=times.real())
        await one.decide(ruling(case, granted=granted))
        if state is not None:
            await keeper(one).turn()
            await settle(state)
        if state == "dead":
            await keeper(one).turn()
        if held:
            await holds.release(ann.customer.id, actor="os:carol", reason="settled", now=times.real())
        await erasures(one).begin(ann.customer.id, actor="os:carol", reason="by letter", now=times.real())
        await keeper(one).turn()
        found = (await Cases(one.db).by_id([case.id]))[case.id]
        assert found.finished_at is not None
        return found.state

    assert await erased(CaseKind.EXPORT, "dead") is CaseState.MOOT
    assert await erased(CaseKind.ERASE, "sent", held=True) is CaseState.MOOT
    assert await erased(CaseKind.CORRECT, None, granted=False) is CaseState.MOOT
    assert await erased(CaseKind.EXPORT, "sent") is CaseState.DONE
    assert await Cases(one.db).unfinished() == []


async def test_a_reminder_names_who_sees_to_it(one: Process) -> None:
    """Once a day; where nobody took it on it names nobody."""
    _, case = await asked(one, CaseKind.CORRECT, days=-1)
    await keeper(one).turn()
    await one.decide(ruling(case, granted=None, by="agent:U1"))
    await keeper(one).turn()
    told = [json.loads(row["data"]) for row in await one.rows(tables.outbox)]
    assert [(one.get("kind"), one.get("who")) for one in told] == [("overdue", None)], "once a day"
    _, taken = await asked(one, CaseKind.COMPLAINT, days=2)
    await one.decide(ruling(taken, granted=None, by="agent:U1"))
    await keeper(one).turn()
    told = [json.loads(row["data"]) for row in await one.rows(tables.outbox)]
    assert ("due_owned", "agent:U1") in [(one.get("kind"), one.get("who")) for one in told]


def test_a_post_says_why_nothing_happens() -> None:
    """An erasure that a hold forbids, and a request of somebody who was erased, stand there as what they are."""
    now = times.real()
    case = Case(id="01C", customer_id="01A", identity_id="01I", kind=CaseKind.ERASE, opened_at=now, due_at=now)
    held = str(desk.post(replace(case, state=CaseState.FAILED, decided_by="agent:U1")).blocks)
    assert "a legal hold forbids it" in held
    assert "case_approve" in held, "it is to be decided again"
    moot = str(desk.post(replace(case, kind=CaseKind.CORRECT, state=CaseState.DONE)).blocks)
    assert "nothing is left to do" in moot
    assert "Answer due" not in moot
    ended = str(desk.post(replace(case, state=CaseState.MOOT, decided_by="agent:U1")).blocks)
    assert "nothing is left to do" in ended, "whoever decided it"
    assert "case_approve" not in ended
    assert "Answer due" in held
    failed = str(desk.post(replace(case, kind=CaseKind.EXPORT, state=CaseState.FAILED)).blocks)
    assert "could not be sent" in failed


async def test_a_copy_for_the_customer_stands_in_the_trail(one: Process) -> None:
    """Like one at the command line: whose data it was, by whose decision, with the digest; once."""
    ann, case = await asked(one, CaseKind.EXPORT)
    await one.decide(ruling(case, granted=True, by="agent:U1"))
    for _ in range(2):
        await keeper(one).turn()
    (row,) = [row for row in await one.rows(tables.audit) if row["action"] == "privacy.export"]
    about = f"customer:{ann.customer.id}"
    assert (row["actor"], row["object"], row["detail"]) == ("agent:U1", about, f"case {case.id}")
    assert row["digest"] == (await one.db.query(lambda conn: digests.of(conn, [about])))[about]


async def test_a_copy_that_nobody_can_be_sent_stands_in_no_trail(one: Process) -> None:
    """The address is gone: nothing was handed out, and the trail does not say that it was."""
    _, case = await asked(one, CaseKind.EXPORT)
    await one.decide(ruling(case, granted=True, by="agent:U1"))

    async def gone(conn: Connection) -> None:
        await conn.execute(update(tables.cases).values(identity_id=new_id()))

    await one.db.write(gone)
    await keeper(one).turn()
    assert DeliveryKind.CHAT_EXPORT.value not in await sent(one)
    assert [row for row in await one.rows(tables.audit) if row["action"] == "privacy.export"] == []


async def test_what_fails_holds_up_nothing_else(one: Process) -> None:
    """Somebody's erasure by retention fails halfway: the keeper does what comes after it, and does not end."""
    done: list[str] = []

    def broken(_step: Step) -> None:
        raise CannotDecrypt("altered")

    async def after(_now: datetime) -> None:
        done.append("after")

    await wrote(one, "Ann", days=5000)
    failing = Retention(one.db, one.segments, Erasures(one.db, one.keys, one.segments, new_id, broken))
    old = (Rule(what=What.CUSTOMERS, age=timedelta(days=1)),)
    await keeper(one, after, nightly=Retirement(failing, one.clocks, rules=old, hour=0)).turn()
    assert done == ["after"]
    assert len(await one.rows(tables.erasures)) == 1

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
    """The last message has gone out when the hold is placed: nothing is erased, and the case is decided again."""
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


async def test_what_an_erased_customer_asked_for_is_over(one: Process) -> None:
    """Erased by command while a request waits, overdue: it ends, its post is changed, and nobody is reminded of it."""
    ann, _ = await asked(one, CaseKind.CORRECT, days=-1)
    await erasures(one).begin(ann.customer.id, actor="os:carol", reason="asked by letter", now=times.real())
    await keeper(one).turn()
    (found,) = await Cases(one.db).all()
    assert (found.state, found.decided_by, found.finished_at is None) == (CaseState.DONE, None, False)
    assert await sent(one) == [DeliveryKind.DESK_CASE.value]
    assert await Cases(one.db).moot() == []


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
    assert "nothing is left to decide" in moot
    assert "Answer due" not in moot
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

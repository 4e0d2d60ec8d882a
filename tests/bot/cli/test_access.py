"""`relaydesk access review` and `privacy incident`: who may, who did, and whom a leak touches."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from bot import times
from bot.cli.stores import os_user
from bot.opening import Stores
from domain import incidents
from domain.incidents import Part, Reach
from storage import flush, tables
from storage.engines import Connection
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import new_id, story

ANN, BO = story("Anna Beispiel", "4711"), story("Bo", "4712")


async def _written(stores: Stores) -> None:
    decisions = [flush.Decision(id=new_id(), changes=one.opening("hello")) for one in (ANN, BO)]
    prepared = await stores.record.prepare(decisions, times.real())
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))

    async def posted(conn: Connection) -> None:
        of = tables.conversations.c.id == ANN.conversation.id
        await conn.execute(tables.conversations.update().where(of).values(desk_thread="1.0"))

    await stores.database.write(posted)


@pytest.fixture
def known(place: Place) -> Place:
    """Two customers, one of them with a Slack thread."""
    place.change(clock=None)
    place.make_key()
    place.with_stores(_written)
    return place


def reviewed(known: Place, *words: str) -> dict[str, object]:
    """The review as a script reads it."""
    done = known.run("access", "review", "--json", *words)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_review_says_who_looked_and_what_changed_since_the_last(known: Place) -> None:
    """The first begins at the beginning; once noted as done, the next shows only what came after it."""
    known.run("customer", "find", "Bo", "--reveal")
    first = reviewed(known, "--done")
    assert first["since"] is None
    looked = {(one["actor"], one["action"]) for one in first["looked"]}  # type: ignore[attr-defined]
    assert (f"os:{os_user()}", "customer.find.reveal") in looked
    known.change(roles={"command_line": {os_user(): ["auditor"]}, "lead": []})
    second = reviewed(known)
    assert second["since"] is not None
    assert f"os:{os_user()} is auditor now" in second["changed"]  # type: ignore[operator]
    assert "S0LEADS is lead no longer" in second["changed"]  # type: ignore[operator]
    assert "find" not in json.dumps(second["looked"])
    known.change(roles={"command_line": {os_user(): ["agent"]}})
    assert known.run("access", "review").exit_code == 1


def test_whoever_asks_learns_who_looked_at_them(known: Place) -> None:
    """Every look at somebody and at their conversations, with who and when, and nothing of anybody else."""
    for words in (("customer", "find", "Bo"), ("show", "1001"), ("customer", "profile", "Anna Beispiel", "--reveal")):
        assert known.run(*words).exit_code == 0, words
    told = json.loads(known.run("access", "looks", "Anna Beispiel", "--json").stdout)
    assert [(one["actor"], one["action"]) for one in told] == [
        (f"os:{os_user()}", "customer.profile.reveal"),
        (f"os:{os_user()}", "show"),
    ]
    assert "access.looks" in known.run("access", "looks", ANN.customer.id).stdout, (
        "that somebody asked stands there too"
    )
    assert len(json.loads(known.run("access", "looks", ANN.customer.id, "--since", "1h", "--json").stdout)) == 4
    known.change(roles={"command_line": {os_user(): ["lead"]}})
    assert known.run("access", "looks", ANN.customer.id).exit_code == 1


@pytest.mark.parametrize(
    ("leaked", "reach"),
    [
        ({Part.RECORD}, (Reach.SHAPE,)),
        ({Part.KEYSTORE}, (Reach.NONE,)),
        ({Part.MASTER}, (Reach.NONE,)),
        ({Part.KEYSTORE, Part.MASTER}, (Reach.NONE,)),
        ({Part.RECORD, Part.KEYSTORE}, (Reach.SHAPE,)),
        ({Part.RECORD, Part.KEYSTORE, Part.MASTER}, (Reach.CONTENT,)),
        ({Part.SLACK, Part.TELEGRAM}, (Reach.THREADS, Reach.TRAFFIC)),
        (set(Part), (Reach.CONTENT, Reach.THREADS, Reach.TRAFFIC)),
    ],
)
def test_what_a_leak_lets_somebody_do(leaked: set[Part], reach: tuple[Reach, ...]) -> None:
    """Only record, key store and master key together open the words."""
    assert incidents.reach(leaked) == reach


def test_a_leak_is_told_with_whom_to_notify(known: Place) -> None:
    """Everybody where all is open, those with a thread for a Slack token, nobody for a copy without keys."""

    def told(*leaked: str, at: str | None = None) -> list[str]:
        words = [word for part in leaked for word in ("--leaked", part)] + (["--at", at] if at else [])
        done = known.run("privacy", "incident", "--json", *words)
        assert done.exit_code == 0, done.output
        return [one["customer_id"] for one in json.loads(done.stdout)["customers"]]

    everybody = sorted([ANN.customer.id, BO.customer.id])
    assert sorted(told("record", "keystore", "master")) == everybody
    assert told("slack") == [ANN.customer.id]
    assert told("record") == []
    before = (ANN.customer.created_at - timedelta(days=1)).isoformat()
    assert told("record", "keystore", "master", at=before) == []
    assert "0 customers to notify" in known.run("privacy", "incident", "--leaked", "keystore").stdout

    assert known.run("privacy", "erase", "Bo", "--reason", "asked to", "--yes", "--wait", "0").exit_code == 0
    assert told("record", "keystore", "master") == [ANN.customer.id]
    copied = (times.real() - timedelta(seconds=1)).isoformat()
    known.with_stores(_long_known)
    assert sorted(told("record", "keystore", "master", at=copied)) == everybody, "that copy has Bo's key"
    parts = [word for part in ("record", "keystore", "master") for word in ("--leaked", part)]
    said = known.run("privacy", "incident", *parts, "--at", copied).stdout
    assert "1 customers to notify" in said
    assert "1 more were erased after that copy was made" in said


async def _long_known(stores: Stores) -> None:
    """Both were known, and Bo was not erased, when the copy was made a moment ago."""

    async def work(conn: Connection) -> None:
        gone = tables.customers.c.erased_at.is_not(None)
        await conn.execute(tables.customers.update().values(created_at=1.0))
        await conn.execute(tables.customers.update().where(gone).values(erased_at=times.real().timestamp() + 1))

    await stores.database.write(work)


@pytest.mark.parametrize("words", [("--leaked", "disk"), ("--leaked", "record", "--at", "yesterday")])
def test_odd_words_are_refused(known: Place, words: tuple[str, ...]) -> None:
    """A part that is none, a time that is none."""
    assert known.run("privacy", "incident", *words).exit_code == 2

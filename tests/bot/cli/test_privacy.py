"""`relaydesk privacy`: who may erase whom, what is asked before, and what holds."""

from __future__ import annotations

import json
import zipfile

import pytest

from bot import times
from bot.cli.stores import os_user
from bot.opening import Stores
from domain.cases import Case, CaseKind
from domain.changes import Changes, DeliveryKind
from storage import flush, tables
from storage.engines import Connection
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import Story, new_id, story

ANN, BO = story("Anna Beispiel", "4711"), story("Bo", "4712")
WHY = ("--reason", "asked to", "--wait", "0")


async def _written(stores: Stores) -> None:
    decisions = [flush.Decision(id=new_id(), changes=one.opening("hello")) for one in (ANN, BO)]
    prepared = await stores.record.prepare(decisions, times.real())
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _acts(stores: Stores) -> list[tuple[str, str, str]]:
    async with stores.database.read() as conn:
        rows = await conn.execute(tables.audit.select().order_by(tables.audit.c.seq))
        return [(row.actor, row.action, row.object) for row in rows]


async def _names(stores: Stores) -> list[str]:
    return [person.name for one in (ANN, BO) for person, _, _ in await stores.record.find_people(one.customer.id)]


@pytest.fixture
def known(place: Place) -> Place:
    """Two customers in a record."""
    place.change(clock=None)
    place.make_key()
    place.with_stores(_written)
    return place


def _id(one: Story) -> str:
    return one.customer.id


def test_whoever_is_erased_must_be_typed(known: Place) -> None:
    """A wrong word leaves everything as it is; the id goes on, and the audit trail says who did it."""
    refused = known.run("privacy", "erase", "Anna Beispiel", *WHY, typed="yes\n")
    assert refused.exit_code == 1
    assert "nothing was erased" in refused.output
    assert known.with_stores(_names) == ["Anna Beispiel", "Bo"]
    done = known.run("privacy", "erase", "Anna Beispiel", *WHY, typed=f"{_id(ANN)}\n")
    assert done.exit_code == 0, done.output
    assert "The running bot finishes it" in done.stdout
    assert known.with_stores(_names) == ["", "Bo"]
    assert (f"os:{os_user()}", "privacy.erase", f"customer:{_id(ANN)}") in known.with_stores(_acts)
    listed = json.loads(known.run("privacy", "receipts", "--json").stdout)
    assert [(one["customer_id"], one["step"]) for one in listed] == [(_id(ANN), "forgotten")]
    assert (f"os:{os_user()}", "privacy.receipts", f"customer:{_id(ANN)}") in known.with_stores(_acts)


def test_a_hold_must_be_released_first(known: Place) -> None:
    """Erasing somebody who is held is refused with the reason; after the release it is done."""
    assert known.run("privacy", "hold", _id(ANN), "--reason", "lawsuit 7").exit_code == 0
    refused = known.run("privacy", "erase", _id(ANN), *WHY, "--yes")
    assert refused.exit_code == 1
    assert "legal hold" in refused.stderr
    assert known.with_stores(_names) == ["Anna Beispiel", "Bo"]
    assert known.run("privacy", "hold", _id(ANN), "--release", "--reason", "settled").exit_code == 0
    again = known.run("privacy", "hold", _id(ANN), "--release", "--reason", "settled")
    assert (again.exit_code, "nothing holds" in again.stderr) == (1, True)
    assert known.run("privacy", "erase", _id(ANN), *WHY, "--yes").exit_code == 0
    actions = [action for _, action, _ in known.with_stores(_acts)]
    assert actions.count("privacy.hold") == actions.count("privacy.release") == 1


def test_holds_are_listed_with_whom_they_cover(known: Place) -> None:
    """Placed on one record of a person, it stands over the other, too, and is released from either."""
    assert "Nobody is held." in known.run("privacy", "holds").stdout
    assert known.run("customer", "merge", _id(ANN), "Bo", "--reason", "one person").exit_code == 0
    assert known.run("privacy", "hold", _id(ANN), "--reason", "lawsuit 7").exit_code == 0
    (one,) = json.loads(known.run("privacy", "holds", "--json").stdout)
    assert (one["customer_id"], one["reason"], one["also"]) == (_id(ANN), "lawsuit 7", [_id(BO)])
    assert one["actor"] == f"os:{os_user()}"
    assert "lawsuit 7" in known.run("privacy", "holds").stdout
    acts = known.with_stores(_acts)
    assert [acts.count((f"os:{os_user()}", "privacy.holds", f"customer:{_id(one)}")) for one in (ANN, BO)] == [2, 2]
    assert known.run("privacy", "erase", _id(BO), *WHY, "--yes").exit_code == 1
    assert known.run("privacy", "hold", _id(BO), "--release", "--reason", "settled").exit_code == 0
    assert json.loads(known.run("privacy", "holds", "--json").stdout) == []


@pytest.mark.parametrize("roles", [["agent"], ["admin"], ["auditor"]])
def test_only_the_privacy_officer_may(known: Place, roles: list[str]) -> None:
    """Once the configuration names users, the others are refused, and the refusal is audited."""
    known.change(roles={"command_line": {os_user(): roles}})
    refused = known.run("privacy", "erase", _id(ANN), *WHY, "--yes")
    assert refused.exit_code == 1
    assert "roles.command_line" in refused.stderr
    assert known.with_stores(_names) == ["Anna Beispiel", "Bo"]
    assert (f"os:{os_user()}", "refused", f"customer:{_id(ANN)}") in known.with_stores(_acts)
    known.change(roles={"command_line": {os_user(): ["privacy_officer"]}})
    assert known.run("privacy", "erase", _id(ANN), *WHY, "--yes").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("erase", "Nobody", *WHY, "--yes"), 1, "nobody is called exactly so"),
        (("erase", "Bo", "--reason", " ", "--yes"), 2, "1 to 200 characters"),
        (("hold", "Nobody", "--reason", "x"), 1, "nobody is called exactly so"),
        (("receipts", "01NOTHING"), 1, "there is no erasure"),
    ],
)
def test_odd_words_are_refused(known: Place, words: tuple[str, ...], code: int, line: str) -> None:
    """A name that is none, a reason that is none."""
    result = known.run("privacy", *words)
    assert result.exit_code == code
    assert line in result.stderr


def test_an_export_is_a_file_for_its_owner_alone(known: Place) -> None:
    """JSON, page and schema in a zip of mode 0600; the trail says who and why; nothing is overwritten."""
    target = known.folder / "anna.zip"
    words = ("privacy", "export", "Anna Beispiel", "--reason", "asked to", "--no-files", "--to", str(target))
    done = known.run(*words)
    assert done.exit_code == 0, done.output
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as held:
        found = json.loads(held.read("customer.json"))
        assert {"index.html", "customer-export.schema.json"} < set(held.namelist())
    assert (found["customer"], found["name"]) == (_id(ANN), "Anna Beispiel")
    assert found["conversations"][0]["history"][0]["text"] == "hello"
    assert (f"os:{os_user()}", "privacy.export", f"customer:{_id(ANN)}") in known.with_stores(_acts)
    again = known.run(*words)
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)
    known.change(roles={"command_line": {os_user(): ["agent"]}})
    assert known.run(*words[:-1], str(known.folder / "b.zip")).exit_code == 1
    assert not (known.folder / "b.zip").exists()


def test_before_anybody_was_erased(known: Place) -> None:
    """An empty list says so."""
    assert "Nobody was erased." in known.run("privacy", "receipts").stdout


def test_retention_is_shown_before_it_is_done(known: Place) -> None:
    """The preview takes nothing; without rules the bytes of files alone go, or nothing; the run is told and audited."""
    (only,) = json.loads(known.run("privacy", "retain", "--dry-run", "--json").stdout)["rules"]
    assert (only["what"], only["older_than_days"], only["count"]) == ("attachments", 180, 0)
    known.change(files={"days": 0})
    assert "everything stays" in known.run("privacy", "retain", "--dry-run").stdout
    known.change(retention={"rules": [{"what": "customers", "days": 1}]})
    known.with_stores(_aged)
    told = json.loads(known.run("privacy", "retain", "--dry-run", "--json").stdout)
    assert [(row["what"], row["count"]) for row in told["rules"]] == [("customers", 2)]
    assert known.with_stores(_names) == ["Anna Beispiel", "Bo"]
    done = json.loads(known.run("privacy", "retain", "--json").stdout)
    assert [row["count"] for row in done["rules"]] == [2]
    assert done["customers"] == {"destroyed": 2}
    assert known.with_stores(_names) == ["", ""]
    assert (f"os:{os_user()}", "privacy.retain", "retention") in known.with_stores(_acts)


async def _aged(stores: Stores) -> None:
    """Everything happened long ago, and is over."""

    async def work(conn: Connection) -> None:
        await conn.execute(tables.conversations.update().values(status="done", opened_at=1.0, resolved_at=2.0))
        await conn.execute(tables.customers.update().values(created_at=1.0))

    await stores.database.write(work)


def test_cases_at_the_command_line(known: Place) -> None:
    """A request is listed with its deadline, taken on, granted once, and a second decision finds nothing to decide.

    Its post changes with each. Neither requests nor receipts are for everybody.
    """
    assert "Nobody has asked" in known.run("privacy", "cases").stdout
    case = known.with_stores(_asked)
    (listed,) = json.loads(known.run("privacy", "cases", "--json").stdout)
    assert (listed["id"], listed["state"], listed["kind"]) == (case, "open", "export")
    assert known.run("privacy", "take", case).exit_code == 0
    assert known.with_stores(_posts) == [case]
    assert known.run("privacy", "decide", case, "--grant").exit_code == 0
    again = known.run("privacy", "decide", case, "--refuse")
    assert (again.exit_code, "waits for no decision" in again.stderr) == (1, True)
    assert (f"os:{os_user()}", "privacy.approve", f"case:{case}") in known.with_stores(_acts)
    about = json.loads(known.run("access", "looks", _id(ANN), "--json").stdout)
    assert [one["action"] for one in about] == ["privacy.approve", "privacy.take", "privacy.cases"]
    for role, code in (("auditor", 0), ("agent", 1)):
        known.change(roles={"command_line": {os_user(): [role]}})
        assert [known.run("privacy", what).exit_code for what in ("cases", "receipts", "holds")] == [code] * 3


async def _posts(stores: Stores) -> list[str]:
    """The requests whose posts are to be changed."""
    async with stores.database.read() as conn:
        query = tables.outbox.select().where(tables.outbox.c.kind == DeliveryKind.DESK_CASE.value)
        return [str(row.entry_id) for row in await conn.execute(query)]


async def _asked(stores: Stores) -> str:
    now = times.real()
    made = Case(
        id=new_id(),
        customer_id=ANN.customer.id,
        identity_id=ANN.identity.id,
        kind=CaseKind.EXPORT,
        opened_at=now,
        due_at=now,
    )
    changes = Changes(reason="asked", cases=(made,))
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=changes)], now)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))
    return made.id


def test_tags_are_words_and_say_so(known: Place) -> None:
    """Noted, taken back, and never a sentence about somebody."""
    done = known.run("customer", "tag", "Bo", "--add", "vip", "--add", "press", "--reason", "signed")
    assert (done.exit_code, "press, vip" in done.stdout) == (0, True)
    assert "vip." in known.run("customer", "tag", "Bo", "--remove", "press", "--reason", "over").stdout
    for words in (("--add", "Very Important"), ("--add", "李静"), ()):
        assert known.run("customer", "tag", "Bo", *words, "--reason", "x").exit_code == 2


def test_a_profile_is_noted_corrected_and_shown(known: Place) -> None:
    """Values are normalised; the wrong one stays as corrected; nothing shows without --reveal."""

    def noted(*fields: str) -> int:
        return known.run("customer", "set", "Bo", *fields, "--reason", "they wrote so").exit_code

    assert noted("company=Acne Ltd", "phone=+49 170 1234567") == 0
    assert noted("company=Acme Ltd") == 0
    masked = known.run("customer", "profile", "Bo")
    assert (masked.exit_code, "Acme" in masked.stdout) == (0, False)
    shown = json.loads(known.run("customer", "profile", "Bo", "--reveal", "--json").stdout)
    told = [(row["field"], row["value"], row["until"] is None) for row in shown]
    assert told == [("company", "Acne Ltd", False), ("company", "Acme Ltd", True), ("phone", "+491701234567", True)]
    for wrong in ("phone=12", "shoe_size=44", "company"):
        assert noted(wrong) == 2
    assert noted("company=") == 0
    known.change(roles={"command_line": {os_user(): ["agent"]}})
    assert noted("company=Evil Ltd") == 1
    assert known.run("customer", "profile", "Bo", "--reveal").exit_code == 1

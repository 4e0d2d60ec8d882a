"""`relaydesk import facts`: previewed, taken in once, likely duplicates left out, and gone on with after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from bot.opening import Stores
from domain.model import EntryKind
from storage import tables
from tests import nursery
from tests.bot.cli.conftest import Place
from tests.bot.cli.test_carry import ANN, _told

SHEET = (
    "Type,Item,Date,Phone,Name,Amount,Currency,Order number,Shelf\n"
    "purchase,Winter coat,2026-03-01,+49 170 1234567,Bo Miller,129.90,EUR,B-77,3\n"
    "call,asked for size 44,2026-03-02T10:00:00+01:00,+49 170 1234567,,,,,\n"
    "gift,a card,2026-03-02,+49 170 1234567,,,,,\n"
    "visit,came by,,+49 170 1234567,,,,,\n"
)


async def facts(stores: Stores) -> list[str]:
    """Every fact in the record, in order."""
    async with stores.database.read() as conn:
        rows = (await conn.execute(tables.timeline.select().order_by(tables.timeline.c.seq))).all()
    found = []
    for place in dict.fromkeys(row.customer_id for row in rows if row.kind == EntryKind.FACT.value):
        told = await stores.record.timeline(place)
        found += [str(json.loads(one.body)["what"]) for one in told if one.kind is EntryKind.FACT]
    return found


@pytest.fixture
def shop(place: Place) -> Place:
    """A record with somebody in it, whose phone numbers are German."""
    return _opened(place)


@pytest.fixture
def shop_either(either: Place) -> Place:
    """The same over either engine."""
    return _opened(either)


def _opened(place: Place) -> Place:
    place.make_key()
    place.change(contacts={"region": "DE"}, clock={"source": None})
    place.with_stores(_told)
    return place


def test_a_spreadsheet_comes_in_once(shop: Place, tmp_path: Path) -> None:
    """Previewed without a trace; somebody new enters once; bad lines are named and kept; a second time changes nothing.

    What was noted is found by what was bought and by its number.
    """
    file = tmp_path / "till.csv"
    file.write_text(SHEET, encoding="utf-8")
    previewed = json.loads(shop.run("import", "facts", str(file), "--source", "till", "--dry-run", "--json").stdout)
    assert previewed["left_out"] == ["Shelf"]
    assert [one["line"] for one in previewed["problems"]][-2:] == [4, 5]
    assert shop.with_stores(facts) == []
    taken = shop.run("import", "facts", str(file), "--source", "till")
    assert taken.exit_code == 1
    assert "till.csv:4: kind: give one of purchase" in taken.output
    assert "till.csv:5: at: say when" in taken.output
    assert "2 are new" in taken.output
    assert "1 people enter" in taken.output
    assert shop.with_stores(facts) == ["Winter coat", "asked for size 44"]
    kept = (tmp_path / "till.rejected.csv").read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in kept] == ["Type", "gift", "visit"]
    again = json.loads(shop.run("import", "facts", str(file), "--source", "till", "--json").stdout)
    assert (again["new"], again["same"]) == (0, 2)
    for words in ("coat", "B-77", "size 44"):
        assert json.loads(shop.run("search", words, "--json").stdout)["people"], words


def test_likely_duplicates_are_left_out_unless_they_have_a_key(shop: Place, tmp_path: Path) -> None:
    """The same order from another system is named with whose it is; a key says that it is another one."""
    told = {"kind": "order", "what": "Boots", "at": "2026-03-01T09:00:00Z", "customer": ANN.customer.id}
    lines = [told | {"reference": "77"}, told | {"what": "boots, brown", "reference": "77", "source": "crm"}]
    lines.append(lines[1] | {"key": "77-b"})
    file = tmp_path / "facts.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n[1]\n", encoding="utf-8")
    report = json.loads(shop.run("import", "facts", str(file), "--json").stdout)
    assert report["duplicates"] == [{"line": 2, "customer": ANN.customer.id}]
    assert [one["line"] for one in report["problems"]] == [2, 4, 5]
    assert shop.with_stores(facts) == ["Boots", "boots, brown"]
    reused = tmp_path / "more.jsonl"
    reused.write_text(json.dumps(lines[2] | {"what": "sandals"}), encoding="utf-8")
    assert "this key came with another fact" in shop.run("import", "facts", str(reused)).output
    assert shop.run("import", "facts", str(tmp_path / "none.csv")).exit_code == 1


@pytest.mark.parametrize("what", ["facts", "contacts"])
def test_an_import_that_was_killed_goes_on(shop_either: Place, tmp_path: Path, what: str) -> None:
    """SIGKILL in the middle, amid one contact too: the same file again, and everything is there once."""
    file = tmp_path / "people.csv"
    if what == "facts":
        rows = [f"call,call {n},2026-03-0{n},+49 170 123456{n},Caller {n}" for n in range(1, 5)]
        file.write_text("\n".join(["kind,what,at,phone,name", *rows]), encoding="utf-8")
    else:
        rows = [f"{n},Caller {n},+49 170 123456{n}" for n in range(1, 5)]
        file.write_text("\n".join(["key,name,phone", *rows]), encoding="utf-8")
    words = ("import", what, str(file), "--config", str(shop_either.path))
    environment = {**os.environ, "RELAYDESK_CRASH_AT": "in_import:3"}
    with nursery.relaydesk(*words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
    again = shop_either.run("import", what, str(file), "--json")
    assert again.exit_code == 0, again.output
    counts = json.loads(again.stdout)
    assert (counts["new"], counts["same"] + counts.get("changed", 0)) == (1, 3)

    async def numbers(stores: Stores) -> list[int]:
        found = [await stores.record.find_people(f"+49 170 123456{n}") for n in range(1, 5)]
        return [len(one) for one in found]

    assert shop_either.with_stores(numbers) == [1, 1, 1, 1]
    if what == "facts":
        assert shop_either.with_stores(facts) == [f"call {n}" for n in range(1, 5)]


def test_an_unknown_time_zone_is_a_line(shop: Place, tmp_path: Path) -> None:
    """Whoever mistypes a zone is told so; nothing was read."""
    file = tmp_path / "till.csv"
    file.write_text(SHEET, encoding="utf-8")
    done = shop.run("import", "facts", str(file), "--tz", "Europe/Nowhere")
    assert (done.exit_code, "is no time zone" in done.output) == (2, True)

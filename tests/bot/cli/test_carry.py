"""`relaydesk export` and `relaydesk import`: out and in again, bad lines named and kept, the same twice is the same."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from bot.opening import Stores
from domain.model import EntryKind
from storage import flush
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, new_id, story

ANN = story("Ann Example", "4711")


async def _told(stores: Stores) -> None:
    changes = (ANN.opening("My parcel has not arrived"), story("李雷", "4712").opening("我要退款"))
    decisions = [flush.Decision(id=new_id(), changes=one) for one in changes]
    prepared = await stores.record.prepare(decisions, NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _made(stores: Stores) -> None:
    assert stores


def _another(place: Place, folder: Path) -> Place:
    folder.mkdir()
    (folder / "config.yaml").write_text(place.path.read_text(encoding="utf-8"), encoding="utf-8")
    other = Place(folder=folder)
    other.make_key()
    other.with_stores(_made)
    return other


def test_a_record_moves_to_another_home(place: Place, tmp_path: Path) -> None:
    """The export is for its owner's eyes only and never written over; a spoilt customer is named, kept, and mended."""
    place.make_key()
    place.with_stores(_told)
    file = tmp_path / "all.jsonl"
    assert place.run("export", str(file), "--reason", "moving").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert place.run("export", str(file), "--reason", "moving").exit_code == 1
    other = _another(place, tmp_path / "other")
    lines = file.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if "我要退款" in json.loads(line).get("body", ""))
    good, lines[at] = lines[at], lines[at].replace('"incoming"', '"whispered"')
    file.write_text("\n".join(lines[:-1]), encoding="utf-8")

    previewed = other.run("import", "record", str(file), "--dry-run")
    assert previewed.exit_code == 1
    assert "Would be new here: 1 customer, 1 identity, 1 conversation" in previewed.output
    assert "0 customers are here already, 1 would be refused." in previewed.output
    own = [n for n, line in enumerate(lines) if '"row": "customer"' in line]
    unread = tmp_path / "unread.jsonl"
    for places in (own[:1], own[1:]):  # the second line leaves its customer with the one before
        spoilt_lines = [line + "}" * (n in places) for n, line in enumerate(lines)]
        unread.write_text("\n".join(spoilt_lines), encoding="utf-8")
        told = json.loads(other.run("import", "record", str(unread), "--dry-run", "--json").stdout)
        assert told["refused"] == 2, told
    taken = other.run("import", "record", str(file))
    assert taken.exit_code == 1
    assert "New here: 1 customer, 1 identity, 1 conversation" in taken.output
    assert "0 customers were here already, 1 were refused." in taken.output
    told = json.loads(other.run("import", "record", str(file), "--dry-run", "--json").stdout)
    assert (sum(told["new"].values()), told["known"], told["refused"]) == (0, 1, 1)
    assert "cannot read" in taken.output
    assert "its last line is missing" in taken.output
    assert "我要退款" not in taken.output
    spoilt = tmp_path / "all.rejected.jsonl"
    assert stat.S_IMODE(spoilt.stat().st_mode) == 0o600
    mended = spoilt.read_text(encoding="utf-8").replace(lines[at], good)
    assert mended != spoilt.read_text(encoding="utf-8")
    spoilt.write_text(mended, encoding="utf-8")
    done = other.run("import", "record", str(spoilt))
    assert done.exit_code == 0, done.output
    assert other.run("db", "reindex").exit_code == 0
    assert "#1002" in other.run("search", "退款").output


def test_contacts_come_in_once(place: Place, tmp_path: Path) -> None:
    """Previewed, taken over, found by name and number; a second time changes nothing; likely duplicates are named."""
    place.make_key()
    place.change(contacts={"region": "DE"})
    place.with_stores(_told)
    file = tmp_path / "people.csv"
    file.write_text(
        "Nr,Name,Mobile,Company\n7,Ann Example,0170 1234567,Acme\n8,Li Lei,12,\n9,Tom,,Acme\n", encoding="utf-8"
    )
    words = ("import", "contacts", str(file), "--map", "Nr=key")
    previewed = place.run(*words, "--dry-run")
    assert "2 would be new" in previewed.output, previewed.output
    assert place.run("customer", "find", "Tom").exit_code == 1
    taken = place.run(*words)
    assert taken.exit_code == 1
    assert "people.csv:3: phone" in taken.output
    assert ANN.customer.id in taken.output
    kept = (tmp_path / "people.rejected.csv").read_text(encoding="utf-8").splitlines()
    assert kept[1].startswith('8,Li Lei,12,,"phone: ')
    found = json.loads(place.run("customer", "find", "7", "--json", "--reveal").stdout)
    assert [(one["name"], one["channel"]) for one in found] == [("Ann Example", "contacts")]
    again = json.loads(place.run(*words, "--json").stdout)
    assert (again["new"], again["changed"], again["same"]) == (0, 0, 2)


def test_a_history_comes_in_as_a_closed_conversation(place: Place, tmp_path: Path) -> None:
    """Its words are found, a later export adds what is new, and what is stored is what the timeline says."""
    place.make_key()
    place.change(clock={"source": None})
    place.with_stores(_made)
    file = tmp_path / "result.json"
    said = [
        {"id": n, "type": "message", "date_unixtime": str(1700000000 + n), "from_id": f"user{who}", "text": words}
        for n, who, words in ((1, 4711, "Where is my parcel?"), (2, 1, "On its way."), (3, 4711, ""))
    ]
    chat = {"name": "Ann Lee", "type": "personal_chat", "id": 4711, "messages": said}
    file.write_text(json.dumps(chat), encoding="utf-8")
    previewed = json.loads(place.run("import", "telegram", str(file), "--dry-run", "--json").stdout)
    assert (previewed["new"], previewed["problems"][0]["message"]) == (2, 3)
    first = place.run("import", "telegram", str(file))
    assert first.exit_code == 1
    assert "message 3" in first.output
    said[2]["text"] = "Thanks!"
    file.write_text(json.dumps(chat), encoding="utf-8")
    assert json.loads(place.run("import", "telegram", str(file), "--json").stdout)["new"] == 1
    assert "#1001" in place.run("search", "parcel").output

    async def look(stores: Stores) -> list[EntryKind]:
        [(_, _, count)] = await stores.record.find_people("Ann Lee")
        assert count == 1
        found = await stores.record.by_number(1001)
        assert found is not None
        return [entry.kind for entry in await stores.record.timeline(found.id)]

    kinds = place.with_stores(look)
    assert (kinds.count(EntryKind.INCOMING), kinds.count(EntryKind.OUTGOING), kinds.count(EntryKind.STATUS)) == (
        2,
        1,
        1,
    )
    checked = place.run("db", "rebuild", "--check")
    assert checked.exit_code == 0, checked.output

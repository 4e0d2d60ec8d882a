"""`relaydesk labels`, `train`, `explain` and `model`: what was taught, what became of it, and who looked."""

from __future__ import annotations

import csv
import io
import json
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot import times
from bot.cli import labels_file
from bot.cli.stores import os_user
from bot.opening import Stores
from classifiers import artifact, versions
from domain.changes import Changes
from domain.labels import LabelKind, Labelled, LabelSource
from storage import flush, labels
from storage.engines import Connection
from storage.tables import audit
from tests.bot.cli.conftest import Place
from tests.classifiers.shop import make_model, make_shop
from tests.contracts.storage_kit import NOW, new_id, story

SECRET = "my parcel went missing near the mill"
INTENTS = ("parcel", "money", "login")


@pytest.fixture
def taught(place: Place) -> Place:
    """A conversation that somebody labelled, a model folder of its own, and the master key."""
    place.make_key()
    shop = make_shop(place.folder / "shop")
    model = make_model(place.folder / "model", shop)
    place.change(
        classifier={"model_dir": str(model), "taxonomy": str(shop)}, routing=[{"name": "the rest", "queue": "support"}]
    )
    place.with_stores(_teach)
    return place


async def _teach(stores: Stores) -> None:
    ann = story()
    opening = ann.opening(SECRET)
    read = {
        "read": [opening.entries[0].id],
        "intent": "parcel",
        "top": [{"label": "parcel", "confidence": 0.91}, {"label": "money", "confidence": 0.06}],
        "queues": [{"label": "support", "confidence": 0.97}],
        "language": "en",
        "version": "blend-then",
        "priority_reasons": [],
        "reason": "",
    }
    label = Labelled(
        id=new_id(),
        conversation_id=ann.conversation.id,
        customer_id=ann.customer.id,
        kind=LabelKind.INTENT,
        source=LabelSource.CORRECTION,
        label="money",
        guess="parcel",
        right=True,
        language="en",
        confidence=0.97,
        abstained=False,
        weight=0.0,
        version="blend-then",
        at=NOW,
        text=SECRET,
    )
    changed = Changes(reason="x", conversation=ann.changed(0, assessment=read, intent="parcel").conversation)
    for decision in (opening, changed, Changes(reason="y", labels=(label,))):
        prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=decision)], times.real())
        await stores.database.write(partial(_write, prepared, stores.record.audit_key))


async def _write(prepared: flush.Prepared, key: bytes, conn: Connection) -> None:
    await flush.write(conn, prepared, key)


async def _forget(customer: str, conn: Connection) -> None:
    await labels.forget(conn, [customer])


async def _audited(stores: Stores) -> list[str]:
    async with stores.database.read() as conn:
        return [str(row) for row in (await conn.execute(select(audit.c.action).order_by(audit.c.seq))).scalars()]


def rows(place: Place, name: str) -> list[dict[str, Any]]:
    text = (place.folder / name).read_text(encoding="utf-8")
    if name.endswith("csv"):
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


# ---- counting and exporting ------------------------------------------------------------------------------------------


def test_labels_are_counted(taught: Place) -> None:
    """What people gave, and how much of it is kept."""
    told = json.loads(taught.run("labels", "count", "--json").stdout)
    assert told["labels"] == [{"kind": "intent", "language": "en", "source": "correction", "labels": 1}]
    assert told["kept"] == 1
    assert "1 of them are kept" in taught.run("labels", "count").stdout


def test_spot_checks_say_how_often_it_was_right(taught: Place) -> None:
    """Of what it routed by itself, by the audit sample alone: with the bound that so few checks allow."""

    async def check(stores: Stores) -> None:
        (given, _), *_ = await stores.labels.newest(1)
        for place in range(20):
            right = place < 18
            one = replace(
                given,
                id=new_id(),
                conversation_id=None,
                weight=25.0,
                label="parcel" if right else "login",
                text="",
            )
            await stores.labels.add([one], NOW)

    taught.with_stores(check)
    (told,) = json.loads(taught.run("labels", "count", "--json").stdout)["checked"]
    assert (told["language"], told["checked"], told["right"], told["share"]) == ("en", 20, 18, 0.9)
    assert 0.7 < told["at_least"] < 0.9
    assert "18 of 20 that it routed by itself" in taught.run("labels", "count").stdout


def test_without_a_label_there_is_nothing_to_count(place: Place) -> None:
    """An empty table would look broken."""
    place.make_key()
    place.with_stores(_audited)
    assert "Nobody has corrected" in place.run("labels", "count").stdout


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_an_export_holds_no_words_unless_they_are_asked_for(taught: Place, name: str) -> None:
    """The file is its owner's alone; both ways are audited."""
    file = taught.folder / name
    assert taught.run("labels", "export", str(file)).exit_code == 0
    assert SECRET not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert taught.run("labels", "export", str(file), "--reveal").exit_code == 0
    (row,) = rows(taught, name)
    assert (row["text"], row["intent"], row["guess"]) == (SECRET, "money", "parcel")
    assert taught.with_stores(_audited)[-2:] == ["labels.export", "labels.export.reveal"]


def test_words_are_for_those_who_may_reveal(taught: Place) -> None:
    """Once the configuration names who may do what at the command line; the refusal is audited, nothing is written."""
    taught.change(roles={"command_line": {os_user(): ["agent"]}})
    file = taught.folder / "out.csv"
    refused = taught.run("labels", "export", str(file), "--reveal")
    assert (refused.exit_code, file.exists()) == (1, False)
    assert "roles.command_line" in refused.stderr
    assert taught.with_stores(_audited)[-1:] == ["refused"]
    assert taught.run("labels", "export", str(file)).exit_code == 0


def test_an_export_of_another_kind_is_refused(taught: Place) -> None:
    """Before anything is read or audited."""
    refused = taught.run("labels", "export", "labels.xls")
    assert refused.exit_code == 1
    assert ".csv or .jsonl" in refused.stderr
    assert taught.with_stores(_audited) == []


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\n=", "\t="])
def test_a_spreadsheet_calculates_nothing(begin: str) -> None:
    """A text that looks like a formula, in whatever width, is written as text, and read back as it was."""
    words = f"{begin}HYPERLINK(1)"
    label = Labelled(
        id="1", conversation_id=None, customer_id=None, kind=LabelKind.INTENT, source=LabelSource.IMPORT,
        label="parcel", guess=None, right=False, language="en", confidence=0.0, abstained=False, weight=0.0,
        version="", at=NOW, text=words,
    )  # fmt: skip
    text = labels_file.written([label], "csv", reveal=True)
    assert f"'{words}" in text
    problems: list[str] = []
    ((_, row),) = labels_file._csv(text, problems)
    assert (row["text"], problems) == (words, [])


# ---- importing -------------------------------------------------------------------------------------------------------


def test_what_was_exported_can_be_imported(taught: Place) -> None:
    """Out and in again: the same texts and topics; twice is once."""
    for name in ("out.csv", "out.jsonl"):
        file = taught.folder / name
        taught.run("labels", "export", str(file), "--reveal")
        done = taught.run("labels", "import", str(file))
        assert done.exit_code == 0, done.stderr

    async def imported(stores: Stores) -> list[tuple[str, str, str]]:
        return [(one.text, one.label, one.source.value) for one, _ in await stores.labels.newest(10)]

    found = taught.with_stores(imported)
    assert found.count((SECRET, "money", "import")) == 1


def test_an_import_is_masked(taught: Place) -> None:
    """What a file brings is treated like what customers write."""
    file = taught.folder / "in.jsonl"
    file.write_text(json.dumps({"text": "charged on 4111 1111 1111 1111", "intent": "login"}) + "\n")
    assert taught.run("labels", "import", str(file)).exit_code == 0

    async def texts(stores: Stores) -> list[str]:
        return [one.text for one, _ in await stores.labels.newest(10)]

    assert any("charged on [card]" in text for text in taught.with_stores(texts))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.csv",
            "text,intent\nhello,parcl\n",
            '2: the taxonomy has no intent "parcl"; did you mean "',
        ),
        ("a.csv", "words,intent\nhello,parcel\n", "1: the first line must name the columns; missing: text"),
        ("a.csv", "text,intent\nhello, world,parcel\n", "2: has more cells than the first line"),
        ("a.csv", 'text,intent\n"hello,parcel\n', "is not CSV"),
        ("a.csv", "text,intent,language\nhello,parcel,de\n", '2: the taxonomy has no language "de"'),
        ("a.csv", "text,intent\n  ,parcel\n", "2: text is missing"),
        ("a.jsonl", '{"text": "hi"}\n', "1: intent is missing"),
        ("a.jsonl", '\n[1]\n{"text": 4, "intent": "parcel"}\n', "2: must be an object"),
        ("a.jsonl", '{"text": "hi"\n', "1: is not JSON"),
        ("a.jsonl", json.dumps({"text": "x" * 9000, "intent": "parcel"}), "1: the text has 9000 characters"),
        ("a.txt", "hello", "must end in .csv or .jsonl"),
    ],
)
def test_a_bad_line_stops_the_import_and_is_named(taught: Place, name: str, content: str, problem: str) -> None:
    """Line, mistake and, where there is one, what was probably meant; nothing is taken over."""
    file = taught.folder / name
    file.write_text(content)
    refused = taught.run("labels", "import", str(file))
    assert refused.exit_code == 1
    assert problem in refused.stderr
    assert json.loads(taught.run("labels", "count", "--json").stdout)["kept"] == 1


def test_a_file_that_is_no_text_or_not_there_is_refused(taught: Place) -> None:
    """One line each, no traceback."""
    file = taught.folder / "a.csv"
    assert "cannot be read" in taught.run("labels", "import", str(file)).stderr
    file.write_bytes(b"text,intent\n\xff\xfe,parcel\n")
    assert "is not UTF-8" in taught.run("labels", "import", str(file)).stderr


def test_many_mistakes_are_told_in_part(taught: Place) -> None:
    """The first twenty, and how many more there are."""
    file = taught.folder / "a.jsonl"
    file.write_text('{"text": "hi", "intent": "x"}\n' * 25)
    told = taught.run("labels", "import", str(file)).stderr
    assert told.count("the taxonomy has no intent") == 20
    assert "and 5 more" in told


def test_a_file_can_be_checked_only(taught: Place) -> None:
    """Whether it would be taken over, without doing it."""
    file = taught.folder / "a.jsonl"
    file.write_text('{"text": "where is my parcel", "intent": "parcel"}\n')
    assert "1 labels could be taken over" in taught.run("labels", "import", str(file), "--check").stdout
    assert json.loads(taught.run("labels", "count", "--json").stdout)["kept"] == 1


# ---- training and versions -------------------------------------------------------------------------------------------


def test_training_makes_a_version_that_can_be_taken_back(taught: Place) -> None:
    """train, model list, labels suspicious, promote, rollback: one story."""
    folder = taught.folder / "model"
    none = taught.run("labels", "suspicious")
    assert none.exit_code == 1
    assert "nothing was trained on labels yet" in none.stderr
    trained = taught.run("train", "--go-live", "never", "--json")
    outcome = json.loads(trained.stdout)
    assert (outcome["number"], outcome["learnt"], outcome["live"]) == (1, 1, False)
    assert versions.pointer(folder).live == 0
    listed = json.loads(taught.run("model", "list", "--json").stdout)
    assert (listed[0]["number"], listed[0]["state"]) == (0, "answers")
    assert listed[1]["labels"] == 1
    promoted = taught.run("model", "promote", "1")
    assert promoted.exit_code == 0
    assert versions.pointer(folder).live == 1
    shown = taught.run("model", "list").stdout
    assert "answers" in shown
    assert "en " in shown
    assert "No label looks wrong" in taught.run("labels", "suspicious").stdout
    assert "Version 0 answers again" in taught.run("model", "rollback").stdout
    nothing = taught.run("model", "rollback")
    assert nothing.exit_code == 1
    assert "no version answered before" in nothing.stderr
    assert "reads along from now on" in taught.run("model", "shadow", "1").stdout
    assert "No version reads along" in taught.run("model", "shadow").stdout
    assert "no version 9" in taught.run("model", "promote", "9").stderr


def test_slips_are_listed_with_their_conversation(taught: Place) -> None:
    """What lies beside the newest version, joined with the labels that still stand; words only when asked for."""
    folder = taught.folder / "model"
    prepared = artifact.load(folder / "heads", encoder=None)

    async def label(stores: Stores) -> str:
        return (await stores.labels.newest(1))[0][0].id

    doubt = {"label": "money", "likely": "parcel", "label_probability": 0.1, "likely_probability": 0.8}
    listed = [{"id": taught.with_stores(label), **doubt}, {"id": "gone", **doubt}]
    versions.store(folder, prepared, kind="trained", made_at=NOW, extra={"suspicious.json": listed})
    shown = taught.run("labels", "suspicious").stdout
    assert "#1001" in shown
    assert "parcel" in shown
    assert SECRET not in shown
    (row,) = json.loads(taught.run("labels", "suspicious", "--reveal", "--json").stdout)
    assert row["text"] == SECRET


def test_training_on_nothing_says_so(taught: Place) -> None:
    """No label with text: no version, and no error."""

    async def forget(stores: Stores) -> None:
        found = await stores.labels.newest(1)
        await stores.database.write(partial(_forget, str(found[0][0].customer_id)))

    taught.with_stores(forget)
    done = taught.run("train")
    assert done.exit_code == 0
    assert "nothing to learn from" in done.stdout
    assert "none of auto, shadow, never" in taught.run("train", "--go-live", "maybe").stderr


# ---- explaining ------------------------------------------------------------------------------------------------------


def test_an_explanation_is_four_lines_and_hides_words(taught: Place) -> None:
    """Probabilities, words, examples, rules and versions; the customer's words with --reveal only, and audited."""
    hidden = taught.run("explain", "#1001")
    assert hidden.exit_code == 0, hidden.stderr
    lines = hidden.stdout.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["said", "words", "nearest", "rules", "read"]
    assert "parcel 91%" in lines[0]
    assert "queue Support 97%" in lines[0]
    assert "parcel" not in lines[1]
    assert "blend-then" in lines[4]
    shown = taught.run("explain", "1001", "--reveal").stdout
    assert "parcel" in shown.splitlines()[1]
    told = json.loads(taught.run("explain", "1001", "--reveal", "--json").stdout)
    assert told["then"][0] == ["parcel", 0.91]
    assert len(told["nearest"]) == 3
    assert taught.with_stores(_audited)[:3] == ["explain", "explain.reveal", "explain.reveal"]


def test_a_conversation_that_is_not_there_is_not_explained(taught: Place) -> None:
    """An unknown number, and what is no number."""
    assert "there is no conversation #77" in taught.run("explain", "77").stderr
    assert taught.run("explain", "abc").exit_code == 2


def test_reading_lines_leaves_priorities_out(tmp_path: Path) -> None:
    """An export holds changes of priority, too; they are no topics."""
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"text": "hi", "intent": "urgent", "kind": "priority"}) + "\n")
    assert labels_file.read(file, INTENTS, ["en"], lambda _text: "en") == []

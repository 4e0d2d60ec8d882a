"""The whole record out and in again: identical, whole or not at all, the same however often, on both engines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.changes import Changes
from domain.labels import LabelKind, Labelled, LabelSource
from domain.model import Actor, ActorKind, Attachment, EntryKind, Identity
from domain.profile import Source, Value
from storage import porting, shapes, tables
from storage.porting import Porting
from storage.profiles import Profiles
from tests.contracts import storage_kit
from tests.contracts.storage_kit import AGENT, NOW, Process, at, new_id, story

SCHEMA = Path(__file__).parents[2] / "docs" / "record-export.schema.json"
PHOTO = Attachment(id="A1", kind="photo", platform_id="F1", name="照片.jpg", mime="image/jpeg", size=1000)
Make = Callable[[str], str]


def ported(process: Process) -> Porting:
    return Porting(process.db, process.keys, process.inbox)


async def everything(process: Process) -> list[shapes.Line]:
    """All lines, as a file would hold them."""
    return [shapes.read(json.dumps(line)) async for line in ported(process).everything(NOW)]


async def take(process: Process, lines: list[shapes.Line]) -> porting.Taken:
    taken = porting.Taken()
    for unit in shapes.units((number, "", line) for number, line in enumerate(lines, 1)):
        taken.add(await ported(process).take([line for _, _, line in unit if line is not None]))
    return taken


async def filled(process: Process) -> None:
    """Two customers with all kinds of things about them, and one who was erased."""
    ann, li = story("Ann Example", "4711", intent="refund"), story("李雷", "4712")
    assessed = replace(ann.conversation, assessment={"top": [{"label": "refund"}], "read": ["x"]}, previous=new_id())
    told = ann.said("Here is it", seconds=3.25, attachments=(PHOTO,), details={"quoted": "??"}, reply_to="7")
    answer = ann.said("Thanks \x00 \ud83d", seconds=5, kind=EntryKind.OUTGOING, actor=AGENT, platform_id="17.5")
    label = Labelled(
        id=new_id(),
        conversation_id=assessed.id,
        customer_id=ann.customer.id,
        kind=LabelKind.INTENT,
        source=LabelSource.CORRECTION,
        label="refund",
        guess="order",
        right=False,
        language="en",
        confidence=1 / 3,
        abstained=False,
        weight=2.5,
        version="v1",
        at=NOW,
        text="refund please",
    )
    person = replace(ann.customer, consents={"training": True, "outreach": False}, tags=("vip",), segments=("new",))
    opening = replace(ann.opening("My parcel", "is late"), customer=person, conversation=assessed)
    await process.decide(replace(opening, entries=(*opening.entries, told, answer), labels=(label,)))
    await process.decide(li.opening("我要退款"))
    await process.db.write(
        lambda conn: conn.execute(
            tables.customer_links.insert(),
            [
                {
                    "id": new_id(),
                    "one": min(ann.customer.id, li.customer.id),
                    "other": max(ann.customer.id, li.customer.id),
                    "at": NOW.timestamp(),
                    "actor": "os:carol",
                    "reason": "the same person",
                }
            ],
        )
    )
    second = Identity(id=new_id(), customer_id=li.customer.id, channel="web", address="w1", name="Li")
    await process.decide(Changes(reason="met", identity=second))
    said = Value(value="Acme 公司", source=Source.IMPORT, actor="os:carol", at=NOW)
    await Profiles(process.db, process.keys).change(
        ann.customer.id,
        lambda found: found.said("company", said, "asked"),
        entry_id=new_id(),
        actor=Actor(kind=ActorKind.OPERATOR, id="carol"),
        reason="asked",
        now=at(60),
    )


async def test_what_goes_out_comes_in_identical(make_database: Make) -> None:
    """Out of one record, into an empty one, out again: the same lines; a second time changes nothing.

    Opened by keys of its own: the other record's hashes and lanes are made anew, so that people are found there.
    """
    async with (
        storage_kit.process(make_database("one"), make_database("one_keys")) as one,
        storage_kit.process(make_database("two"), make_database("two_keys")) as two,
    ):
        await filled(one)
        lines = await everything(one)
        taken = await take(two, lines)
        assert taken.known == 0
        assert taken.new["entry"] == len([line for line in lines if line["row"] == "entry"])
        assert await everything(two) == lines
        assert [row["number"] for row in await two.rows(tables.conversations)] == [1001, 1002]

        again = await take(two, lines)
        assert (again.known, again.renumbered, sum(again.new.values())) == (2, 0, 0)
        assert await everything(two) == lines

        [(_, _, count)] = await two.record.find_people("李雷")
        assert count == 1
        lane = two.inbox.lane("telegram", "telegram:4712")
        assert lane in {row["lane"] for row in await two.rows(tables.conversations)}
        await two.decide(story("New", "99").opening("hello"))
        assert max(row["number"] for row in await two.rows(tables.conversations)) == 1003


async def test_a_preview_counts_what_stood_earlier_in_the_file(one: Process) -> None:
    """As taking it over would: what comes twice is new once, one chat is one person's, numbers are given once."""

    async def told(*people: storage_kit.Story) -> list[list[shapes.Line]]:
        for person in people:
            await one.decide(person.opening("Hello"))
        units = shapes.units((number, "", line) for number, line in enumerate(await everything(one), 1))
        groups = [[line for _, _, line in unit if line is not None] for unit in units]
        return [group for group in groups if group[0][shapes.WHAT] == "customer"]

    def altered(group: list[shapes.Line], letter: str) -> list[shapes.Line]:
        """Somebody else with everything that is theirs: each id becomes another."""
        ids = {str(line["id"]) for line in group if "id" in line}
        words = json.dumps(group)
        for known in ids:
            words = words.replace(known, letter + known[1:])
        changed: list[shapes.Line] = json.loads(words)
        return changed

    [ann] = await told(story("Ann Example", "4711"))
    ann = altered(ann, "1")
    for line in ann:
        if line[shapes.WHAT] == "identity":
            line["address"] = "5000"
    earlier, carrier = porting.Earlier(), ported(one)
    first = await carrier.check(ann, earlier)
    again = await carrier.check(ann, earlier)
    assert (first.new["customer"], first.known, first.renumbered) == (1, 0, 1)
    assert (sum(again.new.values()), again.known, again.renumbered) == (0, 1, 0)
    other = altered(ann, "2")
    with pytest.raises(shapes.BadLine, match="already"):
        await carrier.check(other, earlier)
    for line in other:
        if line[shapes.WHAT] == "identity":
            line["address"] = "6000"
        if line[shapes.WHAT] == "conversation":
            line["number"] = 1002
    assert (await carrier.check(other, earlier)).renumbered == 1, "1002 is what the one before got"
    taken = [await carrier.take(ann), await carrier.take(ann), await carrier.take(other)]
    assert [(t.known, t.renumbered) for t in taken] == [(0, 1), (1, 0), (0, 1)]


async def test_a_customer_comes_in_whole_or_not_at_all(one: Process) -> None:
    """A chat that is somebody else's here, a stranger's line, an unknown word: nothing of that customer is taken over.

    A number that is taken here is given anew, and what it was is counted.
    """
    await filled(one)
    lines = [line for line in await everything(one) if line["row"] not in (shapes.HEADER, shapes.END)]
    lines = lines[next(place for place, line in enumerate(lines) if line["row"] == "customer") :]
    own = [line for line in lines if line.get("customer_id", line["id"]) == lines[0]["id"] and line["row"] != "clock"]
    text = json.dumps(own)
    for line in own:
        text = text.replace(line["id"], new_id()) if len(str(line.get("id"))) == 26 else text
    clash = json.loads(text)
    with pytest.raises(shapes.BadLine, match="already"):
        await ported(one).take(clash)
    for line in clash:
        line |= {"address": "777"} if line["row"] == "identity" else {}
        line |= {"desk_thread": None} if line["row"] == "conversation" else {}
    unknown = [line | ({"status": "parked"} if line["row"] == "conversation" else {}) for line in clash]
    with pytest.raises(shapes.BadLine, match="this release cannot read"):
        await ported(one).take(unknown)
    stranger = [line | ({"customer_id": new_id()} if line["row"] == "entry" else {}) for line in clash]
    with pytest.raises(shapes.BadLine, match="keep a customer's lines together"):
        await ported(one).take(stranger)
    before = len(await one.rows(tables.customers))
    assert (await ported(one).take(clash)).renumbered == 1
    assert len(await one.rows(tables.customers)) == before + 1


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cn"]), max_size=2)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the bounds are naive


@settings(max_examples=60)
@given(data=st.data())
def test_a_line_says_all_of_its_row(data: st.DataObject) -> None:
    """Whatever a row holds, its line gives it back, sealed texts with their control characters included."""
    key = bytes(32)
    shape = data.draw(st.sampled_from(shapes.SHAPES))
    line: dict[str, Any] = {"row": shape.type}
    for column in shape.columns:
        kind = shapes.schema_of(column)
        given = {
            "integer": st.integers(-1000, 1000),
            "number": st.floats(allow_nan=False, allow_infinity=False),
            "array": st.lists(WORDS, max_size=3),
            "object": st.dictionaries(WORDS, st.integers() | WORDS, max_size=3),
        }.get(kind["type"], TIMES.map(lambda one: one.isoformat()) if kind.get("format") else WORDS)
        line[column.name] = data.draw(st.none() | given if column.nullable else given)
    for name in () if shape.type in shapes.OF_FILES else shape.sealed:  # the bytes of files go their own way
        is_null = shape.table.c[f"{name}_sealed"].nullable
        line[name] = data.draw(st.none() | st.text() if is_null else st.text())
    read = shapes.read(json.dumps(line))
    assert shapes.written(shape, shapes.stored(shape, read, key), key) == line


@given(st.text() | st.dictionaries(st.text(max_size=4), st.integers() | st.text() | st.none()).map(json.dumps))
def test_whatever_a_line_is_it_is_read_or_refused_in_words(text: str) -> None:
    """No input raises anything else than a refusal that says what to do."""
    with contextlib.suppress(shapes.BadLine):
        shapes.read(text)


def test_no_table_is_forgotten() -> None:
    """Every table of the record is carried, or it is said why not; and so is every sealed or hashed column."""
    carried = {shape.table.name: shape for shape in shapes.SHAPES}
    assert carried.keys() | shapes.LEFT_OUT.keys() == set(tables.metadata.tables)
    assert not carried.keys() & shapes.LEFT_OUT.keys()
    for shape in carried.values():
        plain = {column.name for column in shape.columns}
        assert not [name for name in plain if name.endswith(("_sealed", "_mac"))], shape.type


def test_the_schema_is_published_as_it_is() -> None:
    """docs/record-export.schema.json is what this release writes."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == shapes.schema()

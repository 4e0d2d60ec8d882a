"""What people taught is written with its decision, sealed under the customer's key, and counted where not kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.changes import Changes
from domain.errors import Conflict
from domain.labels import LabelKind, Labelled, LabelSource
from storage import tables
from storage.labels import Labels
from storage.wishes import Wanted
from tests.contracts.storage_kit import NOW, Process, Story, at, new_id, story

SECRET = "my parcel is lost"


def labelled(found: Story, **fields: Any) -> Labelled:
    values: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": found.conversation.id,
        "customer_id": found.customer.id,
        "kind": LabelKind.INTENT,
        "source": LabelSource.CORRECTION,
        "label": "delivery_problem",
        "guess": "order_status",
        "right": False,
        "language": "en",
        "confidence": 0.83,
        "abstained": False,
        "weight": 25.0,
        "version": "blend-1",
        "at": NOW,
        "text": SECRET,
    }
    return Labelled(**(values | fields))


def teaching(*given: Labelled, **fields: Any) -> Changes:
    return Changes(reason="relabelled", labels=given, **fields)


@pytest.fixture
def labels(one: Process) -> Labels:
    return Labels(one.db, one.keys)


async def test_a_label_is_read_back_whole_and_lies_sealed(one: Process, labels: Labels) -> None:
    """Its text is readable with the customer's key only."""
    ann = story()
    await one.decide(ann.opening(SECRET))
    given = labelled(ann)
    await one.decide(teaching(given))
    assert [found for found, _ in await labels.newest(10)] == [given]
    assert await labels.by_id([given.id, "unknown"]) == {given.id: given}
    assert SECRET.encode() not in await one.dump()


async def test_a_label_is_written_with_its_decision_or_not_at_all(one: Process, labels: Labels) -> None:
    """A decision that loses its compare-and-set leaves neither label nor count."""
    ann = story()
    await one.decide(ann.opening(SECRET))
    stale = ann.changed(7)
    with pytest.raises(Conflict):
        await one.decide(Changes(reason="x", conversation=stale.conversation, labels=(labelled(ann),)))
    assert await labels.newest(10) == []
    assert await labels.counts() == []


async def test_what_may_not_be_kept_is_counted_only(one: Process, labels: Labels) -> None:
    """A label without text leaves a number and takes an earlier text about the same conversation away."""
    ann = story()
    await one.decide(ann.opening(SECRET))
    await one.decide(teaching(labelled(ann)))
    await one.decide(teaching(labelled(ann, text="", weight=0.0), labelled(ann, text="", weight=0.0)))
    assert await labels.newest(10) == []
    counted = [(count.label, count.guess, count.tenth, count.sampled, count.count) for count in await labels.counts()]
    assert counted == [
        ("delivery_problem", "order_status", 8, False, 2),
        ("delivery_problem", "order_status", 8, True, 1),
    ]


async def test_the_newest_word_about_a_conversation_counts(one: Process, labels: Labels) -> None:
    """Of two labels one is kept, in one batch and over two; priorities do not displace topics."""
    ann = story()
    await one.decide(ann.opening(SECRET))
    first, second, third = (labelled(ann, label=label) for label in ("a", "b", "c"))
    urgent = labelled(ann, kind=LabelKind.PRIORITY, label="urgent", guess="normal")
    await one.decide(teaching(first), teaching(second, urgent))
    assert [found.label for found, _ in await labels.newest(10)] == ["b"]
    await one.decide(teaching(third))
    assert [found.label for found, _ in await labels.newest(10)] == ["c"]
    assert [found.label for found, _ in await labels.newest(10, kind=LabelKind.PRIORITY)] == ["urgent"]


async def test_an_erased_customer_teaches_nothing_more(one: Process, labels: Labels) -> None:
    """Without the key the text is noise and the label is left out."""
    ann, bo = story(), story("Bo", "2")
    await one.decide(ann.opening(SECRET), bo.opening("hello"))
    await one.decide(teaching(labelled(ann)), teaching(labelled(bo, text="hello")))
    await one.keys.destroy(ann.customer.id, NOW)
    assert [found.text for found, _ in await labels.newest(10)] == ["hello"]


async def test_refusing_takes_the_words_back(one: Process) -> None:
    """Consent is read with the customer; who withdraws it has every labelled text removed."""
    ann = story()
    await one.decide(ann.opening(SECRET))
    await one.decide(teaching(labelled(ann)))

    async def asked() -> bool | None:
        found = await one.record.load([Wanted(key="k", conversation_id=ann.conversation.id)])
        assert found["k"].customer is not None
        return found["k"].customer.training

    async def says(**consents: bool) -> None:
        await one.decide(Changes(reason="consent", customer=replace(ann.customer, consents=consents)))

    assert await asked() is None
    await says(training=True)
    assert await asked() is True
    assert len(await one.rows(tables.labels)) == 1
    await says(training=False)
    assert await asked() is False
    assert await one.rows(tables.labels) == []


async def test_labels_from_a_file_belong_to_nobody(one: Process, labels: Labels) -> None:
    """They have a key of their own; the same line twice is one label; the newest come first."""
    given = [
        labelled(story(), id=f"f{place:025}", conversation_id=None, customer_id=None, text=text)
        for place, text in enumerate(("one", "two"))
    ]
    await labels.add(given, NOW)
    await labels.add(given[:1], at(5))
    assert [(found.text, when) for found, when in await labels.newest(10)] == [("one", at(5)), ("two", NOW)]
    assert [found.text for found, _ in await labels.newest(1)] == ["one"]
    assert await labels.count_since(None) == 2
    assert await labels.count_since(NOW) == 1


async def test_an_event_gets_the_messages_that_were_read(one: Process) -> None:
    """Exactly those that the newest assessment names, in its order, and only where they are asked for."""
    ann = story()
    opening = ann.opening("first", "second", "third")
    read = [opening.entries[2].id, opening.entries[0].id]
    await one.decide(opening)
    await one.decide(ann.changed(0, assessment={"read": read}))
    wanted = [Wanted(key=str(asked), conversation_id=ann.conversation.id, read=asked) for asked in (True, False)]
    found = await one.record.load(wanted)
    assert [entry.body for entry in found["True"].read] == ["third", "first"]
    assert found["False"].read == ()

"""What of a customer's words the desk is given where a queue or a channel asks for less."""

from __future__ import annotations

import json

import pytest

from bot import masking
from bot.desk import entries
from domain.changes import DeliveryKind
from domain.model import Actor, ActorKind, Attachment, Entry, EntryKind
from domain.ports import DeskDelivery
from domain.routing import MASKS, Mask, Queue
from tests.handlers.kit import NINE, rulebook

WORDS = "Call me at +49 170 1234567 or ann.example@example.com about my parcel"
FILE = Attachment(id="A", kind="document", platform_id="F", name="contract of +491701234567.pdf", mime="", size=1)


def said(body: str = WORDS, kind: EntryKind = EntryKind.INCOMING) -> Entry:
    return Entry(
        id="01J00000000000000000000000",
        conversation_id="01J00000000000000000000001",
        customer_id="01J00000000000000000000002",
        kind=kind,
        actor=Actor(kind=ActorKind.CUSTOMER),
        at=NINE,
        body=body,
        details={"quoted": "my number is +49 170 1234567"},
        attachments=(FILE,),
    )


def shown(mask: Mask, entry: Entry) -> str:
    given = DeskDelivery(id="D", kind=DeliveryKind.DESK_ENTRY, place="C", entry=entry, company=(entry,))
    made = masking.delivery(given, mask)
    assert made.entry is not None
    posts = [entries.entry_post(one, lambda _user: None) for one in (made.entry, *made.company)]
    whole = [[post.text, post.blocks] for post in posts] + [[one.name for one in made.entry.attachments]]
    return json.dumps(whole, ensure_ascii=False)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", [EntryKind.INCOMING, EntryKind.INCOMING_EDIT])
def test_no_more_of_it_reaches_the_desk_than_the_mask_lets_through(mask: Mask, kind: EntryKind) -> None:
    """Personal data is masked in words, quoted lines and files' names; of everything, nothing is left but Reveal."""
    post = shown(mask, said(kind=kind))
    assert ("1234567" in post) == (mask == "none")
    assert ("ann.example@example.com" in post) == (mask == "none")
    assert ("about my parcel" in post) == (mask != "everything")
    assert ("reveal_message" in post) == (mask != "none")
    assert ("contract" in post) == (mask != "everything")


def test_what_is_not_masked_needs_no_button() -> None:
    """A message without personal data is shown as it is; colleagues' lines are their own."""
    plain = Entry(
        id="E", conversation_id="C", customer_id="U", kind=EntryKind.INCOMING, actor=said().actor, at=NINE, body="Hello"
    )
    assert masking.entry(plain, "personal") == plain
    note = said(kind=EntryKind.NOTE)
    assert masking.entry(note, "everything") == note


def test_the_strictest_of_queue_and_channel_counts() -> None:
    """A channel that must not have the words does not get them from another queue's conversation either."""
    queues = {
        "open": Queue(name="open", title="Open", slack_channel="C0OPEN"),
        "home": Queue(name="home", title="Home", slack_channel="C0HOME", more_channels=("C0MORE",), mask="everything"),
        "care": Queue(name="care", title="Care", slack_channel="C0CARE", mask="personal"),
    }
    rules = rulebook(queues=queues)
    table = {
        ("C0OPEN", "open"): "none",
        ("C0HOME", "open"): "everything",
        ("C0MORE", "care"): "everything",
        ("C0OPEN", "care"): "personal",
        ("C0CARE", "home"): "everything",
        ("C0GONE", "gone"): "none",
    }
    assert {(channel, queue): rules.mask_in(channel, queue) for channel, queue in table} == table

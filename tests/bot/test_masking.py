"""What of a customer's words the desk is given where a queue or a channel asks for less."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bot import masking
from bot.desk import entries, files
from domain.changes import DeliveryKind
from domain.model import Actor, ActorKind, Attachment, Entry, EntryKind
from domain.ports import DeskDelivery, File
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
        details={"quoted": "my number is +49 170 1234567", "forwarded_from": "Bob Sample"},
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
    assert ("Bob Sample" in post) == (mask == "none")
    assert ("B••• S•••" in post) == (mask == "personal")
    assert ("about my parcel" in post) == (mask != "everything")
    assert ("reveal_message" in post) == (mask != "none")
    assert ("contract" in post) == (mask != "everything")


async def content() -> AsyncIterator[bytes]:
    yield b"%PDF"


@pytest.mark.parametrize(
    ("mask", "name"), [("none", FILE.name), ("personal", "contract of [phone].pdf"), ("everything", None)]
)
def test_a_file_goes_up_under_no_more_of_its_name_than_the_mask_lets_through(mask: Mask, name: str | None) -> None:
    """What is uploaded, titled and looked for is the name as the post has it; of everything, there is no file."""
    file = File(name=FILE.name, mime="application/pdf", size=1, open=content)
    given = DeskDelivery(id="D" * 26, kind=DeliveryKind.DESK_FILE, place="C", entry=said(), file=file)
    made = masking.delivery(given, mask)
    assert (made.file and made.file.name) == name
    if made.file is not None:
        shown_as = files.upload_name(made, made.file.name)
        assert ("1234567" in shown_as) == (mask == "none")
        assert files.is_file_of(made, {"files": [{"id": "F1", "name": shown_as}]}, made.file.name) == "F1"


@pytest.mark.parametrize(
    ("name", "shown_as"),
    [
        ("contract of +491701234567.pdf", "contract of [phone].pdf"),
        ("contract__491701234567_v2.pdf", "contract_[phone]_v2.pdf"),
        ("scan_4111111111111111_front.jpg", "scan_[card]_front.jpg"),
        ("ann_example.com.vcf", "[email].vcf"),
        ("ann@example.com", "[email]"),
        ("my_report.pdf", "my_report.pdf"),
        ("IMG_20240101_123456.jpg", "IMG_20240101_123456.jpg"),
        ("notes", "notes"),
    ],
)
def test_a_name_is_read_as_it_was_before_it_was_made_safe(name: str, shown_as: str) -> None:
    """Underscores hide nothing: neither as spaces nor in place of a plus or an at sign."""
    assert masking.filename(name) == shown_as


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

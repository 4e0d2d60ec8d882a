"""A customer's card: masked for everybody, in the clear for who may; never markup, never too long for Slack."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.desk import blocks, persons, words
from domain.contacts import ContactKind, ContactPoint
from domain.model import Actor, ActorKind, Entry, EntryKind, Identity, Status, Thread
from domain.ports import PersonView
from domain.profile import Source
from handlers.persons import REASONS
from tests.bot.desk.kit import MAYA, conversation
from tests.contracts.storage_kit import NOW

AGENT = Actor(kind=ActorKind.AGENT, id=MAYA)
EVIL = "<!channel> *Bot:* <https://bank.example|https://evil.example>"


def note(body: str) -> Entry:
    """An agent's note."""
    return Entry(id="E1", conversation_id="C1", customer_id="K1", kind=EntryKind.NOTE, actor=AGENT, at=NOW, body=body)


def view(**fields: object) -> PersonView:
    """Anna, with one open conversation and a note."""
    identity = Identity(
        id="I1", customer_id="K1", channel="telegram", address="5100000012", name="Anna", username="anna_b"
    )
    given: dict[str, object] = {
        "name": "Anna Beispiel",
        "language": "en",
        "since": NOW,
        "identities": (identity,),
        "segments": ("returning",),
        "tags": ("vip",),
        "consents": {"training": False, "outreach": True},
        "conversations": (conversation(status=Status.OPEN, intent="refund"),),
        "entries": (note("call her at +49 170 1234567 after noon"),),
        "topics": {"refund": "Return or refund"},
    }
    return PersonView(**(given | fields))  # type: ignore[arg-type]


def said(of: PersonView, *, clear: bool = False) -> str:
    """All blocks as one text."""
    return json.dumps(persons.post(of, clear=clear).blocks, ensure_ascii=False)


def test_the_card_is_masked_until_it_is_revealed() -> None:
    """Name, address, user name and what is personal in notes; the rest helps without being personal."""
    masked, clear = said(view()), said(view(), clear=True)
    for personal in ("Anna Beispiel", "5100000012", "anna_b", "1234567"):
        assert personal not in masked
        assert personal in clear
    for word in ("returning", "vip", "Return or refund", "outreach", "training", "English"):
        assert word in masked


def test_reveal_offers_reasons_and_is_gone_once_revealed() -> None:
    """Five reasons, each with the conversation it belongs to; in the clear there is nothing more to press."""
    post = persons.post(view(), clear=False)
    (menu,) = post.blocks[-1]["elements"]
    assert (menu["action_id"], len(menu["options"])) == ("reveal", len(REASONS))
    values = [blocks.read_value(option["value"]) for option in menu["options"]]
    assert [value for _, _, value in values] == list(REASONS)
    assert all(block["type"] != "actions" for block in persons.post(view(), clear=True).blocks)


def test_a_number_that_two_histories_share_stands_once() -> None:
    """Of people found to be one each has told it: it is shown as it is known best, and every other number beside it."""
    told = ContactPoint(
        id="P1", customer_id="A", kind=ContactKind.PHONE, value="+491701234567", type="mobile",
        source=Source.AGENT, added_at=NOW,
    )  # fmt: skip
    sure, other = replace(told, id="P2", customer_id="B", verified_at=NOW), replace(told, id="P3", value="+4930123456")
    for contacts in ((told, sure, other), (sure, told, other)):
        shown = said(view(contacts=contacts), clear=True)
        assert shown.count("+491701234567 (verified") == shown.count("+491701234567") == 1
        assert shown.count("+4930123456 (not verified)") == 1


def pressed(of: PersonView, action: str) -> list[tuple[str | None, str | None]]:
    """What a button or the options of a menu carry: which conversation, and what of it."""
    found: list[blocks.Block] = [
        one for block in persons.post(of, clear=False).blocks for one in block.get("elements", ())
    ]
    element: blocks.Block = next((one for one in found if one.get("action_id") == action), {})
    values = [one["value"] for one in element.get("options", [element] if element else [])]
    return [(conversation, value) for conversation, _, value in map(blocks.read_value, values)]


def test_of_several_customers_the_one_whose_card_it_is_is_acted_on() -> None:
    """Also where another one wrote last: a point is asked about in its owner's own chat."""
    own, other = "01M81BVCA00SN037T5A2NPNCAA", "01M81BVCA00SN037T5A2NPNCBB"
    cases = (conversation(id="C1", number=1, customer_id=own), conversation(id="C2", number=2, customer_id=other))
    points = tuple(
        ContactPoint(
            id=name,
            customer_id=whose,
            kind=ContactKind.PHONE,
            value="+491701234567",
            type="mobile",
            source=Source.AGENT,
            added_at=NOW,
        )
        for name, whose in (("P1", own), ("P2", other))
    )
    both = view(customer_id=own, conversations=cases, fields=("company",), contacts=points, due=frozenset(("P1", "P2")))
    assert pressed(both, "correct") == [("C1", "form=correct:company")]
    assert pressed(both, "reveal") == [("C1", f"{reason}:{own}") for reason in REASONS]
    assert pressed(both, "ask_contact:0") == [("C1", "P1")]
    assert pressed(both, "ask_contact:1") == [("C2", "P2")]
    silent = replace(both, conversations=cases[1:])
    assert pressed(silent, "correct") == [], "it would change the other one's profile"
    assert pressed(silent, "reveal")[0] == ("C2", f"{REASONS[0]}:{own}")
    assert pressed(silent, "ask_contact:0") == [("C2", "P1")]


def test_nobodys_words_are_markup() -> None:
    """A name and a note that look like Slack's own signs stay text."""
    found = said(view(name=EVIL, entries=(note(EVIL),)), clear=True)
    assert "<!channel>" not in found
    assert "|https://evil.example>" not in found


@pytest.mark.parametrize("count", [0, 1, 40])
def test_it_fits_however_much_there_is(count: int) -> None:
    """Only the newest conversations and notes are shown, each cut; the rest is counted."""
    many = tuple(conversation(number=1000 + place) for place in range(count))
    notes = tuple(replace(note("x" * 5000), id=f"E{place}") for place in range(count))
    post = persons.post(view(conversations=many, entries=notes), clear=True)
    texts = [block["text"]["text"] for block in post.blocks if block["type"] == "section"]
    assert all(len(one) <= blocks.SECTION_LIMIT for one in texts)
    assert ("and 35 earlier" in said(view(conversations=many))) is (count == 40)


def test_what_was_kept_inside_and_then_sent_is_no_note() -> None:
    """The customer has read it: it does not stand among what colleagues noted."""
    kept, aside = replace(note("We pay it back"), platform_id="17.1"), replace(note("a regular"), platform_id="17.2")
    sent = replace(kept, kind=EntryKind.OUTGOING)
    shown = said(view(entries=(kept, aside, sent)))
    assert "We pay it back" not in shown
    assert "a regular" in shown


def test_fields_and_channels_stand_there_as_the_reader_calls_them() -> None:
    """In either language by their names; what only this company has is called as it calls it."""
    anna = view(channels={"telegram": "Telegram"}, profile={"loyalty_points": "7", "shoe_size": "38"})
    for language, lines in (
        ("en", ("Telegram: 51", "Loyalty points: 7", "Shoe size: 38")),
        ("zh", ("Telegram：51", "积分：7", "Shoe size：38")),
    ):
        with words.reading(language):
            shown = said(anna, clear=True)
        assert [line for line in lines if line not in shown] == []


def test_an_erased_customer_is_called_so() -> None:
    """Nothing is left to show, and nothing to reveal."""
    found = said(view(name="", identities=(), conversations=(), entries=(), consents={}))
    assert "erased" in found
    assert "reveal" not in found


def test_how_conversations_ended_and_how_the_customer_found_it() -> None:
    """Each with its outcome and the tap; beneath the profile how many said what so far."""
    ended = replace(conversation(status=Status.DONE, intent="refund"), outcome="cannot_help")
    ended = replace(ended, thread=Thread(channel="C1", ts="1.1"))
    seen = view(conversations=(ended,), ratings={ended.id: "bad"})
    (place,) = persons.places(seen)
    told = json.dumps(persons.post(seen, clear=False, links={place: "https://slack.example/p1"}).blocks)
    assert f"<https://slack.example/p1|#{ended.number}>" in told
    assert "could not be helped" in told
    assert "they found it bad" in told
    assert "of 1 said: 0 good, 0 partly, 1 bad" in told
    assert "Satisfaction" not in json.dumps(persons.post(view(), clear=False).blocks)


def test_a_line_counts_as_a_note_as_it_stands_now() -> None:
    """Kept inside and then sent it is none; sent and then called back it is one, and once, wherever it went along."""
    kept = replace(note("tell them tomorrow"), platform_id="1700000000.000001")
    sent = replace(kept, kind=EntryKind.OUTGOING)
    assert "tell them tomorrow" not in said(view(entries=(kept, sent)), clear=True)
    moved = replace(kept, conversation_id="C2")
    assert said(view(entries=(sent, kept, moved)), clear=True).count("tell them tomorrow") == 1

"""Stored updates as events."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.channels import telegram_parse
from domain import albums
from domain.changes import DeliveryKind
from domain.errors import MalformedEvent
from domain.events import (
    CustomerChoice,
    CustomerCommand,
    CustomerEdit,
    CustomerMessage,
    CustomerMoved,
    CustomerReach,
    CustomerRef,
    Event,
    Ignored,
)
from tests.bot.channels.conftest import message
from tests.handlers.kit import Desk

AT = datetime.fromtimestamp(1_760_000_000, UTC)
LIMIT = 20 * 1024 * 1024
ANN = CustomerRef(channel="telegram", address="42", name="Ann Lee", language="en")


def parse(update: object) -> Event | Ignored:
    return telegram_parse.parse(json.dumps(update), source="telegram", download_limit=LIMIT)


def holding(words: str, **fields: object) -> dict[str, Any]:
    update = message(1, words)
    update["message"].update(fields)
    return update


def parsed(**fields: object) -> CustomerMessage:
    event = parse(holding("", **fields))
    assert isinstance(event, CustomerMessage)
    return event


def file(**more: object) -> dict[str, object]:
    return {"file_id": "AAQ", "file_unique_id": "U1", **more}


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ("静", "李", "李静"),
        ("若兰", "欧阳", "欧阳若兰"),
        ("Ann", "李", "Ann 李"),
        ("静", None, "静"),
        (None, "Lee", "Lee"),
    ],
)
def test_a_name_reads_as_its_owner_writes_it(first: str | None, last: str | None, name: str) -> None:
    """Telegram keeps given and family name apart; Chinese names begin with the family's and have no space."""
    sender = {"id": 42, "is_bot": False, "first_name": first or "", "last_name": last}
    assert parsed(**{"from": sender, "text": "x"}).customer.name == name


def test_a_text_says_who_wrote_what_when() -> None:
    """Name, language, time, message and the answered message come from Telegram."""
    answered = message(3)["message"]
    event = parse(message(1, "Where is\r\nmy parcel?", reply_to_message=answered))
    assert event == CustomerMessage(
        customer=ANN,
        at=AT,
        message_id="10",
        kind="text",
        text="Where is\nmy parcel?",
        reply_to="30",
        details={"quoted": "Where is my parcel?"},
    )
    assert AT.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("said", "language"), [("zh-hans", "zh"), ("pt_BR", "pt"), ("EN", "en"), ("", None), (None, None), ("x-y", None)]
)
def test_a_language_is_its_primary_part(said: str | None, language: str | None) -> None:
    """What texts are chosen by."""
    update = message(1)
    update["message"]["from"]["language_code"] = said
    event = parse(update)
    assert isinstance(event, CustomerMessage)
    assert event.customer.language == language


def test_what_cannot_be_seen_does_not_deceive() -> None:
    """Bidi overrides and controls go from text and name; half a character becomes a replacement."""
    update = message(1, "pay\u202e gpj.exe\x00 \ud83d")
    update["message"]["from"]["first_name"] = "Ann\u202e\n\x07"
    event = parse(update)
    assert isinstance(event, CustomerMessage)
    assert event.text == "pay gpj.exe \ufffd"
    assert event.customer.name == "Ann Lee"


def test_a_nameless_customer_is_called_by_handle_or_number() -> None:
    """A card never shows an empty name."""
    update = message(1)
    update["message"]["from"] = {"id": 42, "is_bot": False, "first_name": "\u200b"}
    event = parse(update)
    assert isinstance(event, CustomerMessage)
    assert event.customer.name == "42"
    update["message"]["from"]["username"] = "ann_lee"
    event = parse(update)
    assert isinstance(event, CustomerMessage)
    assert (event.customer.name, event.customer.username) == ("ann_lee", "ann_lee")


def test_a_hidden_link_is_shown() -> None:
    """An agent sees where a link leads, also behind characters that count twice."""
    entity = {"type": "text_link", "offset": 3, "length": 4, "url": "https://evil.example/x"}
    event = parse(message(1, "🎁 here now", entities=[entity]))
    assert isinstance(event, CustomerMessage)
    assert event.text == "🎁 here (https://evil.example/x) now"
    out_of_range = {**entity, "length": 400}
    event = parse(message(1, "🎁 here now", entities=[out_of_range]))
    assert isinstance(event, CustomerMessage)
    assert event.text == "🎁 here now"


def test_a_photo_whose_measures_are_no_numbers_is_a_photo() -> None:
    """A width of "1.1" is no number: taken two thousand million times it would be a text of six gigabytes."""
    sizes = [file(width="1.1", height=2_147_483_648), file(width=[1], height=2_147_483_648), file(width=1, height=1)]
    event = parsed(photo=sizes)
    assert (event.kind, len(event.attachments)) == ("photo", 1)


def test_a_photo_is_its_largest_size_with_the_caption() -> None:
    """The agent gets the picture as sharp as it came."""
    sizes = [
        file(width=90, height=90, file_size=900),
        {**file(width=900, height=900, file_size=90_000), "file_id": "BIG"},
    ]
    event = parsed(photo=sizes, caption="Broken here")
    (attachment,) = event.attachments
    assert (event.kind, event.text) == ("photo", "Broken here")
    assert (attachment.platform_id, attachment.name, attachment.mime, attachment.size) == (
        "BIG",
        "photo.jpg",
        "image/jpeg",
        90_000,
    )


def test_a_document_keeps_its_name_where_that_is_safe() -> None:
    """No folder, no control characters, no false type."""
    event = parsed(document=file(file_name="../../etc/Rechnung\u202e.pdf", mime_type="application/pdf", file_size=10))
    (attachment,) = event.attachments
    assert (event.kind, attachment.name, attachment.mime) == ("document", "Rechnung.pdf", "application/pdf")
    event = parsed(document=file(mime_type="text/html\r\nX: y"))
    (attachment,) = event.attachments
    assert (attachment.name, attachment.mime, attachment.size) == ("file", "application/octet-stream", None)


def test_a_file_over_the_limit_says_so() -> None:
    """It is shown with name, size and the reason; the message itself counts."""
    (attachment,) = parsed(video=file(width=1, height=1, duration=1, file_size=LIMIT + 1)).attachments
    assert attachment.problem == "too_large"


SHAPES: dict[str, dict[str, object]] = {
    "photo": {"width": 1, "height": 1},
    "document": {"file_name": "a.pdf"},
    "video": {"width": 1, "height": 1, "duration": 1},
    "audio": {"duration": 3},
    "voice": {"duration": 3},
    "animation": {"width": 1, "height": 1, "duration": 1},
    "video_note": {"length": 10, "duration": 3},
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1], ids=["at the limit", "over it"])
def test_every_file_that_was_sent_is_shown_or_named(kind: str, count: int, size: int) -> None:
    """1, 2 and 10 files of each kind at the limit: one message, each in its place; over it each with the reason."""
    parts = []
    for number in range(count):
        one = file(**SHAPES[kind], file_size=size) | {"file_id": f"A{number}"}
        parts.append(
            parsed(**{kind: [one] if kind == "photo" else one}, media_group_id="7", caption="" if number else "x")
        )
    whole = albums.joined(parts)
    assert [one.platform_id for one in whole.attachments] == [f"A{number}" for number in range(count)]
    assert {one.problem for one in whole.attachments} == {None if size == LIMIT else "too_large"}
    assert {(one.kind, one.size) for one in whole.attachments} == {(kind, size)}
    desk = Desk()
    decided = desk.writes(whole.text, attachments=whole.attachments, kind=whole.kind)
    shown = [row.part for row in decided.outbox if row.kind is DeliveryKind.DESK_FILE]
    assert shown == list(range(count))


@pytest.mark.parametrize(
    ("fields", "kind", "text", "files"),
    [
        ({"voice": file(duration=3)}, "voice", "", 1),
        ({"audio": file(duration=3, file_name="song.mp3")}, "audio", "", 1),
        ({"video_note": file(length=10, duration=3)}, "video_note", "", 1),
        (
            {"animation": file(width=1, height=1, duration=1), "document": file(file_name="a.gif")},
            "animation",
            "",
            1,
        ),
        (
            {
                "sticker": file(
                    width=1, height=1, is_animated=False, is_video=False, type="regular", emoji="👍", set_name="s"
                )
            },
            "sticker",
            "👍",
            1,
        ),
        ({"location": {"latitude": 52.52, "longitude": 13.405}}, "location", "52.520000, 13.405000", 0),
        ({"contact": {"first_name": "Bo", "phone_number": "+49 30 1"}}, "contact", "Bo +49 30 1", 0),
        ({"dice": {"emoji": "🎲", "value": 4}}, "dice", "🎲 4", 0),
        ({"hologram": {"depth": 3}}, "hologram", "", 0),
        ({"hologram": {"depth": 3}, "caption": "Look"}, "hologram", "Look", 0),
        ({"Bad Name!": 1}, "unknown", "", 0),
        ({}, "unknown", "", 0),
    ],
)
def test_every_kind_of_message_is_a_message(fields: dict[str, object], kind: str, text: str, files: int) -> None:
    """Also one that Telegram invents tomorrow: nothing is lost for being unknown."""
    event = parsed(**fields)
    assert (event.kind, event.text, len(event.attachments)) == (kind, text, files)


@pytest.mark.parametrize(
    ("text", "command", "argument"),
    [
        ("/start", "start", ""),
        ("/start order-1042", "start", "order-1042"),
        ("/help@acme_support_bot", "help", ""),
        ("/PRIVACY", "privacy", ""),
        ("  /start  a  b ", "start", "a b"),
    ],
)
def test_commands_are_commands(text: str, command: str, argument: str) -> None:
    """With the bot's name, a deep link's argument, in any case."""
    event = parse(message(1, text))
    assert isinstance(event, CustomerCommand)
    assert (event.command, event.argument, event.message_id) == (command, argument, "10")


def tap(data: object = "consent:training:1", **fields: object) -> dict[str, Any]:
    """A tap on a button under a message of ours."""
    below = message(7)["message"]
    query = {"id": "4711", "from": below["from"], "message": below, "chat_instance": "-1", "data": data}
    return {"update_id": 1, "callback_query": query | fields}


def test_a_tap_on_a_button_is_a_choice() -> None:
    """Who tapped what under which message, and what Telegram wants answered."""
    event = parse(tap())
    assert event == CustomerChoice(customer=ANN, query_id="4711", message_id="70", choice="consent:training:1")


@pytest.mark.parametrize("data", ["", "x" * 80 + "!", "<b>", 5, None])
def test_a_button_that_is_not_ours_is_left_alone(data: object) -> None:
    """What another program's button carries is no choice of ours."""
    assert parse(tap(data)) == Ignored(reason="unknown_button")


def test_a_tap_in_a_group_is_nobodys_choice() -> None:
    """Anybody in a group can tap: nothing about one person follows from it."""
    below = {**message(7)["message"], "chat": {"id": -5, "type": "group", "title": "Team"}}
    assert parse(tap(message=below)) == Ignored(reason="tap_in_group")
    assert parse(tap(message=None)) == Ignored(reason="tap_without_message")


@pytest.mark.parametrize("number", [None, "", "a b", 7])
def test_a_tap_without_an_id_is_malformed(number: object) -> None:
    """It could not be answered."""
    with pytest.raises(MalformedEvent):
        parse(tap(id=number))


@pytest.mark.parametrize("text", ["/refund now", "I pressed /start", "/starting", "/ help", "//start"])
def test_other_words_with_a_slash_are_messages(text: str) -> None:
    """A question is not swallowed for looking like a command."""
    assert isinstance(parse(message(1, text)), CustomerMessage)


def edited(**fields: object) -> dict[str, object]:
    return {"update_id": 9, "edited_message": holding("", edit_date=1_760_000_060, **fields)["message"]}


def test_an_edit_carries_the_whole_new_text() -> None:
    """At the time of the edit, for the message that was edited."""
    expected = CustomerEdit(customer=ANN, at=AT + timedelta(seconds=60), message_id="10", text="to Bonn")
    assert parse(edited(text="to Bonn")) == expected
    assert parse(edited(photo=[file(width=1, height=1)], caption="to Bonn")) == expected


def test_a_moving_location_is_not_an_edit() -> None:
    """A shared live location edits itself every few seconds."""
    assert parse(edited(location={"latitude": 1.0, "longitude": 2.0})) == Ignored(reason="live_location")


def membership(status: str, chat: dict[str, object] | None = None) -> dict[str, object]:
    bot = {"id": 123456, "is_bot": True, "first_name": "Support"}
    until = {"until_date": 0} if status == "kicked" else {}
    return {
        "update_id": 5,
        "my_chat_member": {
            "chat": chat or {"id": 42, "type": "private", "first_name": "Ann"},
            "from": message(1)["message"]["from"],
            "date": 1_760_000_000,
            "old_chat_member": {"user": bot, "status": "member"},
            "new_chat_member": {"user": bot, "status": status, **until},
        },
    }


def test_blocking_and_unblocking_are_known() -> None:
    """Agents learn at once that an answer would not arrive."""
    blocked = CustomerReach(customer=ANN, at=AT, reachable=False, reason="blocked")
    assert parse(membership("kicked")) == blocked
    assert parse(membership("member")) == CustomerReach(customer=ANN, at=AT, reachable=True)
    assert parse(membership("left", {"id": -5, "type": "group", "title": "G"})) == Ignored(reason="group_membership")


GROUP = {"id": -77, "type": "group", "title": "Acme\u202e & Sons"}


def test_a_group_is_one_customer() -> None:
    """Answers go to all who are in it, so it goes by its own name."""
    event = parse(message(1, "hi", chat=GROUP))
    assert isinstance(event, CustomerMessage)
    assert (event.customer.address, event.customer.name) == ("-77", "Acme & Sons")


def test_a_group_that_moves_is_followed() -> None:
    """The old address leads to the new one, whether the old chat or the new one says so first."""
    moved = CustomerMoved(channel="telegram", at=AT, old_address="-77", new_address="-1001234")
    assert parse(message(1, text="", chat=GROUP, migrate_to_chat_id=-1001234)) == moved
    again = message(2, text="", chat={**GROUP, "id": -1001234, "type": "supergroup"}, migrate_from_chat_id=-77)
    assert parse(again) == moved


FORUM = {"id": -1009, "type": "supergroup", "title": "Shop", "is_forum": True}
IN_TOPIC: dict[str, Any] = {"chat": FORUM, "message_thread_id": 7, "is_topic_message": True}
OPENED = {"message_id": 7, "date": 1, "chat": FORUM, "forum_topic_created": {"name": "Orders", "icon_color": 1}}


@pytest.mark.parametrize(
    ("groups", "more", "address", "name"),
    [
        ("chat", IN_TOPIC, "-1009", "Shop"),
        ("topic", {**IN_TOPIC, "reply_to_message": OPENED}, "-1009/7", "Shop / Orders"),
        ("topic", IN_TOPIC, "-1009/7", "Shop / 7"),
        ("topic", {"chat": FORUM}, "-1009", "Shop"),
        ("topic", {"chat": GROUP, "message_thread_id": 7}, "-77", "Acme & Sons"),  # a thread of replies is no topic
        ("customer", IN_TOPIC, "-1009@42", "Ann Lee (Shop)"),
        ("customer", {}, "42", "Ann Lee"),
    ],
)
def test_whose_conversation_it_is_in_a_group(
    groups: telegram_parse.Groups, more: dict[str, Any], address: str, name: str
) -> None:
    """As configured: all in the chat, those in a topic of it, or each person. A private chat is the person's."""
    payload = json.dumps(message(1, "hi", **more))
    event = telegram_parse.parse(payload, source="telegram", download_limit=1000, groups=groups)
    assert isinstance(event, CustomerMessage)
    assert (event.customer.address, event.customer.name) == (address, name)
    assert event.customer.is_named is (name != "Shop / 7"), "a number replaces no name that is known"
    assert event.reply_to is None


@pytest.mark.parametrize("kind", ["voice", "photo"])
def test_a_message_without_words_that_is_answered_is_told_by_its_kind(kind: str) -> None:
    """How it is called is for whoever reads it, in their language."""
    file = {"file_id": "A", "file_unique_id": "B", "file_size": 3, "duration": 1, "width": 1, "height": 1}
    answered = {**message(3, text="")["message"], kind: [file] if kind == "photo" else file}
    event = parse(message(1, "this one", reply_to_message=answered))
    assert isinstance(event, CustomerMessage)
    assert (event.reply_to, dict(event.details)) == ("30", {"quoted_kind": kind})


def test_who_passes_something_on_from_nobody_known_says_so() -> None:
    """An origin of a kind that Telegram has invented since."""
    event = parse(message(1, "look", forward_origin={"type": "telepathy", "date": 1}))
    assert isinstance(event, CustomerMessage)
    assert dict(event.details) == {"forwarded": "yes"}


def test_a_message_of_a_topic_answers_nothing_by_being_in_it() -> None:
    """Telegram hangs each on the message that opened the topic: that is no quotation."""
    event = parse(message(1, "hi", **IN_TOPIC, reply_to_message=OPENED))
    assert isinstance(event, CustomerMessage)
    assert (event.reply_to, event.thread, dict(event.details)) == (None, "7", {})


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"update_id": 1, "inline_query": {"id": "1"}}, "inline_query"),
        ({"update_id": 1, "poll": {"id": "1"}}, "poll"),
        ({"update_id": 1, "telepathy": {}}, "unknown_update"),
        (message(1, text="", pinned_message={"message_id": 1, "date": 0, "chat": GROUP}), "service:pinned_message"),
        (holding("beep", **{"from": {"id": 9, "is_bot": True, "first_name": "Bot"}}), "from_bot"),
    ],
)
def test_what_concerns_nobody_is_ignored_with_a_reason(update: object, reason: str) -> None:
    """No conversation opens and no clock starts for it."""
    assert parse(update) == Ignored(reason=reason)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"entities": [{"type": 5}]}, "Where is my parcel?"),
        ({"entities": "bold"}, "Where is my parcel?"),
        ({"reply_to_message": "no"}, "Where is my parcel?"),
        ({"forward_origin": {"type": "user"}}, "Where is my parcel?"),
    ],
)
def test_words_survive_what_surrounds_them(fields: dict[str, object], text: str) -> None:
    """A field that the library cannot read does not cost the customer's message."""
    event = parse(holding("Where is my parcel?", **fields))
    assert isinstance(event, CustomerMessage)
    assert event.text == text


def test_a_missing_update_id_does_not_cost_the_message() -> None:
    """It matters to the inbox only."""
    assert isinstance(parse({"message": message(1)["message"]}), CustomerMessage)


@pytest.mark.parametrize("payload", ["", "{", "[]", "null", '"x"', "[" * 50_000, "{}", '{"update_id": 3}'])
def test_what_is_no_update_is_set_aside(payload: str) -> None:
    """With a reason, never another error."""
    with pytest.raises(MalformedEvent) as raised:
        telegram_parse.parse(payload, source="telegram", download_limit=LIMIT)
    assert str(raised.value)


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"contact": {"first_name": "Ann", "phone_number": "491701234567", "user_id": 42}}, True),
        ({"contact": {"first_name": "Bo", "phone_number": "491701234567", "user_id": 43}}, False),
        ({"contact": {"first_name": "Bo", "phone_number": "491701234567"}}, False),
        (
            {
                "contact": {"first_name": "Ann", "phone_number": "491701234567", "user_id": 42},
                "forward_origin": {"type": "hidden_user", "date": 1, "sender_user_name": "Ann"},
            },
            False,
        ),
    ],
)
def test_only_their_own_contact_is_theirs(fields: dict[str, Any], own: bool) -> None:
    """Telegram resolves whose number it is; what is passed on, and what has no user, proves nothing."""
    event = parsed(**fields)
    assert event.details["contact_phone"] == "491701234567"
    assert (event.details.get("contact_own") == "yes") is own

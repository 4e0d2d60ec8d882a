"""Whatever JSON arrives in place of an update: it is stored, and it is an event, ignored, or set aside."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels import telegram_arrivals, telegram_parse
from domain.errors import MalformedEvent
from tests.bot.channels.conftest import message, writable

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
PLACES = [
    ("update_id",),
    ("message",),
    ("message", "message_id"),
    ("message", "date"),
    ("message", "chat"),
    ("message", "chat", "id"),
    ("message", "chat", "type"),
    ("message", "from"),
    ("message", "from", "first_name"),
    ("message", "from", "language_code"),
    ("message", "text"),
    ("message", "caption"),
    ("message", "entities"),
    ("message", "photo"),
    ("message", "document"),
    ("message", "voice"),
    ("message", "location"),
    ("message", "contact"),
    ("message", "reply_to_message"),
    ("message", "migrate_to_chat_id"),
    ("message", "message_thread_id"),
    ("message", "is_topic_message"),
]


def check(update: object) -> None:
    stored = telegram_arrivals.arrival("telegram", update)
    assert stored.payload.isascii()
    assert stored.event_key
    assert stored.lane_key.startswith("telegram:")
    try:
        event = telegram_parse.parse(stored.payload, source="telegram", download_limit=1000)
    except MalformedEvent:
        return
    writable(event)


@given(ANY_JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_in_place_of_an_update(update: object) -> None:
    """Never another error than MalformedEvent, never text that cannot be written."""
    check(update)


@given(st.sampled_from(["message", "edited_message", "my_chat_member", "callback_query"]), ANY_JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_in_place_of_a_message(kind: str, body: object) -> None:
    """As above, one level down."""
    check({"update_id": 7, kind: body})


@given(st.sampled_from(PLACES), ANY_JSON)
@settings(max_examples=500, deadline=None)
def test_any_json_in_place_of_one_field(place: tuple[str, ...], value: object) -> None:
    """As above, in an otherwise good message."""
    update = message(7)
    holder = update
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = value
    check(update)

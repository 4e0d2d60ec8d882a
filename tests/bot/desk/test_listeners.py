"""Stored payloads become events, and nothing in a payload can do more than be set aside with a reason."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.desk.payloads import SETTLE_S, Own, arrival, concerns_nobody, event_key
from bot.desk.slack import SlackDesk
from domain.errors import MalformedEvent, NotYet
from domain.events import AgentAction, AgentEdit, AgentMessage, DeskNotice, Ignored
from tests.bot.desk.kit import (
    CONVERSATION,
    GUEST,
    JONAS,
    LINA,
    MAYA,
    NOON,
    PARTNER,
    STRANGER,
    SUPPORT,
    Slack,
    config,
)

ROOT_TS, TS = "1700000000.000100", "1700000001.000100"
OWN = Own(team_id="T0SANDBOX", bot_user_id="U0SANDBOT", bot_id="B0SANDBOX")


def event(**fields: object) -> dict[str, Any]:
    """An Events API payload around an event."""
    return {
        "type": "event_callback",
        "team_id": "T0SANDBOX",
        "event_id": "Ev1",
        "event_time": 1700000001,
        "event": fields,
    }


def message(**fields: object) -> dict[str, Any]:
    """A message of Maya in a thread."""
    known = {"type": "message", "channel": SUPPORT, "user": MAYA, "text": "hello", "ts": TS, "thread_ts": ROOT_TS}
    return event(**{key: value for key, value in (known | fields).items() if value is not None})


def changed(before: str, after: str, **inner: object) -> dict[str, Any]:
    """An edited message of Maya in a thread."""
    said = {"type": "message", "user": MAYA, "ts": TS, "thread_ts": ROOT_TS}
    return event(
        type="message",
        subtype="message_changed",
        channel=SUPPORT,
        ts="1700000009.000100",
        event_ts="1700000009.000100",
        message={**said, "text": after, "edited": {"user": MAYA, "ts": "1700000008.000000"}, **inner},
        previous_message={**said, "text": before, **{key: inner[key] for key in inner if key == "thread_ts"}},
    )


def deleted(**inner: object) -> dict[str, Any]:
    """A deleted message of Maya in a thread."""
    return event(
        type="message",
        subtype="message_deleted",
        channel=SUPPORT,
        ts="1700000009.000100",
        event_ts="1700000009.000100",
        deleted_ts=TS,
        previous_message={"type": "message", "user": MAYA, "ts": TS, "thread_ts": ROOT_TS, "text": "hello", **inner},
    )


def press(value: object, action_id: str = "resolve", **fields: object) -> dict[str, Any]:
    """A press of a button on a card."""
    return {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX"},
        "user": {"id": MAYA, "team_id": "T0SANDBOX"},
        "channel": {"id": SUPPORT},
        "container": {"type": "message", "message_ts": ROOT_TS, "channel_id": SUPPORT},
        "message": {"ts": ROOT_TS},
        "trigger_id": "1.2.abc",
        "actions": [{"type": "button", "action_id": action_id, "action_ts": "1700000005.123456", "value": value}],
    } | fields


async def parsed(desk: SlackDesk, payload: object) -> object:
    """What a stored payload is read as."""
    return await desk.parse(json.dumps(payload))


async def test_mentions_links_and_entities_become_what_the_agent_meant(desk: SlackDesk) -> None:
    """A customer gets names and addresses, never Slack's markup."""
    text = "Ask <@U0LINA|lina> or <@U0JONAS>: <https://shop.example/a?b=1&amp;c=2|the page> &lt;b&gt; &amp;amp;"
    read = await parsed(desk, message(text=text))
    assert isinstance(read, AgentMessage)
    assert read.text == "Ask @李娜 or @Jonas: the page (https://shop.example/a?b=1&c=2) <b> &amp;"


async def test_emoji_arrive_as_the_characters_they_are(desk: SlackDesk) -> None:
    """Slack says `:+1:`; the customer sees a thumb. What only this company knows stays a name."""
    elements = [
        {"type": "text", "text": "Done "},
        {"type": "emoji", "name": "+1", "unicode": "1f44d"},
        {"type": "text", "text": " "},
        {"type": "emoji", "name": "wave", "unicode": "1f44b-1f3fd", "skin_tone": 4},
        {"type": "text", "text": " "},
        {"type": "emoji", "name": "our-logo"},
        {"type": "text", "text": " "},
        {"type": "emoji", "name": "odd", "unicode": "xyz"},
        {"type": "emoji", "name": "half", "unicode": "d83d"},
        {"type": "text", "text": " at 10:30:00"},
    ]
    said = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]
    read = await parsed(desk, message(text="Done :+1: :wave::skin-tone-4: :our-logo: :odd: at 10:30:00", blocks=said))
    assert isinstance(read, AgentMessage)
    assert read.text == "Done \U0001f44d \U0001f44b\U0001f3fd :our-logo: :odd::half: at 10:30:00"


@pytest.mark.parametrize(
    ("user", "extra", "is_stranger"),
    [
        (MAYA, {}, False),
        (JONAS, {}, False),
        (STRANGER, {}, False),
        (GUEST, {}, True),
        (PARTNER, {}, True),
        (MAYA, {"user_team": "T0PARTNER"}, True),
        ("U0NOBODY", {}, True),
        ("U0SANDBOT2", {}, True),
    ],
)
async def test_who_does_not_belong_is_marked(
    desk: SlackDesk, user: str, extra: dict[str, object], is_stranger: bool
) -> None:
    """Guests, other companies' people, bots and unknown users are strangers; colleagues are a matter of roles."""
    read = await parsed(desk, message(user=user, **extra))
    assert isinstance(read, AgentMessage)
    assert read.is_stranger is is_stranger


async def test_nobody_is_let_through_while_slack_cannot_say_who_it_is(slack: Slack, desk: SlackDesk) -> None:
    """An unknown author during an outage waits; known ones are read on."""
    assert isinstance(await parsed(desk, message()), AgentMessage)
    await slack.fault("users.info", "500", count=None)
    read = await parsed(desk, message(text="ask <@U0JONAS>"))
    assert isinstance(read, AgentMessage)
    assert read.text == "ask @someone"
    with pytest.raises(NotYet):
        await parsed(desk, message(user=LINA))


async def test_files_come_with_name_size_and_kind(desk: SlackDesk) -> None:
    """A message with files has them as attachments, with names that are safe to pass on."""
    files = [
        {"id": "F1", "name": "../../../etc/pass\u202efdp.exe", "mimetype": "application/pdf", "size": 12},
        {"id": "F2", "name": "a.png", "mimetype": "image/png", "size": 5},
        {"id": "F3", "mode": "tombstone"},
    ]
    read = await parsed(desk, message(subtype="file_share", text="", files=files))
    assert isinstance(read, AgentMessage)
    pdf, picture, gone = read.attachments
    assert "/" not in pdf.name
    assert "\u202e" not in pdf.name
    assert (pdf.platform_id, pdf.mime, pdf.size, pdf.kind) == ("F1", "application/pdf", 12, "document")
    assert (picture.kind, picture.name) == ("photo", "a.png")
    assert gone.problem == "file_gone"


async def test_an_edit_counts_when_the_words_changed(desk: SlackDesk) -> None:
    """Unfurls and our own updates change a message without changing its words: they are no edits."""
    edit = await parsed(desk, changed("30 euros", "50 euros"))
    assert edit == AgentEdit(
        agent_id=MAYA,
        at=datetime.fromtimestamp(1700000008, UTC),
        channel=SUPPORT,
        thread_ts=ROOT_TS,
        ts=TS,
        text="50 euros",
    )
    assert await parsed(desk, changed("same", "same", attachments=[{"title": "unfurled"}])) == Ignored(
        reason="same_text"
    )


@pytest.mark.parametrize(
    ("after", "left", "text", "lost"),
    [
        ("same", [{"id": "F1", "mode": "tombstone"}, {"id": "F2"}], "same", {"F1"}),
        ("same", [{"id": "F2"}], "same", {"F1"}),
        ("", [{"id": "F1", "mode": "tombstone"}, {"id": "F2", "mode": "tombstone"}], None, {"F1", "F2"}),
        ("", [], None, {"F1", "F2"}),
    ],
)
async def test_a_file_that_was_taken_away_is_a_change(
    desk: SlackDesk, after: str, left: list[Any], text: str | None, lost: set[str]
) -> None:
    """The words may be the same: a wrong file counts. Where nothing is left the message was deleted."""
    payload = changed(after, after, files=left)
    payload["event"]["previous_message"]["files"] = [{"id": "F1"}, {"id": "F2"}]
    read = await parsed(desk, payload)
    assert isinstance(read, AgentEdit)
    assert (read.text, set(read.lost), read.stand) == (text, lost, text is not None)
    words = changed(after, after, files=[{"id": "F1"}, {"id": "F2"}])
    assert event_key(payload) != event_key(words), "not taken for the edit before it"


async def test_a_deletion_has_no_text(desk: SlackDesk) -> None:
    """A deleted message and a tombstone are the same to us."""
    for payload in (deleted(), changed("hello", "This message was deleted.", subtype="tombstone")):
        read = await parsed(desk, payload)
        assert isinstance(read, AgentEdit)
        assert (read.ts, read.text, read.agent_id) == (TS, None, MAYA)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (message(bot_id="B0SANDBOX", user="U0SANDBOT"), "own"),
        (message(user="U0SANDBOT"), "own"),
        (message(bot_id="B0OTHER"), "bot"),
        (message(subtype="bot_message", user=None, bot_id="B0OTHER"), "bot"),
        (message(thread_ts=None), "not_in_thread"),
        (message(subtype="message_replied"), "hidden"),
        (message(subtype="channel_join"), "channel_join"),
        (changed("a", "b", bot_id="B0SANDBOX"), "own"),
        (changed("a", "b", thread_ts=""), "not_in_thread"),
        (deleted(bot_id="B0SANDBOX"), "own"),
    ],
)
async def test_what_concerns_nobody_is_not_even_stored(desk: SlackDesk, payload: dict[str, Any], reason: str) -> None:
    """Echoes, other bots and talk outside threads: said so at the door, and read as nothing should they get in."""
    assert concerns_nobody(payload, OWN) == reason
    read = await parsed(desk, payload)
    assert isinstance(read, Ignored)


async def test_a_press_outside_our_cards_is_nothing(desk: SlackDesk) -> None:
    """Buttons that are not ours, or of a time when they carried something else, change nothing."""
    for payload in (press("hello"), press(None), press("a|b|c"), press(f"{CONVERSATION}|3|", "delete_everything")):
        assert isinstance(await parsed(desk, payload), Ignored)


async def test_a_button_in_the_thread_needs_no_version(desk: SlackDesk) -> None:
    """Retry and It arrived name the delivery; the thread is that of the post they stand under."""
    payload = press(
        f"{CONVERSATION}||01JOUTBOX",
        "mark_arrived",
        container={"type": "message", "message_ts": TS, "channel_id": SUPPORT, "thread_ts": ROOT_TS},
    )
    read = await parsed(desk, payload)
    assert isinstance(read, AgentAction)
    assert (read.action, read.value, read.version, read.thread_ts) == ("mark_arrived", "01JOUTBOX", None, ROOT_TS)
    assert read.key == "1700000005.123456:mark_arrived"


@pytest.mark.parametrize(
    ("fields", "kind", "channel"),
    [
        ({"type": "channel_archive", "channel": SUPPORT, "user": MAYA}, "channel_archive", SUPPORT),
        ({"type": "group_archive", "channel": "C0LEADS"}, "channel_archive", "C0LEADS"),
        ({"type": "channel_left", "channel": SUPPORT}, "removed", SUPPORT),
        ({"type": "group_left", "channel": "C0LEADS"}, "removed", "C0LEADS"),
        ({"type": "member_left_channel", "user": "U0SANDBOT", "channel": SUPPORT}, "removed", SUPPORT),
        ({"type": "tokens_revoked", "tokens": {"bot": ["U0SANDBOT"]}}, "tokens_revoked", None),
        ({"type": "app_uninstalled"}, "app_uninstalled", None),
    ],
)
async def test_the_loss_of_a_channel_or_a_token_is_told(
    desk: SlackDesk, fields: dict[str, object], kind: str, channel: str | None
) -> None:
    """What stops the desk is an event for the operator."""
    read = await parsed(desk, event(event_ts="1700000001.000000", **fields))
    assert isinstance(read, DeskNotice)
    assert (read.kind, read.channel) == (kind, channel)


async def test_members_who_come_and_go_are_nothing(desk: SlackDesk) -> None:
    """Only our own leaving matters."""
    left = event(type="member_left_channel", user=MAYA, channel=SUPPORT, event_ts="1700000001.000000")
    assert isinstance(await parsed(desk, left), Ignored)
    assert isinstance(await parsed(desk, event(type="emoji_changed")), Ignored)
    assert isinstance(await parsed(desk, {"type": "view_submission", "view": {}}), Ignored)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "[" * 100_000,
        json.dumps({"type": "event_callback", "event": "message"}),
        json.dumps(message(ts=5)),
        json.dumps(message(ts="soon")),
        json.dumps(message(ts="1e300")),
        json.dumps(message(user=7)),
        json.dumps(message(channel=None)),
        json.dumps(press(f"{CONVERSATION}|3|", actions=[])),
        json.dumps(press(f"{CONVERSATION}|3|", actions=["x"])),
        json.dumps(press(f"{CONVERSATION}|3|", user={})),
        json.dumps(press(f"{CONVERSATION}|3|", actions=[{"action_id": "resolve", "value": f"{CONVERSATION}|3|"}])),
        json.dumps({"command": "/relaydesk", "user_id": MAYA}),
        json.dumps({"command": "/relaydesk", "relaydesk_received_at": "2026-01-01"}),
        json.dumps(event(type="tokens_revoked") | {"event_time": "x"}),
    ],
)
async def test_an_odd_payload_is_set_aside_with_a_reason(desk: SlackDesk, payload: str) -> None:
    """Malformed or nothing: an odd payload is never an exception of another kind."""
    reason = ""
    try:
        reason = f"ignored: {await desk.parse(payload)}"
    except MalformedEvent as error:
        reason = str(error)
    assert reason
    assert "hello" not in reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
SHAPES = [message(files=[{"id": "F1"}]), changed("a", "b"), deleted(), press(f"{CONVERSATION}|3|")]


def spoiled(payload: dict[str, Any], path: list[int], value: object) -> dict[str, Any]:
    """The payload with one value, reached by taking turns, replaced."""
    copied = copy.deepcopy(payload)
    holder: Any = copied
    for depth, step in enumerate(path):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[step % len(keys)]
        if depth == len(path) - 1 or not isinstance(holder[key], dict | list) or not holder[key]:
            holder[key] = value
            break
        holder = holder[key]
    return dict(copied)


@pytest.fixture
async def offline() -> AsyncIterator[SlackDesk]:
    """A desk without a Slack: names and strangers cannot be asked for."""
    made = SlackDesk(config("http://127.0.0.1:9"))
    made._know(OWN)
    yield made
    await made.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.sampled_from(SHAPES), path=st.lists(st.integers(0, 9), min_size=1, max_size=4), value=JSON)
async def test_a_spoiled_payload_is_stored_and_read_as_nothing_worse(
    offline: SlackDesk, shape: dict[str, Any], path: list[int], value: object
) -> None:
    """Whatever stands where something else should: it can be stored, and reading it raises nothing unforeseen."""
    payload = spoiled(shape, path, value)
    stored = arrival("events_api", payload, NOON)
    assert stored.event_key
    assert stored.lane_key
    concerns_nobody(payload, OWN)
    try:
        await offline.parse(stored.payload)
    except (MalformedEvent, NotYet):
        return


def test_the_same_message_has_the_same_key_however_it_comes() -> None:
    """Two events about one message, or the same read from history, are one; its edits and its end are others."""
    live = message()
    mention = message() | {"event_id": "Ev2"}
    shared = message(subtype="file_share") | {"event_id": "Ev3"}
    assert event_key(live) == event_key(mention) == event_key(shared)
    others = [
        event_key(live),
        event_key(changed("a", "b")),
        event_key(deleted()),
        event_key(message(ts="1700000002.1")),
    ]
    assert len(set(others)) == 4


def test_secrets_and_times_of_a_stored_payload() -> None:
    """The old verification token is not stored; a command gets the time of its arrival."""
    stored = arrival("slash_commands", {"command": "/relaydesk", "token": "secret", "trigger_id": "1.2"}, NOON)
    assert "secret" not in stored.payload
    assert json.loads(stored.payload)["relaydesk_received_at"] == NOON.isoformat()


def test_the_order_of_writing_is_known() -> None:
    """What was said in a thread has its place in time, and waits a moment for what was said before it."""
    said = [arrival("events_api", payload, NOON) for payload in (message(), changed("a", "b"), deleted())]
    assert [one.position for one in said] == [1700000001.0001, 1700000009.0001, 1700000009.0001]
    assert {one.settle_s for one in said} == {SETTLE_S}
    assert arrival("interactive", press(f"{CONVERSATION}|3|"), NOON).position == 1700000005.123456
    for odd in ("soon", "nan", "1e400", ""):
        assert arrival("events_api", message(ts=odd), NOON).position is None
    outside = arrival("slash_commands", {"command": "/relaydesk", "trigger_id": "1.2"}, NOON)
    assert (outside.position, outside.settle_s) == (None, 0.0)


@pytest.mark.parametrize(
    ("emoji", "author", "means"),
    [
        ("lock", MAYA, "take_back"),
        ("leftwards_arrow_with_hook", "", "take_back"),
        ("lock", LINA, None),
        ("eyes", LINA, "acknowledge"),
        ("eyes", "", "acknowledge"),
    ],
)
async def test_a_sign_for_an_answer_counts_on_a_line_of_ones_own(
    desk: SlackDesk, emoji: str, author: str, means: str | None
) -> None:
    """On anybody else's it can mean nothing and waits for nothing; 👀 may stand on any post."""
    item = {"type": "message", "channel": SUPPORT, "ts": "1700000000.000002"}
    about = {"user": MAYA, "reaction": emoji, "item": item, "item_user": author, "event_ts": "1700000001.000000"}
    read = await parsed(desk, event(type="reaction_added", **about))
    assert getattr(read, "action", None) == means
    assert getattr(read, "on_ours", False) == (not author), "Slack names no author of what has a name of its own"

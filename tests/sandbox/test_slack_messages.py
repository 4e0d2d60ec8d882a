"""chat.*, reactions.* and the reading of channels, called by the real AsyncWebClient."""

import re

import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack import workspace
from tests.sandbox import slack_kit
from tests.sandbox.slack_kit import (
    JONAS,
    LEADS,
    MAYA,
    RANDOM,
    SUPPORT,
    TECH,
    App,
    People,
    actions,
    button,
    error_of,
    section,
)

KEY = {"event_type": "triage_msg", "event_payload": {"key": "out-123"}}


async def test_a_post_keeps_its_metadata_and_is_logged_once(slack: tuple[App, People]) -> None:
    """What the app posts is found again by its metadata in the thread, and stands once in the judge's log."""
    app, people = slack
    root = await app.web.chat_postMessage(channel=SUPPORT, text="card")
    sent = await app.web.chat_postMessage(channel=SUPPORT, text="words", thread_ts=root["ts"], metadata=KEY)
    found = await app.web.conversations_replies(channel=SUPPORT, ts=root["ts"], include_all_metadata=True)
    plain = await app.web.conversations_replies(channel=SUPPORT, ts=root["ts"])
    assert [m["ts"] for m in found["messages"]] == [root["ts"], sent["ts"]]
    assert found["messages"][1]["metadata"] == KEY
    assert "metadata" not in plain["messages"][1]
    assert found["messages"][0]["reply_count"] == 1
    assert found["messages"][0]["latest_reply"] == sent["ts"]
    record = (await people.log("post", f"{SUPPORT}:{sent['ts']}"))[0]
    assert record["requests"] == 1
    assert record["data"]["metadata"] == KEY
    assert record["data"]["thread_ts"] == root["ts"]


async def test_every_ts_is_unique_in_its_channel_even_when_time_stands_still(
    slack: tuple[App, People],
) -> None:
    """A ts has ten digits, a dot and six, and grows with every message although the clock is stopped."""
    app, people = slack
    async with app.session.post(f"{people.url}/control/clock", json={"speed": 0}):
        pass
    all_ts = [(await app.web.chat_postMessage(channel=SUPPORT, text=str(n)))["ts"] for n in range(5)]
    assert all_ts == sorted(set(all_ts))
    assert all(re.fullmatch(r"\d{10}\.\d{6}", ts) for ts in all_ts)


@pytest.mark.parametrize(
    ("channel", "fields", "error"),
    [
        ("C0NOWHERE", {"text": "x"}, "channel_not_found"),
        (RANDOM, {"text": "x"}, "not_in_channel"),
        (SUPPORT, {"text": ""}, "no_text"),
        (SUPPORT, {"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        (SUPPORT, {"text": "x", "blocks": "[broken"}, "invalid_blocks_format"),
    ],
)
async def test_a_post_is_refused_as_slack_refuses_it(
    slack: tuple[App, People], channel: str, fields: dict[str, object], error: str
) -> None:
    """Unknown channel, not a member, nothing to say, no such thread, broken metadata or blocks."""
    app, people = slack
    assert await error_of(app.web.api_call("chat.postMessage", json={"channel": channel, **fields})) == error
    assert await people.log("post") == []


async def test_an_archived_channel_takes_nothing(slack: tuple[App, People]) -> None:
    """Posting, editing and reacting in an archived channel are refused with is_archived."""
    app, people = slack
    ts = (await app.web.chat_postMessage(channel=TECH, text="x"))["ts"]
    await people.do("archive", channel=TECH)
    assert await error_of(app.web.chat_postMessage(channel=TECH, text="y")) == "is_archived"
    assert await error_of(app.web.chat_update(channel=TECH, ts=ts, text="y")) == "is_archived"
    assert await error_of(app.web.reactions_add(channel=TECH, timestamp=ts, name="eyes")) == "is_archived"
    assert await people.refused("post", user=MAYA, channel=TECH, text="x") == "is_archived"
    await people.do("unarchive", channel=TECH)
    await app.web.chat_postMessage(channel=TECH, text="y")


async def test_a_long_text_is_cut_at_forty_thousand_with_a_warning(slack: tuple[App, People]) -> None:
    """chat.postMessage cuts and warns, chat.update and chat.postEphemeral refuse."""
    app, _people = slack
    long = "x" * 40_001
    sent = await app.web.chat_postMessage(channel=SUPPORT, text=long)
    assert len(sent["message"]["text"]) == 40_000
    assert sent["warning"] == "message_truncated"
    assert await error_of(app.web.chat_update(channel=SUPPORT, ts=sent["ts"], text=long)) == "msg_too_long"
    assert await error_of(app.web.chat_postEphemeral(channel=SUPPORT, user=MAYA, text=long)) == "msg_too_long"


async def test_text_is_kept_as_it_was_sent(slack: tuple[App, People]) -> None:
    """Escapes, broadcasts, emoji and Chinese come back exactly as they were posted."""
    app, _people = slack
    text = "a &lt;b&gt; &amp; <!channel> 退款 🧾 _x_ ~y~"
    ts = (await app.web.chat_postMessage(channel=SUPPORT, text=text))["ts"]
    history = await app.web.conversations_history(channel=SUPPORT)
    assert history["messages"][0] | {"text": text} == history["messages"][0]
    assert history["messages"][0]["ts"] == ts


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([section("x")] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        (
            [section("x" * 3001)],
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [actions(button("a", "x" * 76))],
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            [actions(*(button(f"a{n}") for n in range(26)))],
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
        ),
        ([actions(button("a"), button("a"))], "`action_id` a already exists"),
        ([section("x", block_id="b"), section("y", block_id="b")], "block_id b already exists"),
        ([{"type": "carousel"}], "unsupported type: carousel [json-pointer:/blocks/0/type]"),
        ([section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ([actions(button("a", value="x" * 2001))], "must be less than 2001 characters"),
    ],
)
async def test_blocks_that_slack_refuses_are_refused_with_its_reasons(
    slack: tuple[App, People], blocks: list[dict[str, object]], reason: str
) -> None:
    """invalid_blocks names the place and the limit in response_metadata.messages."""
    app, _people = slack
    with pytest.raises(SlackApiError) as caught:
        await app.web.chat_postMessage(channel=SUPPORT, text="x", blocks=blocks)
    answer = caught.value.response
    assert answer["error"] == "invalid_blocks"
    assert any(reason in message for message in answer["response_metadata"]["messages"])


async def test_blocks_at_the_limits_pass_and_get_ids(slack: tuple[App, People]) -> None:
    """Fifty blocks of 3,000 characters are accepted; Slack makes up the ids that are missing."""
    app, _people = slack
    blocks = [section("x" * 3000) for _ in range(50)]
    message = (await app.web.chat_postMessage(channel=SUPPORT, text="x", blocks=blocks))["message"]
    assert len({block["block_id"] for block in message["blocks"]}) == 50


async def test_an_update_replaces_and_marks_and_the_same_again_changes_nothing(
    slack: tuple[App, People],
) -> None:
    """chat.update is idempotent: one more request in the log, no second edit."""
    app, people = slack
    blocks = [section("old")]
    ts = (await app.web.chat_postMessage(channel=SUPPORT, text="old", blocks=blocks))["ts"]
    for _ in range(3):
        await app.web.chat_update(channel=SUPPORT, ts=ts, text="new", blocks=[section("new")])
    message = (await app.web.conversations_history(channel=SUPPORT))["messages"][0]
    assert message["text"] == "new"
    assert message["blocks"][0]["text"]["text"] == "new"
    assert "edited" in message
    records = await people.log("update", f"{SUPPORT}:{ts}")
    assert [r["requests"] for r in records] == [3]


async def test_only_own_messages_can_be_changed(slack: tuple[App, People]) -> None:
    """Others' messages, unknown ones and deleted ones are refused by name."""
    app, people = slack
    theirs = await people.post(SUPPORT, "mine")
    assert await error_of(app.web.chat_update(channel=SUPPORT, ts=theirs, text="x")) == "cant_update_message"
    assert await error_of(app.web.chat_delete(channel=SUPPORT, ts=theirs)) == "cant_delete_message"
    assert await error_of(app.web.chat_update(channel=SUPPORT, ts="1.2", text="x")) == "message_not_found"
    own = (await app.web.chat_postMessage(channel=SUPPORT, text="x"))["ts"]
    await app.web.chat_delete(channel=SUPPORT, ts=own)
    assert await error_of(app.web.chat_delete(channel=SUPPORT, ts=own)) == "message_not_found"
    assert (await app.web.conversations_history(channel=SUPPORT))["messages"][0]["ts"] == theirs


async def test_a_deleted_root_with_replies_leaves_a_tombstone(slack: tuple[App, People]) -> None:
    """The thread stays readable; without replies the root is gone and the thread with it."""
    app, _people = slack
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    reply = (await app.web.chat_postMessage(channel=SUPPORT, text="reply", thread_ts=root))["ts"]
    await app.web.chat_delete(channel=SUPPORT, ts=root)
    thread = (await app.web.conversations_replies(channel=SUPPORT, ts=root))["messages"]
    assert [m.get("subtype") for m in thread] == ["tombstone", None]
    await app.web.chat_delete(channel=SUPPORT, ts=reply)
    assert await error_of(app.web.conversations_replies(channel=SUPPORT, ts=root)) == "thread_not_found"


async def test_a_reply_to_a_lost_thread_falls_into_the_channel_without_a_word(
    slack: tuple[App, People],
) -> None:
    """Slack does not refuse it: only the missing thread_ts of the answer tells. A person is refused."""
    app, people = slack
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    await app.web.chat_delete(channel=SUPPORT, ts=root)
    sent = await app.web.chat_postMessage(channel=SUPPORT, text="late", thread_ts=root)
    assert "thread_ts" not in sent["message"]
    assert (await app.web.conversations_history(channel=SUPPORT))["messages"][0]["ts"] == sent["ts"]
    post = {"user": MAYA, "channel": SUPPORT, "text": "x", "thread_ts": root}
    assert await people.refused("post", **post) == "thread_not_found"


async def test_a_reply_can_be_broadcast(slack: tuple[App, People]) -> None:
    """With reply_broadcast the reply stands in the thread and in the channel."""
    app, _people = slack
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    reply = await app.web.chat_postMessage(channel=SUPPORT, text="b", thread_ts=root, reply_broadcast=True)
    history = (await app.web.conversations_history(channel=SUPPORT))["messages"]
    assert [m["ts"] for m in history] == [reply["ts"], root]
    assert history[0]["subtype"] == "thread_broadcast"


async def test_an_ephemeral_message_is_seen_by_one_member_only(slack: tuple[App, People]) -> None:
    """It is in no history, and who is not in the channel cannot get one."""
    app, people = slack
    sent = await app.web.chat_postEphemeral(channel=SUPPORT, user=MAYA, text="only you")
    assert (await app.web.conversations_history(channel=SUPPORT))["messages"] == []
    shown = await people.see(f"channel/{SUPPORT}")
    assert [e["ts"] for e in shown["ephemerals"][MAYA]] == [sent["message_ts"]]
    assert (await people.see(f"channel/{SUPPORT}", user=JONAS))["ephemerals"] == {}
    outside = app.web.chat_postEphemeral(channel=LEADS, user=slack_kit.STRANGER, text="x")
    assert await error_of(outside) == "user_not_in_channel"
    assert [r["data"]["user"] for r in await people.log("ephemeral")] == [MAYA]


async def test_history_pages_newest_first_within_its_bounds(slack: tuple[App, People]) -> None:
    """oldest and latest bound it, inclusive counts the bounds in, the cursor goes on."""
    app, _people = slack
    ts = [(await app.web.chat_postMessage(channel=SUPPORT, text=str(n)))["ts"] for n in range(7)]
    pages, cursor = [], ""
    while True:
        page = await app.web.conversations_history(channel=SUPPORT, limit=3, cursor=cursor)
        pages.append([m["ts"] for m in page["messages"]])
        if not page["has_more"]:
            break
        cursor = page["response_metadata"]["next_cursor"]
    assert pages == [ts[6:3:-1], ts[3:0:-1], [ts[0]]]

    async def between(*, inclusive: bool) -> list[str]:
        found = await app.web.conversations_history(channel=SUPPORT, oldest=ts[2], latest=ts[4], inclusive=inclusive)
        return [m["ts"] for m in found["messages"]]

    assert await between(inclusive=False) == [ts[3]]
    assert await between(inclusive=True) == [ts[4], ts[3], ts[2]]


async def test_replies_page_oldest_first_with_the_root_on_every_page(slack: tuple[App, People]) -> None:
    """A gap is filled with oldest=the last ts seen; the root comes along each time."""
    app, _people = slack
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    ts = [(await app.web.chat_postMessage(channel=SUPPORT, text=str(n), thread_ts=root))["ts"] for n in range(5)]
    first = await app.web.conversations_replies(channel=SUPPORT, ts=root, limit=3)
    assert [m["ts"] for m in first["messages"]] == [root, ts[0], ts[1]]
    cursor = first["response_metadata"]["next_cursor"]
    second = await app.web.conversations_replies(channel=SUPPORT, ts=root, limit=10, cursor=cursor)
    assert [m["ts"] for m in second["messages"]] == [root, ts[2], ts[3], ts[4]]
    gap = await app.web.conversations_replies(channel=SUPPORT, ts=root, oldest=ts[3])
    assert [m["ts"] for m in gap["messages"]] == [root, ts[4]]
    assert await error_of(app.web.conversations_replies(channel=SUPPORT, ts="1.0")) == "thread_not_found"


async def test_reading_needs_membership(slack: tuple[App, People]) -> None:
    """A public channel without the bot can be found but not read; a private one cannot be found."""
    app, people = slack
    assert await error_of(app.web.conversations_history(channel=RANDOM)) == "not_in_channel"
    await app.web.conversations_join(channel=RANDOM)
    assert (await app.web.conversations_history(channel=RANDOM))["messages"] == []
    await people.do("kick", channel=LEADS, user=workspace.BOT_USER_ID)
    assert await error_of(app.web.conversations_info(channel=LEADS)) == "channel_not_found"


async def test_a_reaction_counts_once_for_each_user(slack: tuple[App, People]) -> None:
    """already_reacted and no_reaction are said; several users share one entry."""
    app, people = slack
    ts = (await app.web.chat_postMessage(channel=SUPPORT, text="x"))["ts"]
    await app.web.reactions_add(channel=SUPPORT, timestamp=ts, name="eyes")
    await people.do("react", user=MAYA, channel=SUPPORT, ts=ts, emoji="eyes")
    again = app.web.reactions_add(channel=SUPPORT, timestamp=ts, name="eyes")
    assert await error_of(again) == "already_reacted"
    got = (await app.web.reactions_get(channel=SUPPORT, timestamp=ts))["message"]["reactions"]
    assert got == [{"name": "eyes", "users": [workspace.BOT_USER_ID, MAYA], "count": 2}]
    await app.web.reactions_remove(channel=SUPPORT, timestamp=ts, name="eyes")
    twice = app.web.reactions_remove(channel=SUPPORT, timestamp=ts, name="eyes")
    assert await error_of(twice) == "no_reaction"
    missing = app.web.reactions_add(channel=SUPPORT, timestamp="1.0", name="eyes")
    assert await error_of(missing) == "message_not_found"
    own = [r for r in await people.log("reaction") if r["data"]["user"] != MAYA]
    assert [r["requests"] for r in own] == [2]


async def test_a_permalink_leads_into_the_thread(slack: tuple[App, People]) -> None:
    """chat.getPermalink names channel and message, for a reply also its thread."""
    app, _people = slack
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    reply = (await app.web.chat_postMessage(channel=SUPPORT, text="r", thread_ts=root))["ts"]
    link = (await app.web.chat_getPermalink(channel=SUPPORT, message_ts=reply))["permalink"]
    assert link.endswith(f"/archives/{SUPPORT}/p{reply.replace('.', '')}?thread_ts={root}&cid={SUPPORT}")
    async with app.session.get(link, allow_redirects=False) as response:
        assert response.headers["Location"] == f"/?channel={SUPPORT}&ts={reply}&thread_ts={root}"


async def test_a_user_name_needs_its_scope(slack: tuple[App, People]) -> None:
    """username is ignored without chat:write.customize."""
    app, _people = slack
    sent = await app.web.chat_postMessage(channel=SUPPORT, text="x", username="somebody")
    assert "username" not in sent["message"]

"""What the desk shows: one post per delivery, looked up before any repeat, every outcome typed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import AccessRevoked, DeliveryError, NeverPossible, RetryLater, ThreadGone, Unclear
from domain.model import Actor, ActorKind, EntryKind
from tests.bot.desk.kit import LEAD_GROUP, LEADS, MAYA, RANDOM, SUPPORT, Slack, card_view, config, delivery, entry

CARD = delivery(DeliveryKind.DESK_CARD, card=card_view())


async def test_a_card_is_posted_with_its_delivery_id_and_a_fallback_text(desk: SlackDesk, slack: Slack) -> None:
    """A card arrives once, says the same in its fallback text, and its receipt names channel and time."""
    receipt = await desk.deliver(CARD)
    (message,) = await slack.messages()
    assert message["ts"] == receipt.platform_id
    assert receipt.place == SUPPORT
    assert receipt.at.timestamp() == pytest.approx(float(message["ts"]), abs=1e-3)
    assert message["text"].startswith("#1042 Anna Becker (Telegram): I sent the shoes back")


async def test_a_process_that_never_heard_of_a_colleague_calls_them_as_every_other_does(
    desk: SlackDesk, slack: Slack
) -> None:
    """After a restart, and where one process listens and another posts, a line says by its name who it was."""
    by_maya = replace(
        entry(EntryKind.QUEUE, data={"from": "support", "to": "billing"}), actor=Actor(kind=ActorKind.AGENT, id=MAYA)
    )
    nobody = replace(by_maya, actor=Actor(kind=ActorKind.AGENT, id="U0NOBODY"))
    root = await desk.deliver(CARD)
    for number, said in enumerate((by_maya, nobody), 2):
        await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, number, entry=said, thread_ts=root.platform_id))
    texts = [message["text"] for message in await slack.thread(root.platform_id)][1:]
    assert "by Maya" in texts[0]
    assert "by an agent" in texts[1], "whom Slack does not know either"


async def test_a_process_that_never_heard_of_a_colleague_says_whom_an_alert_told(desk: SlackDesk, slack: Slack) -> None:
    """The line about a thread's alerts names people who were told, too; groups and channels are asked nobody about."""
    data = {"alert": "breach", "metric": "first_response", "instance": 1, "told": [f"{LEAD_GROUP} {MAYA}", LEADS]}
    root = await desk.deliver(CARD)
    alerted = (entry(EntryKind.CLOCK, data=data),)
    await desk.deliver(delivery(DeliveryKind.DESK_STATUS, 2, told=alerted, thread_ts=root.platform_id))
    (line,) = (await slack.thread(root.platform_id))[1:]
    assert "told the team, maya, " in line["text"].lower()


async def test_a_card_is_brought_up_to_date_in_place(desk: SlackDesk, slack: Slack) -> None:
    """An update changes the post that is there and makes no second one."""
    posted = await desk.deliver(CARD)
    newer = card_view(customer_name="Anna B.")
    await desk.deliver(delivery(DeliveryKind.DESK_UPDATE, 2, card=newer, message_ts=posted.platform_id))
    (message,) = await slack.messages()
    assert "Anna B." in message["text"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"fault": "drop_after"}, Unclear),
        ({"fault": "drop_before"}, Unclear),
        ({"fault": "500"}, Unclear),
        ({"fault": "500_after"}, Unclear),
        ({"fault": "html"}, Unclear),
        ({"fault": "html_after"}, Unclear),
        ({"fault": "truncated"}, Unclear),
        ({"fault": "429", "seconds": 7}, RetryLater),
        ({"fault": "429_no_header"}, RetryLater),
        ({"fault": "error", "error": "channel_not_found"}, AccessRevoked),
        ({"fault": "error", "error": "not_in_channel"}, AccessRevoked),
        ({"fault": "error", "error": "is_archived"}, AccessRevoked),
        ({"fault": "error", "error": "token_revoked"}, AccessRevoked),
        ({"fault": "error", "error": "missing_scope"}, AccessRevoked),
        ({"fault": "error", "error": "account_inactive"}, AccessRevoked),
        ({"fault": "error", "error": "invalid_blocks"}, NeverPossible),
        ({"fault": "error", "error": "msg_too_long"}, NeverPossible),
        ({"fault": "error", "error": "thread_not_found"}, NeverPossible),
        ({"fault": "error", "error": "fatal_error"}, Unclear),
    ],
    ids=lambda value: value.get("error", value["fault"]) if isinstance(value, dict) else value.__name__,
)
async def test_every_outcome_of_a_post_has_its_type(
    desk: SlackDesk, slack: Slack, fault: dict[str, Any], expected: type[DeliveryError]
) -> None:
    """What went wrong decides what must happen next, and nothing is tried twice behind our back."""
    await slack.fault("chat.postMessage", **fault)
    with pytest.raises(DeliveryError) as caught:
        await desk.deliver(CARD)
    assert type(caught.value) is expected
    assert await slack.requests("chat.postMessage") == 1
    if fault["fault"] == "429":
        assert isinstance(caught.value, RetryLater)
        assert (caught.value.after, caught.value.bucket) == (timedelta(seconds=7), "channel")


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "html_after", "truncated"])
async def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(
    desk: SlackDesk, slack: Slack, fault: str
) -> None:
    """After an unclear outcome the look-up finds the post by its delivery id: it is there exactly once."""
    began = datetime.now(UTC)
    await slack.fault("chat.postMessage", fault)
    with pytest.raises(Unclear):
        await desk.deliver(CARD)
    found = await desk.find(CARD, began)
    (message,) = await slack.messages()
    assert found is not None
    assert found.platform_id == message["ts"]


async def test_a_post_that_never_arrived_is_not_found(desk: SlackDesk, slack: Slack) -> None:
    """None from the look-up means that repeating is right: afterwards it is there exactly once."""
    began = datetime.now(UTC)
    await slack.fault("chat.postMessage", "drop_before")
    with pytest.raises(Unclear):
        await desk.deliver(CARD)
    assert await desk.find(CARD, began) is None
    await desk.deliver(CARD)
    assert len(await slack.messages()) == 1


async def test_a_thread_post_is_found_in_its_thread(desk: SlackDesk, slack: Slack) -> None:
    """The look-up of a thread entry reads the thread, and tells it from its neighbours."""
    began = datetime.now(UTC)
    root = await desk.deliver(CARD)
    said = [
        delivery(DeliveryKind.DESK_ENTRY, n, thread_ts=root.platform_id, entry=entry(body=f"line {n}")) for n in (2, 3)
    ]
    receipts = [await desk.deliver(one) for one in said]
    found = [await desk.find(one, began) for one in said]
    assert [one.platform_id for one in found if one] == [one.platform_id for one in receipts]


async def test_a_lookup_that_slack_refuses_is_asked_again_later(desk: SlackDesk, slack: Slack) -> None:
    """A look-up never guesses: while Slack cannot be asked, nothing is known."""
    for fault in ("500", "drop_before", "429"):
        await slack.fault("conversations.history", fault)
        with pytest.raises(RetryLater):
            await desk.find(CARD, datetime.now(UTC))


async def test_an_unreachable_slack_is_a_certain_no(slack: Slack) -> None:
    """A refused connection has certainly delivered nothing."""
    closed = SlackDesk(config("http://127.0.0.1:9"))
    with pytest.raises(RetryLater, match="unreachable"):
        await closed.deliver(CARD)
    await closed.close()


async def test_a_channel_without_the_bot_parks_the_lane(desk: SlackDesk) -> None:
    """Not being invited is an access that a person has to mend."""
    with pytest.raises(AccessRevoked, match="not_in_channel"):
        await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view(), place=RANDOM))


async def test_a_long_message_is_shown_whole_over_several_blocks(desk: SlackDesk, slack: Slack) -> None:
    """4,096 characters that all need escaping arrive complete, as text and not as markup."""
    root = await desk.deliver(CARD)
    body = "<&" * 2048
    await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=entry(body=body)))
    shown = (await slack.thread(root.platform_id))[1]
    parts = [block["elements"][0]["elements"][0]["text"] for block in shown["blocks"]]
    assert "".join(parts) == body
    assert len(parts) == 2


async def test_markup_of_a_customer_pings_nobody(desk: SlackDesk, slack: Slack) -> None:
    """Mentions, links and formatting in a customer's words stay words, in blocks and in the fallback text."""
    evil = "<!channel> <@U0MAYA> <https://bank.example|https://evil.example> *bold* :tada:"
    root = await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view(excerpt=evil, customer_name=evil)))
    await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=entry(body=evil)))
    for message in await slack.thread(root.platform_id):
        assert "<!channel>" not in message["text"]
        assert "<@U0MAYA>" not in message["text"]
        for block in message["blocks"]:
            if block["type"] in ("section", "context"):
                assert "channel" not in str(block)


async def test_an_edit_changes_the_post_and_says_so_in_the_thread(desk: SlackDesk, slack: Slack) -> None:
    """The post shows the new words with (edited); a line in the thread shows before and after."""
    root = await desk.deliver(CARD)
    old = entry(body="I paid 30 euros")
    posted = await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=old))
    new = entry(EntryKind.INCOMING_EDIT, "I paid 50 euros")
    edit = delivery(
        DeliveryKind.DESK_EDIT, 3, thread_ts=root.platform_id, message_ts=posted.platform_id, entry=new, earlier=old
    )
    receipt = await desk.deliver(edit)
    _, changed, line = await slack.thread(root.platform_id)
    assert "50 euros (edited)" in changed["text"]
    assert line["ts"] == receipt.platform_id
    assert "30 euros" in str(line["blocks"])
    assert "50 euros" in str(line["blocks"])


async def test_a_whisper_is_seen_by_one_person(desk: SlackDesk, slack: Slack) -> None:
    """A refusal goes to the one it concerns and is no message in the thread."""
    root = await desk.deliver(CARD)
    said = delivery(
        DeliveryKind.DESK_WHISPER,
        2,
        thread_ts=root.platform_id,
        data={"user": "U0STRANGER", "text": "refused_stranger"},
    )
    await desk.deliver(said)
    assert len(await slack.thread(root.platform_id)) == 1
    (whisper,) = await slack.whispers("U0STRANGER")
    assert "Only agents can answer here" in whisper["text"]
    assert not await slack.whispers(MAYA)


@pytest.mark.parametrize(("refusal", "whispers"), [("expired_trigger_id", 1), ("exchanged_trigger_id", 0)])
async def test_who_pressed_a_card_is_told_once(desk: SlackDesk, slack: Slack, refusal: str, whispers: int) -> None:
    """Too late for a window it is a whisper; a window that had opened before is not followed by one."""
    root = await desk.deliver(CARD)
    await slack.fault("views.open", fault="error", error=refusal)
    said = {"user": MAYA, "text": "refused_stranger", "trigger": "1.2.3"}
    receipt = await desk.deliver(delivery(DeliveryKind.DESK_WHISPER, 2, thread_ts=root.platform_id, data=said))
    assert receipt.place == SUPPORT
    assert len(await slack.whispers(MAYA)) == whispers


async def test_an_echo_takes_the_place_of_the_earlier_one(desk: SlackDesk, slack: Slack) -> None:
    """The check mark replaces the hourglass; echoing a state twice is the same as once."""
    ts = await slack.write(MAYA, "hello")
    waiting = delivery(DeliveryKind.DESK_REACTION, 2, data={"ts": ts, "name": "hourglass_flowing_sand", "remove": None})
    sent = {"ts": ts, "name": "white_check_mark", "remove": ["question", "hourglass_flowing_sand"]}
    for _ in range(2):
        await desk.deliver(waiting)
    for _ in range(2):
        assert (await desk.deliver(delivery(DeliveryKind.DESK_REACTION, 3, data=sent))).platform_id == ts
    (message,) = await slack.messages()
    assert [(one["name"], one["count"]) for one in message["reactions"]] == [("white_check_mark", 1)]
    await slack.post("slack/delete", user=MAYA, channel=SUPPORT, ts=ts)
    await desk.deliver(delivery(DeliveryKind.DESK_REACTION, 4, data=sent))  # its author took it away


async def test_a_notice_names_the_channel_and_what_to_do(desk: SlackDesk, slack: Slack) -> None:
    """A notice stands in the operator's channel with a link to what it is about; an unknown one says its key."""
    known = {"text": "desk_changed", "kind": "channel_archive", "channel": SUPPORT, "place": LEADS}
    await desk.deliver(delivery(DeliveryKind.DESK_NOTICE, place=LEADS, data=known))
    await desk.deliver(delivery(DeliveryKind.DESK_NOTICE, 2, place="", data={"text": "odd <!here>"}))
    first, second = await slack.messages(LEADS)
    assert f"<#{SUPPORT}> was archived" in first["text"]
    assert "odd &lt;!here&gt;" in second["text"]


async def test_an_archived_channel_is_told_from_a_missing_post(desk: SlackDesk, slack: Slack) -> None:
    """A card whose post was deleted has to be posted anew; a channel in the archive can be mended."""
    posted = await desk.deliver(CARD)
    gone = delivery(DeliveryKind.DESK_UPDATE, 2, card=card_view(), message_ts="1700000000.000001")
    with pytest.raises(ThreadGone, match="root_deleted") as found:
        await desk.deliver(gone)
    assert found.value.thread == "1700000000.000001"
    await slack.post("slack/archive", channel=SUPPORT)
    with pytest.raises(AccessRevoked, match="is_archived"):
        await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, 3, thread_ts=posted.platform_id, entry=entry(body="x")))


async def test_a_reply_to_a_thread_that_is_gone_leaves_nothing_in_the_channel(desk: SlackDesk, slack: Slack) -> None:
    """Slack posts it at the top without a word: it is taken away again, and the thread is begun anew."""
    with pytest.raises(ThreadGone):
        await desk.deliver(delivery(DeliveryKind.DESK_ENTRY, 3, thread_ts="1700000000.000001", entry=entry(body="x")))
    assert [one for one in await slack.messages() if one.get("bot_id")] == []

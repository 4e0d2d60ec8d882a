"""Polling: nothing is confirmed before it is stored, and nothing ends or overheats the loop."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bot.channels import telegram_poll
from bot.channels.telegram import TelegramChannel
from domain.errors import MalformedEvent
from domain.events import CustomerMessage
from tests.bot.channels.conftest import Inbox, config_at, message, opened, running, until, writable
from tests.bot.channels.malformed import SHAPES
from tests.bot.channels.scripted_api import HTML, TOKEN, Reply, ScriptedApi, ok, refused


async def test_an_update_is_confirmed_only_after_it_is_stored(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """While storing fails Telegram serves the same updates again; none is lost, none is skipped."""
    inbox.fail = 3
    api.push(message(100), message(101), message(102))
    async with running(channel, inbox.accept):
        await until(lambda: len(inbox.rows) == 3)
        await until(lambda: not api.pending)
    offsets = [int(call.fields["offset"]) for call in api.asked("getUpdates")]
    assert offsets[:4] == [0, 0, 0, 0]
    assert offsets[4] == 103
    assert [len(batch) for batch in inbox.batches] == [3, 3, 3, 3]


async def test_a_restart_begins_at_the_beginning(api: ScriptedApi, channel: TelegramChannel, inbox: Inbox) -> None:
    """No offset is kept: what was served and not confirmed comes again, and is known."""
    api.push(message(100))
    started = asyncio.Event()

    async def hang(arrivals: object) -> int:
        started.set()
        await asyncio.sleep(60)
        return 0

    async with running(channel, hang):
        await started.wait()
    async with running(channel, inbox.accept):
        await until(lambda: inbox.rows)
    assert api.asked("getUpdates")[-1].fields["offset"] in ("0", "101")


async def test_what_is_wanted_is_said_and_no_backlog_dropped(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Telegram keeps the last program's list of update kinds otherwise, and a webhook would stop the polls."""
    async with running(channel, inbox.accept):
        await until(lambda: len(api.asked("getUpdates")) > 1)
    allowed = json.loads(api.asked("getUpdates")[0].fields["allowed_updates"])
    assert {"message", "edited_message", "my_chat_member", "message_reaction"} <= set(allowed)
    assert api.calls[0].method == "deleteWebhook"
    assert "drop_pending_updates" not in api.asked("deleteWebhook")[0].fields


async def test_the_menu_of_commands_is_set_in_each_language(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Once at the start; a failure of it costs nothing else."""
    async with running(channel, inbox.accept):
        await until(lambda: len(api.asked("setMyCommands")) == 2)
    first, second = api.asked("setMyCommands")
    assert "language_code" not in first.fields
    assert second.fields["language_code"] == "zh"
    assert [entry["command"] for entry in json.loads(second.fields["commands"])] == ["start", "help", "privacy"]


async def test_what_the_bot_is_for_is_said_where_nobody_has_said_it(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """In each language, the default one last; what the company has written at Telegram itself stays."""
    for method in ("setMyDescription", "setMyShortDescription"):
        api.always(method, ok(True))
    api.always("getMyDescription", ok({"description": ""}))
    api.always("getMyShortDescription", ok({"short_description": "Ours."}))
    async with running(channel, inbox.accept):
        await until(lambda: len(api.asked("getMyShortDescription")) == 2)
    chinese, default = api.asked("setMyDescription")
    assert (chinese.fields["language_code"], "language_code" in default.fields) == ("zh", False)
    assert default.fields["description"] == "Write to us here. A person from our team answers."
    assert api.asked("setMyShortDescription") == []


async def test_a_refused_menu_does_not_stop_the_polling(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """The menu is decoration."""
    api.say("setMyCommands", refused(400, "Bad Request: BOT_COMMAND_INVALID"))
    api.push(message(100))
    async with running(channel, inbox.accept):
        await until(lambda: inbox.rows)


@pytest.mark.parametrize(
    "replies",
    [
        [refused(401, "Unauthorized")],
        [refused(404, "Not Found")],
        [Reply(status=404, body=HTML, content_type="text/html")],
        [refused(409, "Conflict: terminated by other getUpdates request; make sure that only one bot runs")],
        [refused(429, "Too Many Requests: retry after 1", retry_after=1)],
        [Reply(status=500), Reply(status=502, body=HTML), Reply(cut="before"), Reply(body=b'{"ok":true', cut="body")],
        [Reply(body=HTML, content_type="text/html")],
        [Reply(body=b"[1, 2]"), Reply(body=b'{"ok": true}'), Reply(body=b"{" * 5000)],
        [ok(None), ok({"not": "a list"}), ok("text"), ok([[[]]])],
    ],
)
async def test_no_answer_ends_the_polling(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox, replies: list[Reply]
) -> None:
    """After any odd answer, once or several times, the next good update is still taken in."""
    api.say("getUpdates", *replies)
    api.push(message(100))
    async with running(channel, inbox.accept) as task:
        await until(lambda: any(row.kind == "message" for row in inbox.rows.values()))
        assert not task.done()


async def test_a_second_poller_is_explained_in_plain_words(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """The operator reads what is wrong and what to do, not a status code."""
    api.say("getUpdates", refused(409, "Conflict: terminated by other getUpdates request"))
    with capture_logs() as logs:
        async with running(channel, inbox.accept):
            await until(lambda: len(api.asked("getUpdates")) > 1)
    (line,) = [line for line in logs if line["event"] == "telegram_conflict"]
    assert line["meaning"] == telegram_poll.SECOND_POLLER
    assert line["log_level"] == "error"


async def test_a_stale_webhook_is_explained_and_removed_with_its_backlog_kept(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """A webhook set after our start is removed again."""
    api.say("getUpdates", refused(409, "Conflict: can't use getUpdates method while webhook is active"))
    with capture_logs() as logs:
        async with running(channel, inbox.accept):
            await until(lambda: len(api.asked("deleteWebhook")) == 2)
    assert telegram_poll.STALE_WEBHOOK in [line.get("meaning") for line in logs]
    assert all(call.fields == {} for call in api.asked("deleteWebhook"))


async def test_a_refused_token_is_an_alarm_and_is_tried_slowly(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """A revoked token does not stop the loop: when it is good again, messages flow."""
    api.say("getUpdates", *[refused(401, "Unauthorized")] * 3)
    api.push(message(100))
    with capture_logs() as logs:
        async with running(channel, inbox.accept):
            await until(lambda: inbox.rows)
    assert [line["log_level"] for line in logs if line["event"] == "telegram_token_refused"] == ["error"] * 3


async def test_an_unreachable_platform_is_tried_again_on_fresh_connections(inbox: Inbox, api: ScriptedApi) -> None:
    """Starting before the network, or through an outage, needs nobody."""
    async with opened(replace(config_at(api.url), base_url="http://127.0.0.1:1")) as channel:
        with capture_logs() as logs:
            async with running(channel, inbox.accept) as task:
                await until(lambda: sum(line["event"] == "telegram_unreachable" for line in logs) >= 7)
                assert not task.done()
        assert channel.last_success_age() == float("inf")


async def test_the_age_of_the_last_success_starts_with_an_answer(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Health reads how long nothing would have reached us."""
    assert channel.last_success_age() == float("inf")
    async with running(channel, inbox.accept):
        await until(lambda: channel.last_success_age() < 1)


async def test_an_answer_that_does_not_wait_does_not_make_the_loop_spin(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """A server that answers at once, always with nothing or always with the same, is asked a few times a second."""
    api.always("getUpdates", ok([]))
    api.say("getUpdates", *[ok([message(100)])] * 200)
    async with running(channel, inbox.accept):
        await asyncio.sleep(1.0)
    assert len(api.asked("getUpdates")) < 100
    assert len(inbox.rows) == 1


async def test_a_lower_update_id_is_followed(api: ScriptedApi, channel: TelegramChannel, inbox: Inbox) -> None:
    """Telegram draws new ids after a quiet week; they may be lower than the last."""
    api.push(message(900))
    async with running(channel, inbox.accept):
        await until(lambda: len(inbox.rows) == 1)
        api.say("getUpdates", ok([message(5, "later")]))
        api.push(message(6, "latest"))
        await until(lambda: len(inbox.rows) == 3)


async def test_a_reused_update_id_does_not_swallow_a_message(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """The key holds the message too."""
    first, second = message(100), message(100)
    second["message"]["message_id"] = 77
    api.say("getUpdates", ok([first]), ok([second]))
    async with running(channel, inbox.accept):
        await until(lambda: len(inbox.rows) == 2)


async def test_a_long_silence_forgets_the_offset(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offset from before a quiet week would confirm Telegram's newly drawn, lower ids unseen."""
    monkeypatch.setattr(telegram_poll, "FORGET_OFFSET_AFTER_S", 0.1)
    api.push(message(900))
    async with running(channel, inbox.accept):
        await until(lambda: "901" in [call.fields["offset"] for call in api.asked("getUpdates")])
        await until(lambda: api.asked("getUpdates")[-1].fields["offset"] == "0")


async def test_malformed_updates_are_stored_and_the_next_good_one_flows(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Each odd shape goes into the inbox raw and is read or set aside; none holds up the others or heats the loop."""
    api.push(*SHAPES.values(), message(900, "Still there?"))
    async with running(channel, inbox.accept):
        await until(lambda: not api.pending)
        calls = len(api.asked("getUpdates"))
        await asyncio.sleep(0.5)
        assert len(api.asked("getUpdates")) - calls < 40
    assert len(inbox.rows) == len(SHAPES) + 1
    last = channel.parse(inbox.rows["900:message:42:9000:"].payload)
    assert isinstance(last, CustomerMessage)
    assert last.text == "Still there?"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_each_malformed_update_is_stored_alone(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox, shape: object
) -> None:
    """Alone in its batch too it is stored, confirmed where it can be, read or refused with a reason, and passed."""
    api.push(shape)
    async with running(channel, inbox.accept):
        await until(lambda: inbox.rows)
        api.push(message(900, "Still there?"))
        await until(lambda: len(inbox.rows) == 2)
    (row, _) = inbox.rows.values()
    assert json.loads(row.payload) == shape
    assert row.payload.isascii()
    assert "Ann" not in _reason_or_event(channel, row.payload)


def _reason_or_event(channel: TelegramChannel, payload: str) -> str:
    """The reason why it cannot be read, or an empty text after showing that the event can be written anywhere."""
    try:
        event = channel.parse(payload)
    except MalformedEvent as error:
        return str(error) or "Ann: no reason"
    writable(event)
    return ""


async def test_neither_token_nor_text_reaches_a_log(
    api: ScriptedApi, channel: TelegramChannel, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """At the finest level of every library, through good answers and bad."""
    secret = "Ann's account number"
    api.say("getUpdates", Reply(body=secret.encode()), Reply(status=500), Reply(status=401, body=secret.encode()))
    api.push(message(100, secret))
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        async with running(channel, inbox.accept):
            await until(lambda: inbox.rows)
    said = caplog.text + repr(logs)
    assert TOKEN not in said
    assert secret not in said

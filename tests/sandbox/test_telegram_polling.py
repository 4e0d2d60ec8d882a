"""getUpdates: nothing is forgotten before it is confirmed, and two pollers disturb each other as they do for real."""

import asyncio
import time

import pytest
from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken
from telegram.ext import Application, MessageHandler, filters

from tests import patience
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import TOKEN, Desk, Json


async def waiting(desk: Desk, polls: int = 1) -> None:
    """Wait until so many calls of getUpdates have come in."""

    def look() -> bool:
        return bool(desk.get("log/counts")["requests"]["telegram"].get("getUpdates", 0) >= polls)

    await patience.eventually(look, what=f"{polls} polls")


def texts(updates: tuple[Update, ...]) -> list[str | None]:
    """The texts of messages, in the order served."""
    return [update.message.text if update.message else None for update in updates]


async def test_an_update_is_served_until_a_higher_offset_confirms_it(desk: Desk) -> None:
    """The same updates come again and again, until the offset moves beyond them; then they are gone and logged so."""
    chat = desk.join()
    ids = [desk.say(chat, f"line {number}")["update_id"] for number in range(3)]
    async with telegram_kit.bot(desk) as bot:
        assert texts(await bot.get_updates()) == ["line 0", "line 1", "line 2"]
        assert texts(await bot.get_updates()) == ["line 0", "line 1", "line 2"]
        assert texts(await bot.get_updates(offset=ids[1])) == ["line 1", "line 2"]
        assert await bot.get_updates(offset=ids[2] + 1) == ()
        assert await bot.get_updates() == ()
    assert [record["data"]["update_ids"] for record in desk.log("update_served")] == [ids, ids, ids[1:]]
    assert [record["data"]["update_ids"] for record in desk.log("update_confirmed")] == [ids[:1], ids[1:]]


async def test_limit_and_order(desk: Desk) -> None:
    """At most `limit` updates, the oldest first; an impossible limit means 100."""
    chat = desk.join()
    desk.post("telegram/send_many", messages=[{"chat_id": chat, "text": str(n)} for n in range(130)])
    async with telegram_kit.bot(desk) as bot:
        assert texts(await bot.get_updates(limit=2)) == ["0", "1"]
        assert len(await bot.get_updates()) == 100
        assert len(await bot.get_updates(limit=1000)) == 100


async def test_a_negative_offset_forgets_all_but_the_last(desk: Desk) -> None:
    """offset=-2 destroys the backlog before the last two, and the log says that they were dropped, not confirmed."""
    chat = desk.join()
    ids = [desk.say(chat, str(number))["update_id"] for number in range(4)]
    async with telegram_kit.bot(desk) as bot:
        assert texts(await bot.get_updates(offset=-2)) == ["2", "3"]
        assert texts(await bot.get_updates()) == ["2", "3"]
    assert [record["data"]["update_ids"] for record in desk.log("update_dropped")] == [ids[:2]]
    assert desk.log("update_confirmed") == []


async def test_a_long_poll_answers_when_something_arrives(desk: Desk) -> None:
    """A waiting call is answered at once when a customer writes, and empty when its time is over."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        poll = asyncio.create_task(bot.get_updates(timeout=50))
        await waiting(desk)
        assert not poll.done()
        started = time.monotonic()
        desk.say(chat, "hello")
        assert texts(await poll) == ["hello"]
        assert time.monotonic() - started < 25, "long before its time is over"
        started = time.monotonic()
        offset = (await bot.get_updates())[-1].update_id + 1
        assert await bot.get_updates(offset=offset, timeout=1) == ()
        assert time.monotonic() - started > 0.9


async def test_a_second_poller_ends_the_first(desk: Desk) -> None:
    """Two pollers: the earlier call gets 409 in Telegram's words, the later one gets the message."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as first, telegram_kit.bot(desk) as second:
        earlier = asyncio.create_task(first.get_updates(timeout=50))
        await waiting(desk)
        later = asyncio.create_task(second.get_updates(timeout=50))
        with pytest.raises(Conflict) as refused:
            await earlier
        assert refused.value.message == (
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
        )
        desk.say(chat, "for the second")
        assert texts(await later) == ["for the second"]


async def test_a_poller_that_vanished_does_not_disturb(desk: Desk) -> None:
    """A client that is gone in the middle of a long poll leaves nothing behind that could end the next one."""
    async with telegram_kit.bot(desk) as bot:
        gone = asyncio.create_task(bot.get_updates(timeout=50))
        await waiting(desk)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    desk.get("state")  # whoever answers this has read before that the other connection ended
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        poll = asyncio.create_task(bot.get_updates(timeout=50))
        await waiting(desk, 2)
        desk.say(chat, "still there")
        assert texts(await poll) == ["still there"]
    assert desk.log("poll_terminated") == []


async def test_allowed_updates_are_remembered_from_the_last_call(desk: Desk) -> None:
    """The kinds named once hold until others are named; the default leaves reactions out."""
    chat = desk.join()
    message_id = desk.say(chat, "one")["message_id"]
    assert desk.post("telegram/react", chat_id=chat, message_id=message_id, reaction="👍")["update_id"] is None
    async with telegram_kit.bot(desk) as bot:
        first = await bot.get_updates(allowed_updates=["message", "message_reaction"])
        assert texts(first) == ["one"]
        assert desk.post("telegram/edit", chat_id=chat, message_id=message_id, text="two")["update_id"] is None
        desk.post("telegram/react", chat_id=chat, message_id=message_id, reaction=["🔥"])
        second = await bot.get_updates(offset=first[0].update_id + 1)
        assert [update.message_reaction is not None for update in second] == [True]
        await bot.get_updates(offset=second[0].update_id + 1, allowed_updates=[])
        assert desk.post("telegram/edit", chat_id=chat, message_id=message_id, text="three")["update_id"]
    assert len(desk.log("update_unwanted")) == 2


async def test_after_a_day_of_product_time_an_update_is_gone(desk: Desk) -> None:
    """What was not fetched for 24 hours vanishes, and the log calls it expired; what is younger stays."""
    chat = desk.join()
    old = desk.say(chat, "old")["update_id"]
    desk.post("clock", advance_s=23 * 3600)
    desk.say(chat, "young")
    async with telegram_kit.bot(desk) as bot:
        assert texts(await bot.get_updates()) == ["old", "young"]
        desk.post("clock", advance_s=3700)
        assert texts(await bot.get_updates()) == ["young"]
    assert [record["data"]["update_ids"] for record in desk.log("update_expired")] == [[old]]


async def test_ids_may_jump_back(desk: Desk) -> None:
    """After a silent week ids start elsewhere, also lower: an offset far beyond them hides and confirms nothing."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        high = desk.say(chat, "high")["update_id"]
        assert texts(await bot.get_updates()) == ["high"]
        await bot.get_updates(offset=high + 1)
        desk.post("telegram/update_id", next=1000, idle=True)
        assert desk.say(chat, "low")["update_id"] == 1000
        assert texts(await bot.get_updates(offset=high + 1)) == ["low"]
        assert texts(await bot.get_updates(offset=high + 1)) == ["low"]
        refused = desk.http.post("/control/telegram/update_id", content=b'{"next": 5, "idle": true}')
        assert refused.status_code == 409, "one waits, so no week was silent"
        assert await bot.get_updates(offset=1001) == ()


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (TOKEN[:-1] + "x", "Unauthorized"),
        ("123:abc", "Unauthorized"),
        ("nonsense", "Not Found"),
    ],
)
async def test_a_wrong_token_is_refused(desk: Desk, token: str, message: str) -> None:
    """A token of the right shape is 401, anything else 404, for calls and for files."""
    async with telegram_kit.bot(desk, token) as bot:
        with pytest.raises(InvalidToken):
            await bot.get_me()
    status = 401 if message == "Unauthorized" else 404
    for path in (f"bot{token}/getMe", f"file/bot{token}/photos/file_1.jpg"):
        answer = desk.http.get(f"/telegram/{path}")
        assert answer.status_code == status
        assert answer.json() == {"ok": False, "error_code": status, "description": message}


def test_an_unknown_method_is_not_found(desk: Desk) -> None:
    """What the sandbox does not play is answered as Telegram answers a method it does not have."""
    answer = desk.http.post(f"/telegram/bot{TOKEN}/sendCarrierPigeon")
    assert answer.status_code == 404
    assert answer.json()["description"] == "Not Found: method not found"


def test_the_method_name_may_be_written_in_any_case(desk: Desk) -> None:
    """As at Telegram, getme is getMe; parameters may come in the query of a GET or as JSON."""
    chat = desk.join()
    assert desk.http.get(f"/telegram/bot{TOKEN}/getme").json()["result"]["is_bot"] is True
    sent = desk.http.get(f"/telegram/bot{TOKEN}/SENDMESSAGE", params={"chat_id": chat, "text": "query"})
    assert sent.json()["result"]["text"] == "query"
    sent = desk.http.post(f"/telegram/bot{TOKEN}/sendMessage", json={"chat_id": chat, "text": "json"})
    assert sent.json()["result"]["text"] == "json"


MALFORMED: list[object] = [
    {"update_id": 700000500, "message": "text"},
    {"update_id": 700000500, "message": {"message_id": 1, "date": "soon", "chat": "x"}},
    {"message": {}},
    [],
    "nothing",
    None,
    7,
    {"update_id": 700000500, "some_new_kind": {"text": "\ud800 \u0000"}},
]


@pytest.mark.parametrize("update", MALFORMED, ids=repr)
async def test_a_malformed_update_is_served_as_it_is(desk: Desk, update: object) -> None:
    """What is injected reaches the bot unchanged, among good ones, and is confirmed like any other."""
    chat = desk.join()
    first = desk.say(chat, "before")["update_id"]
    injected = desk.post("telegram/raw", update=update)["update_id"]
    after = desk.say(chat, "after")["update_id"]
    assert first < injected < after
    served = await raw_updates(desk)
    assert served[1] == update
    assert [served[0]["message"]["text"], served[2]["message"]["text"]] == ["before", "after"]
    assert [one["update_id"] for one in await raw_updates(desk, after)] == [after]


async def test_broken_bytes_can_be_served_once(desk: Desk) -> None:
    """Text that is not JSON spoils the whole answer; with `times` it is gone after the given number of calls."""
    desk.say(desk.join(), "good")
    desk.post("telegram/raw", raw='{"update_id": 1, "message"', times=1)
    answer = desk.http.get(f"/telegram/bot{TOKEN}/getUpdates")
    with pytest.raises(ValueError, match="delimiter"):
        answer.json()
    assert [one["message"]["text"] for one in await raw_updates(desk)] == ["good"]


async def raw_updates(desk: Desk, offset: int = 0) -> list[Json]:
    """What getUpdates answers, unparsed, through python-telegram-bot's own request."""
    async with telegram_kit.bot(desk) as bot:
        updates: list[Json] = await raw_call(bot, offset)
        return updates


async def raw_call(bot: Bot, offset: int) -> list[Json]:
    """getUpdates without the parsing that would fail on purpose-made nonsense."""
    result = await bot._post("getUpdates", {"offset": offset})
    assert isinstance(result, list)
    return result


async def test_a_whole_application_runs_against_it(desk: Desk) -> None:
    """python-telegram-bot's own Application polls, answers every customer once and stops cleanly."""

    async def echo(update: Update, _context: object) -> None:
        assert update.message is not None
        await update.message.reply_text(f"got {update.message.text}")

    async with telegram_kit.bot(desk) as bot:
        application = Application.builder().bot(bot).build()
        application.add_handler(MessageHandler(filters.TEXT, echo))
        assert application.updater is not None
        async with application:
            await application.updater.start_polling(poll_interval=0)
            await application.start()
            chats = [desk.join() for _ in range(3)]
            for number in range(4):
                for chat in chats:
                    desk.say(chat, f"{chat}/{number}")
            await patience.eventually(lambda: len(desk.log("bot_message")) == 12, what="each line is answered")
            await application.updater.stop()
            await application.stop()
    for chat in chats:
        shown = desk.get(f"telegram/chat/{chat}")["messages"]
        answers = [message["text"] for message in shown if message["from"] == "bot"]
        assert answers == [f"got {chat}/{number}" for number in range(4)]
    assert desk.get("telegram/updates")["updates"] == []

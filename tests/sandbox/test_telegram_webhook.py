"""The webhook: posted until taken, with the secret, in order within a chat, and never beside polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from telegram import Bot
from telegram.error import BadRequest, Conflict

from tests import patience
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import Desk, Json

SECRET = "a-Secret_0"


class Receiver:
    """A bot's webhook route that notes what it gets and answers what the test wants."""

    def __init__(self) -> None:
        self.got: list[Json] = []
        self.secrets: list[str | None] = []
        self.statuses: list[int] = []
        self.most_at_once = 0
        self.hold_s = 0.0
        self._now = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Note the update; 200, or the next status the test has laid ready."""
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.got.append(await request.json())
        self.secrets.append(request.headers.get("X-Telegram-Bot-Api-Secret-Token"))
        await asyncio.sleep(self.hold_s)
        self._now -= 1
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    def texts(self) -> list[str]:
        """The texts in the order in which they came."""
        return [update["message"]["text"] for update in self.got]


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """The receiver on a free port of this machine; yields its address."""
    app = web.Application()
    app.router.add_post("/hook", receiver.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def hooked(desk: Desk, **settings: Any) -> AsyncIterator[tuple[Bot, Receiver]]:
    """A bot whose webhook is set to a receiver; deleted again at the end."""
    receiver = Receiver()
    async with telegram_kit.bot(desk) as bot, listening(receiver) as url:
        await bot.set_webhook(url, **settings)
        try:
            yield bot, receiver
        finally:
            await bot.delete_webhook()


async def test_updates_are_posted_with_the_secret(desk: Desk) -> None:
    """What waited and what comes new is posted in order, with the secret header, and is confirmed by the 200."""
    chat = desk.join()
    desk.say(chat, "waited")
    async with hooked(desk, secret_token=SECRET) as (bot, receiver):
        desk.say(chat, "new")
        await patience.eventually(lambda: len(receiver.got) == 2)
        assert receiver.texts() == ["waited", "new"]
        assert receiver.secrets == [SECRET, SECRET]
        await patience.eventually(lambda: len(desk.log("update_confirmed")) == 2)
        assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_a_failing_webhook_is_asked_again_until_it_takes_it(desk: Desk) -> None:
    """A 500 keeps the update and everything behind it in that chat; other chats go on; the reason is shown."""
    slow, other = desk.join(), desk.join()
    async with hooked(desk) as (bot, receiver):
        receiver.statuses = [500]
        desk.say(slow, "first")
        await patience.eventually(lambda: len(receiver.got) == 1)
        desk.say(slow, "second")
        desk.say(other, "elsewhere")
        await patience.eventually(lambda: "elsewhere" in receiver.texts())
        info = await bot.get_webhook_info()
        assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
        assert info.last_error_date is not None
        assert info.pending_update_count == 2
        await patience.eventually(lambda: len(receiver.got) == 4)
        assert receiver.texts() == ["first", "elsewhere", "first", "second"]
    statuses = [record["data"]["status"] for record in desk.log("webhook_post")]
    assert statuses == [500, 200, 200, 200]


async def test_a_post_that_is_broken_off_is_written_down(desk: Desk) -> None:
    """Setting the address again ends the posts under way: the bot may have taken them, so they count as offered."""
    chat = desk.join()
    async with hooked(desk) as (bot, receiver):
        receiver.hold_s = 0.5
        desk.say(chat, "first")
        await patience.eventually(lambda: len(receiver.got) == 1)
        receiver.hold_s = 0.0
        await bot.set_webhook((await bot.get_webhook_info()).url)
        await patience.eventually(lambda: len(desk.log("webhook_post")) == 2)
        assert [record["data"]["status"] for record in desk.log("webhook_post")] == [0, 200]


async def test_nobody_at_the_address_is_a_refused_connection(desk: Desk) -> None:
    """An address where nothing listens keeps the update; deleting the webhook gives it to polling."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        await bot.set_webhook("http://127.0.0.1:9/hook")
        desk.say(chat, "kept")
        await patience.eventually(lambda: bool(desk.log("webhook_post")))
        assert (await bot.get_webhook_info()).last_error_message == "Connection refused"
        assert await bot.delete_webhook()
        (update,) = await bot.get_updates()
        assert update.message is not None
        assert update.message.text == "kept"


async def test_polling_is_refused_while_a_webhook_is_set(desk: Desk) -> None:
    """getUpdates beside a webhook is a 409 that says what to do; a waiting poll is ended by setWebhook."""
    async with telegram_kit.bot(desk) as poller:
        poll = asyncio.create_task(poller.get_updates(timeout=50))
        await patience.eventually(lambda: desk.get("log/counts")["requests"]["telegram"].get("getUpdates"))
        async with hooked(desk) as (bot, _):
            with pytest.raises(Conflict, match="terminated by setWebhook request"):
                await poll
            with pytest.raises(Conflict) as refused:
                await bot.get_updates()
            assert refused.value.message == (
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first"
            )


async def test_at_most_max_connections_at_a_time(desk: Desk) -> None:
    """With max_connections=2 four chats are served two at a time; each chat stays in order."""
    chats = [desk.join() for _ in range(4)]
    async with hooked(desk, max_connections=2) as (_, receiver):
        receiver.hold_s = 0.05
        desk.post(
            "telegram/send_many",
            messages=[{"chat_id": chat, "text": f"{chat} {n}"} for n in range(3) for chat in chats],
        )
        await patience.eventually(lambda: len(receiver.got) == 12)
        assert receiver.most_at_once == 2
    for chat in chats:
        own = [text for text in receiver.texts() if text.startswith(str(chat))]
        assert own == [f"{chat} {n}" for n in range(3)]


async def test_dropping_is_logged_as_dropping(desk: Desk) -> None:
    """drop_pending_updates destroys the backlog, and the log does not call that confirmed."""
    lost = desk.say(desk.join(), "lost")["update_id"]
    async with hooked(desk, drop_pending_updates=True) as (_, receiver):
        desk.say(desk.join(), "kept")
        await patience.eventually(lambda: len(receiver.got) == 1)
        assert receiver.texts() == ["kept"]
    assert [record["data"]["update_ids"] for record in desk.log("update_dropped")] == [[lost]]


async def test_duplicate_deliveries_on_request(desk: Desk) -> None:
    """A `duplicate` fault posts the same update twice, once."""
    desk.fault("webhook", "duplicate")
    chat = desk.join()
    async with hooked(desk) as (_, receiver):
        desk.say(chat, "twice")
        desk.say(chat, "once")
        await patience.eventually(lambda: len(receiver.got) == 3)
        assert receiver.texts() == ["twice", "twice", "once"]


async def test_an_answer_can_be_lost_on_request(desk: Desk) -> None:
    """After a `no_ack` fault what was taken is posted again, before anything newer of its chat."""
    desk.fault("webhook", "no_ack")
    chat = desk.join()
    async with hooked(desk) as (_, receiver):
        desk.say(chat, "unheard")
        desk.say(chat, "next")
        await patience.eventually(lambda: len(receiver.got) == 3)
        assert receiver.texts() == ["unheard", "unheard", "next"]


async def test_a_restarted_sandbox_goes_on_posting(tmp_path: Path) -> None:
    """What was not taken before a restart is posted after it, to the same address with the same secret."""
    state = str(tmp_path / "state.json")
    receiver = Receiver()
    receiver.statuses = [503]
    async with listening(receiver) as url:
        with telegram_kit.running("--state", state) as desk:
            async with telegram_kit.bot(desk) as bot:
                await bot.set_webhook(url, secret_token=SECRET)
            desk.say(desk.join(), "once refused")
            await patience.eventually(lambda: len(receiver.got) == 1)
            assert desk.stop() == 0
        with telegram_kit.running("--state", state):
            await patience.eventually(lambda: len(receiver.got) == 2)
    assert receiver.got[0] == receiver.got[1]
    assert receiver.secrets == [SECRET, SECRET]


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"url": "http://example.com/hook"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "ftp://127.0.0.1/"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "https://127.0.0.1/", "secret_token": "no spaces"}, "secret token contains unallowed characters"),
        ({"url": "https://127.0.0.1/", "secret_token": "x" * 257}, "secret token is too long"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(desk: Desk, settings: Json, refusal: str) -> None:
    """Plain HTTP is for this machine only, and a secret has its alphabet; nothing is set."""
    async with telegram_kit.bot(desk) as bot:
        with pytest.raises(BadRequest) as refused:
            await bot.set_webhook(**settings)
        assert refused.value.message.lower() == refusal.lower()
        assert (await bot.get_webhook_info()).url == ""


async def test_what_was_set_is_told(desk: Desk) -> None:
    """getWebhookInfo says address, connections and kinds; deleting twice is not an error."""
    async with hooked(desk, max_connections=7, allowed_updates=["message"]) as (bot, _):
        info = await bot.get_webhook_info()
        assert (info.max_connections, info.allowed_updates) == (7, ("message",))
        assert info.url.startswith("http://127.0.0.1:")
    async with telegram_kit.bot(desk) as bot:
        assert await bot.delete_webhook()

"""The webhook: 200 means stored, everything else is sent again or was never Telegram's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from structlog.testing import capture_logs

from bot import metrics
from bot.channels.telegram import TelegramChannel, TelegramConfig
from domain.errors import ConfigError
from tests import patience
from tests.bot.channels.conftest import Inbox, config_at, message, opened, running, until
from tests.bot.channels.malformed import SHAPES
from tests.bot.channels.scripted_api import ScriptedApi, ok, refused

SECRET = "s3cret_with-all-allowed-signs"
HEADER = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
PUBLIC = "https://desk.example/telegram/telegram"
SMALL_LIMIT = 64 * 1024


@contextlib.asynccontextmanager
async def served(channel: TelegramChannel) -> AsyncIterator[httpx.AsyncClient]:
    """The channel's routes in a real web server on a real socket."""
    config = uvicorn.Config(Starlette(routes=channel.routes()), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=patience.LONG_S) as client:
            yield client
    finally:
        server.should_exit = True
        await task


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def config_of(api: ScriptedApi) -> TelegramConfig:
    return replace(
        config_at(api.url),
        mode="webhook",
        webhook_url=PUBLIC,
        webhook_secret=SECRET,
        watch_every_s=0.1,
        max_body_bytes=SMALL_LIMIT,
    )


@pytest.fixture
async def hooked(api: ScriptedApi) -> AsyncIterator[TelegramChannel]:
    """A channel in webhook mode."""
    api.always("getWebhookInfo", ok({"url": PUBLIC, "pending_update_count": 0}))
    async with opened(config_of(api)) as channel:
        yield channel


@pytest.fixture
async def post(hooked: TelegramChannel, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a channel that is running."""
    async with served(hooked) as client, running(hooked, inbox.accept):
        await until(lambda: hooked.last_success_age() < 1)
        yield client


async def test_an_update_is_answered_after_it_is_stored(post: httpx.AsyncClient, inbox: Inbox) -> None:
    """200 and the row are one thing; the same update again is known."""
    for _ in range(2):
        answer = await post.post("/telegram/telegram", json=message(7), headers=HEADER)
        assert answer.status_code == 200
    (row,) = inbox.rows.values()
    assert json.loads(row.payload) == message(7)
    assert (row.source, row.lane_key, row.kind) == ("telegram", "telegram:42", "message")


async def test_an_update_that_is_not_stored_is_sent_again(post: httpx.AsyncClient, inbox: Inbox) -> None:
    """A locked database answers 503, so that Telegram keeps the message."""
    inbox.fail = 1
    answers = [await post.post("/telegram/telegram", json=message(7), headers=HEADER) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 200]
    assert len(inbox.rows) == 1


async def test_nothing_is_taken_while_the_channel_is_not_running(hooked: TelegramChannel) -> None:
    """Before the start and after the end Telegram is told to try again."""
    async with served(hooked) as client:
        answer = await client.post("/telegram/telegram", json=message(7), headers=HEADER)
    assert answer.status_code == 503


async def test_any_process_takes_posts_while_another_watches(hooked: TelegramChannel, inbox: Inbox) -> None:
    """Behind a balancer each host stores what it is given; only one of them looks after the address."""
    hooked.open(inbox.accept)
    async with served(hooked) as client:
        for number, watching in ((7, False), (8, True), (9, False)):
            if watching:
                async with running(hooked, inbox.accept):
                    answer = await client.post("/telegram/telegram", json=message(number), headers=HEADER)
            else:
                answer = await client.post("/telegram/telegram", json=message(number), headers=HEADER)
            assert answer.status_code == 200
    assert len(inbox.rows) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Telegram-Bot-Api-Secret-Token": ""},
        {"X-Telegram-Bot-Api-Secret-Token": SECRET[:-1]},
        {"X-Telegram-Bot-Api-Secret-Token": SECRET + "x"},
        {"X-Telegram-Bot-Api-Secret-Token": "gehäim".encode("latin-1")},
    ],
)
async def test_a_forged_post_is_refused(post: httpx.AsyncClient, inbox: Inbox, headers: dict[str, str | bytes]) -> None:
    """Without Telegram's secret nobody speaks for a customer; it is counted."""
    before = counted("relaydesk_forged_requests_total", source="telegram")
    answer = await post.post("/telegram/telegram", json=message(7), headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert counted("relaydesk_forged_requests_total", source="telegram") == before + 1
    assert inbox.rows == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1, 2]", b'"text"', b"null", b"\xff\xfe{}", b"[" * 20_000, b'{"a":' * 5000 + b"1" + b"}" * 5000],
)
async def test_what_is_not_an_update_is_refused(post: httpx.AsyncClient, inbox: Inbox, body: bytes) -> None:
    """Bad JSON, bad UTF-8, a list, nesting beyond reason: 400, never 500."""
    answer = await post.post("/telegram/telegram", content=body, headers=HEADER)
    assert answer.status_code == 400
    assert inbox.rows == {}


async def test_a_body_over_the_limit_is_refused(post: httpx.AsyncClient, inbox: Inbox) -> None:
    """413 as soon as the limit is passed, with and without an announced length."""
    large = json.dumps(message(7, "x" * SMALL_LIMIT)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield large

    for content in (large, pieces()):
        answer = await post.post("/telegram/telegram", content=content, headers=HEADER)
        assert answer.status_code == 413
    assert inbox.rows == {}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", ""])
async def test_the_content_type_does_not_matter(post: httpx.AsyncClient, inbox: Inbox, kind: str) -> None:
    """A proxy that rewrites it must not cost messages."""
    body = json.dumps(message(7)).encode()
    answer = await post.post("/telegram/telegram", content=body, headers={**HEADER, "Content-Type": kind})
    assert (answer.status_code, len(inbox.rows)) == (200, 1)


async def test_a_client_that_hangs_up_leaves_nothing_behind(post: httpx.AsyncClient, inbox: Inbox) -> None:
    """Half a body is no update, and the server goes on."""
    reader, writer = await asyncio.open_connection(post.base_url.host, post.base_url.port)
    head = (
        f"POST /telegram/telegram HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n{next(iter(HEADER))}: {SECRET}\r\n\r\n"
    )
    writer.write(head.encode() + b'{"update_id": 7')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await post.post("/telegram/telegram", json=message(8), headers=HEADER)).status_code == 200
    assert len(inbox.rows) == 1


@pytest.mark.parametrize("shape", [s for s in SHAPES.values() if isinstance(s, dict)])
async def test_malformed_updates_are_stored(post: httpx.AsyncClient, inbox: Inbox, shape: object) -> None:
    """Telegram gives up on what is refused for long: an odd update is kept, and read or set aside later."""
    answer = await post.post("/telegram/telegram", content=json.dumps(shape), headers=HEADER)
    assert (answer.status_code, len(inbox.rows)) == (200, 1)


async def test_the_webhook_is_registered_for_order(api: ScriptedApi, post: httpx.AsyncClient) -> None:
    """With our secret, our kinds of updates, and one post at a time."""
    fields = api.asked("setWebhook")[0].fields
    assert (fields["url"], fields["secret_token"], fields["max_connections"]) == (PUBLIC, SECRET, "1")
    assert "message" in json.loads(fields["allowed_updates"])
    assert "drop_pending_updates" not in fields
    assert api.asked("deleteWebhook") == []


async def test_a_webhook_that_was_replaced_is_set_again(
    api: ScriptedApi, hooked: TelegramChannel, inbox: Inbox
) -> None:
    """A poller somewhere removes webhooks at its start; we notice, say so, and come back."""
    api.say("getWebhookInfo", ok({"url": ""}))
    with capture_logs() as logs:
        async with running(hooked, inbox.accept):
            await until(lambda: len(api.asked("setWebhook")) == 2)
    assert "telegram_webhook_replaced" in [line["event"] for line in logs]


async def test_what_telegram_complains_about_is_logged_once(
    api: ScriptedApi, hooked: TelegramChannel, inbox: Inbox
) -> None:
    """A certificate that ran out shows in our log, with what waits."""
    complaint = {"last_error_date": 1_760_000_000, "last_error_message": "SSL error", "pending_update_count": 5}
    api.always("getWebhookInfo", ok({"url": PUBLIC, **complaint}))
    with capture_logs() as logs:
        async with running(hooked, inbox.accept):
            await until(lambda: len(api.asked("getWebhookInfo")) > 3)
    (line,) = [line for line in logs if line["event"] == "telegram_webhook_failing"]
    assert (line["telegram_says"], line["pending"]) == ("SSL error", 5)


async def test_registration_outlives_every_answer(api: ScriptedApi, hooked: TelegramChannel, inbox: Inbox) -> None:
    """A refused token, a rate limit, an outage at the start: tried again until it stands."""
    too_many = refused(429, "Too Many Requests", retry_after=1)
    api.say("setWebhook", refused(401, "Unauthorized"), refused(500, "Internal"), too_many)
    api.say("getWebhookInfo", ok(None))
    async with running(hooked, inbox.accept) as task:
        await until(lambda: len(api.asked("getWebhookInfo")) > 2)
        assert not task.done()


@pytest.mark.parametrize(
    ("secret", "url"), [(None, PUBLIC), ("", PUBLIC), ("not allowed!", PUBLIC), (SECRET, None), (SECRET, "")]
)
def test_a_webhook_without_its_secret_or_address_does_not_start(secret: str | None, url: str | None) -> None:
    """There is no "open if empty"."""
    with pytest.raises(ConfigError, match="webhook"):
        TelegramConfig(token="1:a", mode="webhook", webhook_secret=secret, webhook_url=url)


def test_a_polling_account_has_no_route() -> None:
    """Nothing listens that is not needed."""
    assert TelegramChannel(config_at("http://127.0.0.1:1")).routes() == []

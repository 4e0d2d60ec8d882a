"""Answers that no platform should give: each still has exactly one meaning for the one who asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from bot.desk import client, outcomes
from bot.desk.client import SlackApi
from domain.errors import AccessRevoked, DeliveryError, NeverPossible, RetryLater, Unclear
from tests import patience


class OddSlack:
    """A server that gives one prepared answer to everything, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.status = 200
        self.body: bytes = b'{"ok": true}'
        self.headers: dict[str, str] = {"Content-Type": "application/json"}
        self.slow = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        """The prepared answer."""
        self.calls += 1
        await request.read()
        await asyncio.sleep(self.slow)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def odd() -> AsyncIterator[tuple[OddSlack, SlackApi]]:
    """The server and a client of it."""
    server = OddSlack()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api = SlackApi(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/api", bot_token="xoxb-1", app_token="xapp-1")
    yield server, api
    await api.close()
    await runner.cleanup()


async def outcome(api: SlackApi, name: str = "chat.postMessage") -> DeliveryError:
    """The error a call ends in."""
    with pytest.raises(DeliveryError) as caught:
        await api.call(name, channel="C1")
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"", "text/html"),
        (200, b"<html>Please sign in</html>", "text/html"),
        (200, b"<html>Please sign in</html>", "application/json"),
        (200, b'{"ok": tr', "application/json"),
        (200, b"[1]", "application/json"),
        (200, b"null", "application/json"),
        (200, b"\xff\xfe\x00", "application/json"),
        (200, b"ok", "text/plain"),
        (200, b'{"ok": false}', "application/json"),
        (200, b'{"ok": false, "error": 7}', "application/json"),
        (302, b"", "text/html"),
        (404, b"<html>", "text/html"),
        (500, b'{"ok": false, "error": "channel_not_found"}', "application/json"),
        (503, b"", "text/plain"),
    ],
)
async def test_an_answer_that_says_nothing_is_unclear_for_a_post(
    odd: tuple[OddSlack, SlackApi], status: int, body: bytes, kind: str
) -> None:
    """A post may have been stored, so it is looked up; what may be repeated is simply asked again later."""
    server, api = odd
    server.status, server.body, server.headers = status, body, {"Content-Type": kind}
    assert type(await outcome(api)) is Unclear
    assert type(await outcome(api, "conversations.history")) is RetryLater
    assert type(await outcome(api, "chat.update")) is RetryLater
    assert server.calls == 3


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("30", timedelta(seconds=30)),
        ("0.5", timedelta(seconds=0.5)),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("1e12", None),
        ("", None),
    ],
)
async def test_a_rate_limit_survives_any_header(
    odd: tuple[OddSlack, SlackApi], header: str, after: timedelta | None
) -> None:
    """A Retry-After that is no sensible number is none."""
    server, api = odd
    server.status, server.body = 429, b'{"ok": false, "error": "ratelimited"}'
    server.headers = {"Content-Type": "application/json", "Retry-After": header}
    error = await outcome(api)
    assert isinstance(error, RetryLater)
    assert (error.after, error.bucket, server.calls) == (after, "channel", 1)


async def test_no_answer_in_time_is_unclear(odd: tuple[OddSlack, SlackApi], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole call has a time limit; after it nobody knows, and nothing was tried twice."""
    monkeypatch.setattr(client, "CALL_TIMEOUT_S", 1.0)
    server, api = odd
    server.slow = 3.0
    error = await outcome(api)
    assert (type(error), error.code, server.calls) == (Unclear, "timeout", 1)


async def test_a_missing_scope_is_named(odd: tuple[OddSlack, SlackApi]) -> None:
    """Whoever mends it reads which scope is needed."""
    server, api = odd
    server.body = b'{"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "users:read"}'
    error = await outcome(api)
    assert isinstance(error, AccessRevoked)
    assert "chat:write" in str(error)


async def test_refused_blocks_are_named_by_place_not_by_words(odd: tuple[OddSlack, SlackApi]) -> None:
    """What Slack quotes of a message stays out of our errors; where it was wrong stays in."""
    server, api = odd
    messages = ["[ERROR] my bank account is too long [json-pointer:/blocks/0/text/text]"]
    said = {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": messages}}
    server.body = json.dumps(said).encode()
    error = await outcome(api)
    assert isinstance(error, NeverPossible)
    assert str(error) == "invalid_blocks: chat.postMessage at /blocks/0/text/text"


async def test_a_text_that_cannot_be_encoded_never_goes(odd: tuple[OddSlack, SlackApi]) -> None:
    """A lone surrogate in a form is refused here, once, instead of being tried for ever."""
    server, api = odd
    with pytest.raises(NeverPossible, match="not_sendable"):
        await api.call("users.info", user="\ud800")
    assert server.calls == 0


async def test_the_scopes_of_the_token_are_learnt_from_any_answer(odd: tuple[OddSlack, SlackApi]) -> None:
    """Each answer names the token's scopes; those of the app-level token are another matter."""
    server, api = odd
    server.headers = {"Content-Type": "application/json", "x-oauth-scopes": "chat:write, users:read,"}
    assert api.last_success_age() == float("inf")
    await api.call("apps.connections.open")
    assert api.scopes == frozenset()
    await api.call("auth.test")
    assert api.scopes == {"chat:write", "users:read"}
    assert api.last_success_age() < patience.LONG_S


async def test_closing_twice_and_using_again(odd: tuple[OddSlack, SlackApi]) -> None:
    """A closed client can be closed again, and opens anew when it is used."""
    _, api = odd
    for _ in range(2):
        await api.call("auth.test")
        await api.close()
        await api.close()


def test_no_code_means_two_things() -> None:
    """A word of Slack's is in one class only."""
    assert not outcomes.REVOKED & outcomes.UNSURE
    assert not outcomes.REVOKED & outcomes.LATER
    assert not outcomes.UNSURE & outcomes.LATER

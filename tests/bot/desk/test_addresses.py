"""The addresses of posts: asked for once, not again where it is useless, never for longer than a page may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bot.desk.addresses import GONE_S, Addresses
from bot.desk.client import SlackApi


class Slack:
    """Answers each post by its time: `gone`, `slow`, `often` (too often), or a link."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        ts = str((await request.post())["message_ts"])
        self.asked.append(ts)
        if ts == "slow":
            await asyncio.Event().wait()
        if ts == "often":
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "40"})
        if ts == "gone":
            return web.json_response({"ok": False, "error": "message_not_found"})
        return web.json_response({"ok": True, "permalink": f"https://slack.test/{ts}"})


@pytest.fixture
async def slack() -> AsyncIterator[tuple[Slack, SlackApi]]:
    """The server and a client of it."""
    server = Slack()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api = SlackApi(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/api", bot_token="xoxb-1")
    yield server, api
    await api.close()
    await runner.cleanup()


async def test_what_is_gone_is_not_asked_for_again_soon(slack: tuple[Slack, SlackApi]) -> None:
    """Found ones are kept; a post that is gone is asked for again only after a while."""
    server, api = slack
    now = 0.0
    known = Addresses(api, now=lambda: now)
    for _ in range(2):
        assert await known.all([("C1", "gone"), ("C1", "1.0")]) == {("C1", "1.0"): "https://slack.test/1.0"}
    assert sorted(server.asked) == ["1.0", "gone"]
    now = GONE_S
    await known.all([("C1", "gone"), ("C1", "1.0")])
    assert sorted(server.asked) == ["1.0", "gone", "gone"]


async def test_too_often_stops_all_until_slack_allows(slack: tuple[Slack, SlackApi]) -> None:
    """Slack's wish holds for every post; what is known is still told."""
    server, api = slack
    now = 0.0
    known = Addresses(api, now=lambda: now)
    assert await known.of("C1", "1.0")
    assert await known.of("C1", "often") is None
    now = 39.0
    assert await known.of("C1", "2.0") is None
    assert await known.of("C1", "1.0")
    assert server.asked == ["1.0", "often"]
    now = 40.0
    assert await known.of("C1", "2.0")


async def test_a_page_waits_for_its_links_only_so_long(slack: tuple[Slack, SlackApi]) -> None:
    """One that does not come is left out; those that came are there."""
    _, api = slack
    known = Addresses(api, patience_s=0.5)
    await known.of("C1", "1.0")
    assert set(await known.all([("C1", "slow"), ("C1", "1.0")])) == {("C1", "1.0")}

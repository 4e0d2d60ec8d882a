"""One sandbox process for all tests that can share it; each test gets it empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.sandbox import slack_kit, telegram_kit

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.sandbox import page_kit


@pytest.fixture(scope="session")
def shared_desk() -> Iterator[telegram_kit.Desk]:
    """A sandbox for the whole run. Its clock only ever goes forward."""
    with telegram_kit.running() as desk:
        yield desk


@pytest.fixture
def desk(shared_desk: telegram_kit.Desk, monkeypatch: pytest.MonkeyPatch) -> telegram_kit.Desk:
    """The shared sandbox: empty, at speed 1, without limits and faults."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")  # python-telegram-bot's coming behaviour, without its warning
    shared_desk.post("reset")
    shared_desk.post("clock", speed=1)
    shared_desk.post("limits", on=False)
    return shared_desk


@pytest.fixture
async def slack(desk: telegram_kit.Desk) -> AsyncIterator[tuple[slack_kit.App, slack_kit.People]]:
    """The app (real slack_sdk clients) and the people of the shared sandbox's Slack."""
    async with slack_kit.opened(desk.url) as both:
        await both[1].do("settings", **slack_kit.UNHURRIED)
        yield both


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One Chromium and one driver for all tests of a module, which have one loop."""
    from tests.sandbox import page_kit

    with page_kit.browser(tmp_path_factory.mktemp("chromium")) as address:
        async with page_kit.driven(address) as browser:
            yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def window(desk: telegram_kit.Desk, browser: Browser) -> AsyncIterator[page_kit.Window]:
    """The page of the shared, empty sandbox, at 1440 by 900."""
    from tests.sandbox import page_kit

    async with page_kit.opened(browser, desk.url) as window:
        yield window


@pytest_asyncio.fixture(loop_scope="module")
async def page_slack(desk: telegram_kit.Desk) -> AsyncIterator[tuple[slack_kit.App, slack_kit.People]]:
    """`slack`, in the loop of a module's tests."""
    async with slack_kit.opened(desk.url) as both:
        await both[1].do("settings", **slack_kit.UNHURRIED)
        yield both

"""One sandbox process for all tests that can share it; each test gets it empty."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sandbox import slack_kit, telegram_kit


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

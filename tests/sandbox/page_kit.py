"""A real Chromium in front of the sandbox's page, and everything it complained about."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import playwright.async_api
import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    async_playwright,
    expect,
)

from tests import patience

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SOON_MS = patience.LONG_S * 1000
FIRST_ANSWER_MS = SOON_MS / 10
expect.set_options(timeout=SOON_MS)  # the page's own limit does not hold for what is expected of it


def chromium() -> str:
    """The browser's path; skips the test where there is none, fails it with RELAYDESK_REQUIRE_BROWSER=1."""
    found = os.environ.get("RELAYDESK_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    reason = f"no Chromium found (looked for {', '.join(NAMES)}; or name it in RELAYDESK_CHROMIUM)"
    if os.environ.get("RELAYDESK_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(kw_only=True)
class Window:
    """The open page. `complaints` are console errors, violations of the policy, and requests to elsewhere."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    def __getitem__(self, testid: str) -> Any:
        """The node with this data-testid."""
        return self.page.get_by_test_id(testid)

    def watch(self) -> None:
        """Begin to note complaints."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._note(True, f"error: {error}"))
        self.page.on("request", self._requested)

    def _said(self, message: ConsoleMessage) -> None:
        whence = message.location["url"]
        self._note(message.type in ("error", "warning"), f"console: {message.text} {whence}")

    def _requested(self, request: Request) -> None:
        self._note(not request.url.startswith((self.origin, "data:")), f"request: {request.url}")

    def _note(self, bad: bool, words: str) -> None:
        if bad:
            self.complaints.append(words)


@contextlib.contextmanager
def browser(folder: Path, *more: str) -> Iterator[str]:
    """A Chromium for many tests, with its profile in `folder` and `more` arguments; its debugging port's address."""
    path = chromium()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [path, *ARGUMENTS, *more, "--remote-debugging-port=0", f"--user-data-dir={folder}"], stdout=quiet, stderr=quiet
    )
    try:
        note = folder / "DevToolsActivePort"
        until = time.monotonic() + patience.LONG_S
        while not note.exists() or not note.read_text().strip():
            assert process.poll() is None, f"{path} ended with {process.returncode}"
            assert time.monotonic() < until, f"{path} did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{note.read_text().split()[0]}"
    finally:
        process.terminate()
        process.wait(timeout=patience.LONG_S)


@contextlib.asynccontextmanager
async def driven(address: str) -> AsyncIterator[Browser]:
    """The browser at `address`, with a driver (a process that takes a second to start) that belongs to this loop."""
    async with async_playwright() as driver:
        yield await _connected(driver, address)


async def _connected(driver: Playwright, address: str) -> Browser:
    """A browser that has only just opened its port may leave the first question unanswered; asked again, it answers."""
    for _ in range(int(SOON_MS / FIRST_ANSWER_MS)):
        with contextlib.suppress(playwright.async_api.TimeoutError):
            return await driver.chromium.connect_over_cdp(address, timeout=FIRST_ANSWER_MS)
    return await driver.chromium.connect_over_cdp(address, timeout=FIRST_ANSWER_MS)


@contextlib.asynccontextmanager
async def opened(browser: Browser, url: str, **context: Any) -> AsyncIterator[Window]:
    """The page of a running sandbox, in a profile of its own.

    Leaving the block fails if the browser complained about anything.
    """
    given = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", **context}
    profile = await browser.new_context(**given)
    try:
        page = await profile.new_page()
        page.set_default_timeout(SOON_MS)
        window = Window(page=page, origin=url)
        window.watch()
        await page.goto(f"{url}/", wait_until="domcontentloaded")
        yield window
        assert not window.complaints, window.complaints
    finally:
        await profile.close()

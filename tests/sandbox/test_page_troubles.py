"""The page, in a real Chromium, where answers come late, in another order, for somebody else, or not at all."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests import ports
from tests.sandbox import page_kit, slack_kit, telegram_kit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]  # one loop, as the driver has one

Slack = tuple[slack_kit.App, slack_kit.People]


class Held:
    """Answers to what the page asks for, kept back until they are let go: each as it was when it was asked for."""

    def __init__(self) -> None:
        self.came, self._go = asyncio.Event(), asyncio.Event()

    async def __call__(self, route: Route) -> None:
        """Take one request."""
        if self._go.is_set():
            await route.continue_()
            return
        answer = await route.fetch()
        self.came.set()
        await self._go.wait()
        await route.fulfill(response=answer)

    async def let_go(self, page: Page, asked: str) -> None:
        """Give them, and wait until the page has one and has drawn what it makes of it."""
        async with page.expect_response(asked):
            self._go.set()
        await page.evaluate("() => new Promise((drawn) => setTimeout(drawn, 50))")


async def test_what_is_typed_before_the_phone_has_loaded_stays(window: page_kit.Window) -> None:
    """A slow answer to "what is on this phone" does not empty the box in which somebody already writes."""
    loads = asyncio.Event()

    async def later(route: Route) -> None:
        await loads.wait()
        await route.continue_()

    await window.page.route("**/control/telegram/chat/*", later)
    await window["add-customer"].click()
    await window["add-first-name"].fill("Maria")
    await window["add-confirm"].click()
    phone = window.page.locator(".phone")
    await phone.locator("textarea").fill("Where is my parcel?")
    loads.set()
    await expect(phone.locator("strong")).to_have_text("Maria")
    await expect(phone.locator("textarea")).to_have_value("Where is my parcel?")
    await phone.locator("textarea").press("Enter")
    await expect(phone.locator('[data-from="customer"]')).to_contain_text("my parcel?")


async def test_what_is_being_written_is_left_alone(page_slack: Slack, window: page_kit.Window) -> None:
    """While somebody writes, messages come in: text, focus and the node itself stay."""
    app, people = page_slack
    ts = await slack_kit.post_card(app, slack_kit.section("Card one"))
    box = window["slack-composer-input"]
    await box.fill("half a sen")
    card = window.page.locator(f'[data-ts="{ts}"]')
    await card.evaluate("node => { node.dataset.marked = 'same' }")
    for number in range(5):
        await people.post("#support", f"message {number}")
    await expect(window["messages"]).to_contain_text("message 4")
    await expect(box).to_be_focused()
    await expect(box).to_have_value("half a sen")
    await expect(card).to_have_attribute("data-marked", "same")


async def test_what_one_person_may_see_is_not_asked_for_as_another(page_slack: Slack, window: page_kit.Window) -> None:
    """The list of somebody else comes when one acts as oneself again, and they get a direct message: no refusal."""
    app, _people = page_slack
    released = asyncio.Event()
    listing = f"**/control/slack/channels?user={slack_kit.STRANGER}"

    async def late(route: Route) -> None:
        await released.wait()
        await route.continue_()

    theirs = (await app.web.conversations_open(users=[slack_kit.STRANGER]))["channel"]["id"]
    await window.page.route(listing, late)
    async with window.page.expect_request(listing):
        await window["act-as"].select_option(slack_kit.STRANGER)
    await window["act-as"].select_option(slack_kit.MAYA)
    async with window.page.expect_response(listing):
        released.set()
    await app.web.chat_postMessage(channel=slack_kit.SUPPORT, text="for all")
    await expect(window["messages"]).to_contain_text("for all")
    async with window.page.expect_response("**/control/slack/channel/C0TECH?**"):
        await app.web.chat_postMessage(channel=theirs, text="for one")
        await app.web.chat_postMessage(channel="C0TECH", text="asked for after it")


async def test_a_clock_that_was_set_meanwhile_stands(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """What the clock was before it was made faster, answered late, does not make it slow again on the page."""
    held, asking = Held(), f"{desk.url}/clock"
    await window.page.route(asking, held)
    await window.page.reload(wait_until="domcontentloaded")
    await held.came.wait()
    await window["speed-600"].click()
    await expect(window["speed-600"]).to_have_attribute("aria-pressed", "true")
    await held.let_go(window.page, asking)
    await expect(window["speed-600"]).to_have_attribute("aria-pressed", "true")


async def test_what_was_asked_for_before_a_reset_is_forgotten(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """The list of customers of before, answered late, brings nobody back, and nothing of theirs is asked for."""
    held, listing = Held(), "**/control/telegram/customers"
    await window.page.route(listing, held)
    gone = desk.join(first_name="Ada")
    await held.came.wait()
    async with window.page.expect_response("**/control/slack/people"):
        desk.post("reset")
    await held.let_go(window.page, listing)
    await expect(window[f"customer-{gone}"]).to_have_count(0)
    there = desk.join(first_name="Bo")
    await expect(window[f"customer-{there}"]).to_be_visible()


async def test_what_is_sent_goes_where_it_was_written(page_slack: Slack, window: page_kit.Window) -> None:
    """Who looks at another channel while a file is still being sent keeps what they write there."""
    _app, people = page_slack
    held, posting = Held(), "**/control/slack/post"
    await window.page.route(posting, held)
    await window["channel-support"].click()
    files = window["slack-composer"].locator("input[type=file]")
    await files.set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"42"})
    await window["slack-composer-input"].fill("see the file")
    await window["slack-composer-input"].press("Enter")
    await window["channel-tech"].click()
    await files.set_input_files({"name": "b.txt", "mimeType": "text/plain", "buffer": b"43"})
    await window["slack-composer-input"].fill("half a sen")
    await held.came.wait()
    await held.let_go(window.page, posting)
    await expect(window["slack-composer"].locator(".chip")).to_contain_text("b.txt")
    await expect(window["slack-composer-input"]).to_have_value("half a sen")
    (sent,) = (await people.see(f"channel/{slack_kit.SUPPORT}"))["messages"]
    assert (sent["text"], [one["name"] for one in sent["files"]]) == ("see the file", ["a.txt"])
    await window["channel-support"].click()
    await expect(window["slack-composer-input"]).to_have_value("")


async def test_the_page_comes_back_after_a_restart_of_everything(
    desk: telegram_kit.Desk, window: page_kit.Window
) -> None:
    """After a reset the page shows the empty desk again, and goes on with what comes next."""
    chat = desk.join(first_name="Ada")
    path = f"/control/telegram/chat/{chat}"
    await expect(window[f"phone-{chat}"].locator("strong")).to_have_text("Ada")  # all of it is loaded
    desk.post("reset")
    await expect(window["phones"].locator(".rail-item")).to_have_count(0)
    again = desk.join(first_name="Bo")
    await expect(window[f"customer-{again}"]).to_be_visible()
    window.complaints = [one for one in window.complaints if not one.endswith(path)]  # asked for as it was reset


async def test_the_page_finds_a_restarted_sandbox_again(browser: Browser, tmp_path: Path) -> None:
    """While the sandbox is away the strip says so; when it is back, the page shows it as it is now."""
    with ports.kept() as port, contextlib.ExitStack() as running:
        words = ("--state", str(tmp_path / "state.json"), "--port", str(port))
        first = running.enter_context(telegram_kit.running(*words))
        async with page_kit.opened(browser, first.url) as window:
            chat = first.join(first_name="Ada")
            await expect(window[f"customer-{chat}"]).to_be_visible()
            first.stop()
            await expect(window["strip-bot"]).to_contain_text("connecting")
            second = running.enter_context(telegram_kit.running(*words))
            again = second.join(first_name="Bo")
            await expect(window[f"customer-{again}"]).to_be_visible()
            await expect(window[f"customer-{chat}"]).to_be_visible()
            window.complaints.clear()  # the browser notes each connection that was refused

"""The page, in a real Chromium, where answers come late, in another order, for somebody else, or not at all."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, Page, Route, expect

from tests import patience, ports
from tests.sandbox import page_kit, slack_kit, telegram_kit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]  # one loop, as the driver has one

Slack = tuple[slack_kit.App, slack_kit.People]


WATCHING = """
window.heldIsDrawn = new Promise((drawn) => {
  const read = Response.prototype.json;
  Response.prototype.json = async function () {
    const value = await read.call(this);
    // The page takes the value before the first timer, and draws at the latest with a timer of its own between the two.
    if (this.headers.has("x-held")) setTimeout(() => setTimeout(drawn, 0), 0);
    return value;
  };
});
"""


class Held:
    """The next answer to what the page asks for, as it was when it was asked for, kept back until it is let go.

    What is asked for after it is answered at once, so that what was kept back is older than all that the page knows.
    """

    def __init__(self, page: Page) -> None:
        self.came, self._page, self._go, self._taken = asyncio.Event(), page, asyncio.Event(), False

    @classmethod
    async def on(cls, window: page_kit.Window, asked: str) -> "Held":
        """Wait until the page has asked for all that it opens with, then hold the next of this kind."""
        await expect(window["channel-support"]).to_be_visible()
        held = cls(window.page)
        await window.page.add_init_script(WATCHING)
        await window.page.evaluate(f"() => {{ {WATCHING} }}")
        await window.page.route(asked, held)
        return held

    async def __call__(self, route: Route) -> None:
        """Take one request."""
        if self._taken:
            await route.continue_()
            return
        self._taken = True
        answer = await route.fetch()
        self.came.set()
        await self._go.wait()
        await route.fulfill(response=answer, headers={**answer.headers, "x-held": "yes"})

    async def let_go(self) -> None:
        """Give it, and wait until the page has read this very answer and has drawn what it makes of it."""
        self._go.set()
        async with asyncio.timeout(patience.LONG_S):
            await self._page.evaluate("() => window.heldIsDrawn")


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


async def test_nobody_is_said_to_be_there_before_that_is_known(window: page_kit.Window) -> None:
    """While the list of customers is on its way the page does not say that there are none."""
    held = await Held.on(window, "**/control/telegram/customers")
    await window.page.reload(wait_until="domcontentloaded")
    await held.came.wait()
    await expect(window["channel-support"]).to_be_visible()
    empty = window.page.get_by_text("No customers yet")
    await expect(empty).to_be_hidden()
    await held.let_go()
    await expect(empty).to_be_visible()


async def test_of_several_files_only_what_was_refused_is_sent_again(window: page_kit.Window) -> None:
    """What went before the refusal, words and files, has gone; the refused one and those behind it stay in the box."""
    await window["add-customer"].click()
    await window["add-first-name"].fill("Maria")
    await window["add-confirm"].click()
    phone = window.page.locator(".phone")
    named = {"a.txt": b"1", "empty.txt": b"", "c.txt": b"3"}
    files: list[FilePayload] = [
        {"name": name, "mimeType": "text/plain", "buffer": data} for name, data in named.items()
    ]
    await phone.locator("input[type=file]").set_input_files(files)
    await phone.locator("textarea").fill("Both bills")
    await phone.locator("textarea").press("Enter")
    chips, sent = phone.locator(".chip"), phone.locator('[data-from="customer"]')
    await expect(chips).to_have_count(2)
    await expect(phone.locator("textarea")).to_have_value("")
    window.complaints.clear()  # the refusal
    await phone.get_by_label("Leave out empty.txt").click()
    await phone.locator("textarea").press("Enter")
    await expect(chips).to_have_count(0)
    await expect(sent).to_have_count(2)
    await expect(sent.nth(0)).to_contain_text("Both bills")
    await expect(sent.nth(1)).to_contain_text("c.txt")


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
    held = await Held.on(window, f"{desk.url}/clock")
    await window.page.reload(wait_until="domcontentloaded")
    await held.came.wait()
    await window["speed-600"].click()
    await expect(window["speed-600"]).to_have_attribute("aria-pressed", "true")
    await held.let_go()
    await expect(window["speed-600"]).to_have_attribute("aria-pressed", "true")


async def test_what_was_asked_for_before_a_reset_is_forgotten(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """The list of customers of before, answered late, brings nobody back, and nothing of theirs is asked for."""
    listing = "**/control/telegram/customers"
    held = await Held.on(window, listing)
    gone = desk.join(first_name="Ada")
    await held.came.wait()
    async with window.page.expect_response(listing):
        desk.post("reset")
    await held.let_go()
    await expect(window[f"customer-{gone}"]).to_have_count(0)
    there = desk.join(first_name="Bo")
    await expect(window[f"customer-{there}"]).to_be_visible()


async def test_what_is_sent_goes_where_it_was_written(page_slack: Slack, window: page_kit.Window) -> None:
    """Who looks at another channel while a file is still being sent keeps what they write there."""
    _app, people = page_slack
    held = await Held.on(window, "**/control/slack/post")
    await window["channel-support"].click()
    files = window["slack-composer"].locator("input[type=file]")
    await files.set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"42"})
    await window["slack-composer-input"].fill("see the file")
    await window["slack-composer-input"].press("Enter")
    await window["channel-tech"].click()
    await files.set_input_files({"name": "b.txt", "mimeType": "text/plain", "buffer": b"43"})
    await window["slack-composer-input"].fill("half a sen")
    await held.came.wait()
    await held.let_go()
    await expect(window["slack-composer"].locator(".chip")).to_contain_text("b.txt")
    await expect(window["slack-composer-input"]).to_have_value("half a sen")
    (sent,) = (await people.see(f"channel/{slack_kit.SUPPORT}"))["messages"]
    assert (sent["text"], [one["name"] for one in sent["files"]]) == ("see the file", ["a.txt"])
    await window["channel-support"].click()
    await expect(window["slack-composer-input"]).to_have_value("")
    await expect(window["slack-composer"].locator(".chip")).to_have_count(0)


async def test_a_file_stays_with_what_is_written_until_it_is_sent(
    page_slack: Slack, window: page_kit.Window, tmp_path: Path
) -> None:
    """A look at another channel leaves a draft its file; that it is gone from the disk is said; nothing is lost."""
    there = tmp_path / "a.txt"
    there.write_text("42")
    await window["channel-support"].click()
    await window["slack-composer-input"].fill("see the file")
    driver = await window.page.context.new_cdp_session(window.page)  # a file of the disk, not a copy of it
    box = "document.querySelector('[data-testid=slack-composer-file]')"
    found = (await driver.send("Runtime.evaluate", {"expression": box}))["result"]["objectId"]
    await driver.send("DOM.setFileInputFiles", {"files": [str(there)], "objectId": found})
    chip = window["slack-composer"].locator(".chip")
    await expect(chip).to_contain_text("a.txt")
    await window["channel-tech"].click()
    await expect(chip).to_have_count(0)
    await window["channel-support"].click()
    await expect(chip).to_contain_text("a.txt")
    there.unlink()
    await window["slack-composer-input"].press("Enter")
    await expect(window.page.get_by_text("a.txt cannot be read")).to_be_visible()
    await expect(chip).to_contain_text("a.txt")
    await expect(window["slack-composer-input"]).to_have_value("see the file")


async def test_moments_are_told_as_their_reader_tells_them(page_slack: Slack, window: page_kit.Window) -> None:
    """A date in Slack, and what is said of it under the pointer, is in the language and on the clock of its reader."""
    app, _people = page_slack
    date = slack_kit.section("<!date^1700000000^{date_num} {time} {ago}|then>")  # the 14th, 22:13, in London
    ts = await slack_kit.post_card(app, date)
    shown = window.page.locator(f'[data-ts="{ts}"] .mrkdwn time')
    await window["act-as"].select_option(slack_kit.LINA)
    await expect(shown).to_have_text(re.compile(r"^2023-11-15 06:13 [\d,]+天前$"))
    await expect(shown).to_have_attribute("title", re.compile(r"15日.*06:13:20 · [\d,]+天前$"))


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

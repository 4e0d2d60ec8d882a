"""The page, with the product running behind it: one person plays the customer and the agent in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.sandbox import page_kit
from tests.world import World, eventually

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Chromium; the address of its debugging port."""
    with page_kit.browser(tmp_path_factory.mktemp("chromium")) as address:
        yield address


async def test_the_whole_story_on_the_page(world: World, browser: str) -> None:
    """A customer writes on a phone, the card appears in Slack, the agent takes it and answers; the strip moves."""
    await world.control("product", url=world.address)
    async with page_kit.driven(browser) as driven, page_kit.opened(driven, world.url) as window:
        await expect(window["strip-bot"]).to_contain_text("running")
        sent = await _number(window, "outbox-sent")
        received = await _number(window, "inbox-received")

        await window["add-customer"].click()
        await window["add-first-name"].fill("Maria")
        await window["add-confirm"].click()
        phone = window.page.locator(".phone")
        await phone.locator("textarea").fill("Where is my parcel? It was due on Monday")
        await phone.locator("textarea").press("Enter")

        await window["act-as"].select_option("U0MAYA")
        await window["channel-support"].click()
        card = window["messages"].locator("[data-ts]").first
        await expect(card).to_contain_text("#1001")
        await expect(card).to_contain_text("Maria")
        await expect(card).to_contain_text("Where is my parcel?")
        await expect(card).to_contain_text("nobody yet")
        await card.get_by_test_id("action-assign_me").click()
        await expect(card).to_contain_text("Maya")
        await expect(card.get_by_test_id("action-resolve")).to_be_visible()

        await card.get_by_test_id("open-thread").click()
        await expect(window["thread-messages"]).to_contain_text("It was due on Monday")
        await window["thread-composer-input"].fill("Sorry, Maria. It comes today & <for free>.")
        await window["thread-composer-input"].press("Enter")
        answer = phone.locator('[data-from="bot"]')
        await expect(answer).to_contain_text("Sorry, Maria. It comes today & <for free>.")
        await expect(window["thread-messages"].get_by_test_id("reaction-white_check_mark")).to_be_visible()
        await expect(card).to_contain_text("Waiting for customer")

        async def moved() -> bool:
            return await _number(window, "outbox-sent") > sent and await _number(window, "inbox-received") > received

        await eventually(moved, what="the strip counts what was received and sent")

        await card.get_by_test_id("action-resolve").click()
        await expect(card.get_by_test_id("action-reopen")).to_be_visible()


async def _number(window: page_kit.Window, name: str) -> int:
    text = str(await window.page.locator(f"#{name}").text_content() or "")
    digits = "".join(character for character in text if character.isdigit())
    return int(digits or 0)

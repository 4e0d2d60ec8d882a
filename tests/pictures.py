"""The pictures of docs/images, taken anew of a running desk: `python -m tests.pictures [--into FOLDER] [en] [zh]`.

A sandbox, the product and a Chromium are started; the sandbox's own story is told at once, on a weekday morning; then
somebody answers, and what agents see is photographed in each language. Look at every picture before you commit it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Locator, expect

from sandbox import story
from sandbox.picture import damaged_mug
from tests import world as worlds
from tests.sandbox import page_kit
from tests.world import LINA, MAYA, Card, Phone, World, eventually

FOLDER = worlds.ROOT / "docs" / "images"
ZONE = "Europe/Berlin"
MORNING_UTC = 8  # nine o'clock in Berlin's winter, ten in its summer: the shipped desk is open
FRIDAY = 4
WITH_A_MOUSE = "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
"""What shows when one points at it is not shown all the time, as it is on a touch screen."""
SETTLED_MS = 500
"""After the last thing that is waited for: what moves when it appears has come to rest."""
UNDO_S = 5
WIDE, TALL = 1440, 840
"""Of the window: the phones take a quarter of it, and a card fits into what the small Slack has."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who has the conversation that is photographed, and what is written in it."""

    agent: str
    customer: str
    note: str
    answer: str
    canned: str  # the canned reply that is shown
    undo: str  # how the line begins that only the agent sees


TOLD = {
    "en": Told(
        agent=MAYA,
        customer="tom",
        note="// checking with accounts first",
        answer="Hello Tom, I am sorry about that. I will refund one of the two payments today.",
        canned="charged_twice",
        undo="On its way",
    ),
    "zh": Told(
        agent=LINA,
        customer="li",
        note="// 先和财务核对一下",
        answer="李女士您好，台灯还没拆封可以全额退款。我现在为您登记，取件信息稍后发给您。",
        canned="refund_started",
        undo="秒后发给客户",
    ),
}


@dataclass(kw_only=True)
class Studio:
    """A desk with a story in one language, and the window in which it is looked at."""

    world: World
    window: page_kit.Window
    language: str
    into: Path
    phones: dict[str, Phone] = field(default_factory=dict)

    @property
    def told(self) -> Told:
        """What is written here."""
        return TOLD[self.language]

    async def fill(self) -> None:
        """Every customer of the story writes, on a weekday morning, and each has a card."""
        now = await self.world.now()
        at = now.replace(hour=MORNING_UTC, minute=5, second=0, microsecond=0)
        while at < now or at.weekday() > FRIDAY:
            at += timedelta(days=1)
        await self.world.advance_to(at)
        for line in story.LINES:
            if line.who not in self.phones:
                person = story.PEOPLE[line.who]
                fields = {name: value for name, value in vars(person).items() if value and name != "language_code"}
                self.phones[line.who] = await self.world.customer(
                    fields.pop("first_name"), person.language_code, **fields
                )
            elif line.who == self.told.customer:
                continue  # what they write after the answer is written after the answer
            await self._says(line)
        await self.world.card(len(self.phones) - 1)

    async def _says(self, line: story.Line) -> None:
        phone = self.phones[line.who]
        if line.photo:
            photo = base64.b64encode(damaged_mug()).decode()
            await phone.says(photo=photo, filename="mug.png", mime="image/png", caption=line.text)
        else:
            await phone.says(line.text)

    async def answer(self) -> Card:
        """The conversation that is photographed: taken, a note, an answer, and what the customer says then."""
        told, phone = self.told, self.phones[self.told.customer]
        first, *later = [line.text for line in story.LINES if line.who == told.customer]
        card = await self._card_of(first)
        await card.presses(told.agent, "assign_me")
        await card.shows(told.agent)
        await self.world.advance(minutes=1)
        await card.says(told.agent, told.note)
        ts = await card.says(told.agent, told.answer)
        await card.whispered(told.agent, told.undo)

        async def arrived() -> bool:
            return told.answer in await phone.answers() and "white_check_mark" in await card.reactions(ts)

        await eventually(arrived, what="the answer and its check mark")
        await self.world.advance(minutes=1)
        for text in later:
            await phone.says(text)
            await card.says_ours(text)
        return card

    async def _card_of(self, text: str) -> Card:
        async def look() -> Card | None:
            for card in await self.world.cards():
                if text[:20] in await card.text():
                    return card
            return None

        found: Card = await eventually(look, what=f"the card with {text!r}")
        return found

    async def at(self, channel: str, thread: str | None = None, *, width: int, height: int) -> None:
        """Look at a channel, or at a thread in it, as the agent."""
        page = self.window.page
        await page.set_viewport_size({"width": width, "height": height})
        await page.evaluate("([key, value]) => sessionStorage.setItem(key, value)", ["me", self.told.agent])
        beside = "" if thread is None else f"&thread_ts={thread}"
        await page.goto(f"{self.world.url}/?channel={channel}{beside}", wait_until="domcontentloaded")
        await self.window["messages"].locator(".message").first.wait_for()
        if thread is not None:
            await self.window["thread-messages"].locator(".message").nth(1).wait_for()

    async def take(self, name: str, what: Locator) -> None:
        """Photograph one thing, once it has come to rest."""
        await self.window.page.wait_for_timeout(SETTLED_MS)
        path = self.into / f"{name}.png"
        await what.screenshot(path=path)
        print(path, flush=True)  # noqa: T201 - what the command has made


async def _window(world: World, user: str) -> str | None:
    views = (await world.look("slack/views", user=user))["views"]
    return next((str(view["id"]) for view in views if view["type"] == "modal"), None)


async def _home_shown(world: World, user: str) -> bool:
    views = (await world.look("slack/views", user=user))["views"]
    return any(view["type"] == "home" for view in views)


async def shoot(studio: Studio) -> None:
    """Every picture of one language; those of the page as a whole in English alone."""
    world, window, told = studio.world, studio.window, studio.told
    await studio.fill()
    card = await studio.answer()
    slack = window.page.locator("#slack")

    await studio.at(card.channel, card.ts, width=WIDE, height=TALL)
    await window["messages"].evaluate("(list) => { list.scrollTop = 0; }")
    await studio.take(f"desk-thread.{studio.language}", slack)

    await card.presses(told.agent, "reply")
    view_id = await eventually(lambda: _window(world, told.agent), what="the reply window")
    await world.control("slack/press", user=told.agent, view_id=view_id, action_id="canned", value=told.canned)
    await studio.at(card.channel, width=WIDE, height=TALL)
    await expect(window["modal"].locator("textarea")).not_to_have_value("")
    await studio.take(f"desk-reply.{studio.language}", window["modal"])
    await world.control("slack/close", user=told.agent, view_id=view_id, all=True)

    await world.control("slack/home", user=told.agent)
    await eventually(lambda: _home_shown(world, told.agent), what="somebody's own page")
    await studio.at(card.channel, width=WIDE, height=TALL - 100)
    await window["home-tab"].click()
    await window["home"].locator(".block").first.wait_for()
    await studio.take(f"desk-home.{studio.language}", slack)

    if studio.language == "en":
        await world.control("product", url=world.address)
        await studio.at("C0SUPPORT", width=1600, height=1000)
        for who in ("maria", "li"):
            await window[f"customer-{studio.phones[who].chat_id}"].click()
        await window["messages"].get_by_test_id("open-thread").first.click()
        await window["messages"].evaluate("(list) => { list.scrollTop = 0; }")
        await studio.take("sandbox", window.page.locator("body"))


@asynccontextmanager
async def opened(browser: Browser, language: str, into: Path, folder: Path) -> AsyncIterator[Studio]:
    """A desk in one language with the page in front of it."""
    languages = [language, *(other for other in TOLD if other != language)]
    shown: dict[str, Any] = {"languages": languages, "desk": {"language": language, "undo": f"{UNDO_S}s"}}
    async with (
        worlds.world(folder, automatic={"acknowledge": "always"}, privacy={"notice": True}, **shown) as world,
        page_kit.opened(browser, world.url, locale="en-GB", timezone_id=ZONE) as window,
    ):
        yield Studio(world=world, window=window, language=language, into=into)


async def main(languages: list[str], into: Path) -> None:
    """Take the pictures of these languages."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with page_kit.browser(folder / "browser", WITH_A_MOUSE, "--hide-scrollbars") as address:
            async with page_kit.driven(address) as browser:
                for language in languages:
                    async with opened(browser, language, into, folder / language) as studio:
                        await shoot(studio)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*", default=list(TOLD), metavar="LANGUAGE", help="en, zh; both if none")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="where they go (docs/images)")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(given.languages, given.into))

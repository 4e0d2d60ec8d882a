"""Answered and resolved at once, at an English and a Chinese desk: done stays done, or is open again and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import world as worlds
from tests.journeys.test_leaving import WINDOW_S, echoed, the_window_ends
from tests.world import MAYA, eventually

WORDS = {
    "en": ("Where is my parcel?", "It comes tomorrow", "Done", "Did our answer help you?"),
    "zh": ("我的包裹在哪里？", "明天就到", "已结束", "我们的答复对您有帮助吗？"),
}
AGAIN = {
    "en": ("Reopened", "its answer was called back", "its answer did not arrive"),
    "zh": ("已重新打开", "回复已撤回", "回复未送达"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_answered_and_resolved_at_once(tmp_path: Path, language: str) -> None:
    """Called back, it is open again; sent after all and resolved, it stays done, and then the customer is asked how it
    was; where the answer to their next question does not arrive, it is open again.
    """
    question, answer, done, asked = WORDS[language]
    reopened, undone, failed = AGAIN[language]
    desk = {"undo": f"{WINDOW_S:g}s", "language": language}
    automatic = {"ask_satisfaction": True}
    async with worlds.world(tmp_path, languages=[language, "en"], desk=desk, automatic=automatic) as world:
        phone = await world.customer("Ann", language=language)
        await phone.says(question)
        card = await world.card()
        await card.says_ours(question)
        ts = await card.says(MAYA, answer)
        await eventually(lambda: world.ephemerals(card.channel, MAYA), what="the offer to call it back")
        await card.presses(MAYA, "resolve")
        await card.shows(done)
        sign = {"channel": card.channel, "emoji": "leftwards_arrow_with_hook"}
        await world.control("slack/react", user=MAYA, ts=ts, **sign)
        await card.says_ours(reopened, undone)
        assert await phone.answers() == []
        ts = await card.says(MAYA, answer)
        await card.presses(MAYA, "resolve")
        await card.shows(done)
        await the_window_ends(world)
        await echoed(card, ts, "white_check_mark")
        told = await eventually(lambda: two(phone), what="the answer, and then the question how it was")
        assert told[0] == answer
        assert asked in told[1]
        assert done in await card.text()
        await phone.says(question + "?")
        await eventually(lambda: lacks(card, done), what="a card that is open again")
        await phone.does("block")
        await card.says(MAYA, answer)
        await card.presses(MAYA, "resolve")
        await card.shows(done)
        await the_window_ends(world)
        await card.says_ours(reopened, failed)
        assert done not in await card.text()


async def lacks(card: worlds.Card, words: str) -> bool:
    """Whether the card does not say this any more."""
    return words not in await card.text()


async def two(phone: worlds.Phone) -> list[str] | None:
    """The customer's chat once two messages of ours are in it."""
    found = await phone.answers()
    return found if len(found) > 1 else None

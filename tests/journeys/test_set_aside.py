"""What nobody can read, and what asks for nothing: set aside, told to whoever must know, and the work goes on."""

from __future__ import annotations

from bot import times
from tests.journeys.test_chinese_operator import LEADS, told_in
from tests.world import LINA, World, eventually, said


async def test_something_unreadable_is_set_aside_and_told_once(both: World) -> None:
    """The operator reads what to do, once a day however much there is; what was tried again in vain is there again."""
    phone = await both.customer("Ann")
    inbox = both.house.stores.inbox
    for number in (1, 2):
        await both.control("telegram/raw", update={"update_id": 900_000_000 + number, "message": "text"})
    await phone.says("Where is my order?")
    card = await both.card()
    await card.says_ours("Where is my order?")
    await told_in(both, LEADS, "could not be handled and was set aside", "relaydesk dead list")

    async def dead() -> list[int]:
        return [one.id for one in await inbox.dead(10)]

    async def two() -> bool:
        return len(await dead()) == 2

    await eventually(two, what="both are set aside")
    first, _second = await dead()
    assert await inbox.retry(first, times.real())
    await phone.says("And the bill?")
    await card.says_ours("And the bill?")
    await eventually(two, what="what was tried again is set aside again")
    page = await both.look(f"slack/channel/{LEADS}")
    assert len([one for one in page["messages"] if "was set aside" in said(one)]) == 1


async def test_what_is_no_request_is_closed_without_a_word_to_the_customer(both: World) -> None:
    """It stops what runs and says how it ended; whoever writes after all is a customer like any other."""
    phone = await both.customer("Ann")
    await phone.says("Nice weather today")
    card = await both.card()
    await card.shows("due")
    await card.chooses(LINA, "more", "Not a request")
    await card.shows("Done: not a request")
    await card.says_ours("Status", "done", "not a request")
    assert "answer due" not in await card.text()
    assert await phone.answers() == []
    await phone.says("Where is my order?")
    await card.says_ours("Where is my order?")
    await card.shows("Where is my order?", "answer due", "Not a request")

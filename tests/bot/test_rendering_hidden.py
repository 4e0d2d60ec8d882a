"""What the desk is given of a conversation that comes from a queue with a stricter mask."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.changes import Changes, DeliveryKind
from domain.model import MACHINE, EntryKind, Thread
from domain.routing import MASKS, Mask, Queue
from tests.bot.test_rendering import Bench
from tests.contracts import storage_kit

WORDS = "My number is +49 170 1234567"
SHOWN = {"none": WORDS, "personal": "My number is [phone]", "everything": "(kept out of Slack)"}


@pytest.mark.parametrize("ours", MASKS)
@pytest.mark.parametrize("theirs", MASKS)
async def test_what_was_joined_keeps_the_stricter_mask(
    make_database: Callable[[str], str], theirs: Mask, ours: Mask
) -> None:
    """Words of the one that ended are masked as in its own thread, and as the thread that they come into asks for."""
    queues = {
        "general": Queue(name="general", title="General", slack_channel="C0SUPPORT", mask=ours),
        "care": Queue(name="care", title="Care", slack_channel="C0CARE", mask=theirs),
    }
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        bench = Bench(process, queues=queues)
        await bench.opened("hello")
        await bench.posted()
        ended = storage_kit.story(address="4712", queue="care", thread=Thread(channel="C0CARE", ts="2.0"))
        await process.decide(ended.opening(WORDS))
        data = {"of": ended.conversation.id, "number": 1002}
        line = bench.story.said("", kind=EntryKind.JOINED, actor=MACHINE, data=data)
        await process.decide(Changes(reason="joined", entries=(line,)))
        made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ENTRY, line))
        assert [one.body for one in made.history] == [SHOWN[max(theirs, ours, key=MASKS.index)]]

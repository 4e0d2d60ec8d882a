"""What the worker makes of the rows of a lane: an album is one message, whatever others do while it comes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from bot import times
from bot.reading import Batch, Reader
from domain import albums, events
from domain.ports import Channel, Desk
from storage.inbox import Claim, Stored
from storage.record import Record
from tests.handlers.kit import rulebook

CHAT, DESK, LANE = "memory", "slack", "lane"
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Chat:
    """A channel whose payloads say who wrote and in which album."""

    def parse(self, payload: str) -> events.Event:
        """A message, or a change of one."""
        said = json.loads(payload)
        customer = events.CustomerRef(channel=CHAT, address=said.get("by", "1"), name="Ann")
        if "edits" in said:
            return events.CustomerEdit(customer=customer, at=AT, message_id=said["edits"], text="changed")
        return events.CustomerMessage(
            customer=customer, at=AT, message_id=said["id"], kind="photo", group=said.get("group")
        )


class Colleague:
    """A desk where somebody writes."""

    async def parse(self, payload: str) -> events.Event:
        """An answer in the thread, or whatever calls one back."""
        said = json.loads(payload)
        if isinstance(said, list):
            action, line = said
            emoji = action == "take_back"
            return events.AgentAction(
                agent_id="U0MAYA",
                at=AT,
                channel="C1",
                thread_ts=line if emoji else "1.0",
                conversation_id=None,
                action=action,
                value="reaction" if emoji else line,
            )
        return events.AgentMessage(agent_id="U0MAYA", at=AT, channel="C1", thread_ts="1.0", ts="2.0", text="Thanks")


async def read(*said: object, old: bool = True, came: datetime | None = None) -> tuple[list[tuple[str, int]], bool]:
    """Rows in their order as (kind of event, how many rows it was), and whether the lane waits for more.

    A string stands for an answer, a pair for an action about a line. `old` rows came in so long ago that no further
    part is to be expected; the others just now, or when they `came`.
    """
    came = came or times.real() - (albums.SETTLE if old else timedelta(0))
    rows = tuple(
        Stored(
            id=place,
            source=CHAT if isinstance(one, dict) else DESK,
            kind="x",
            lane=LANE,
            payload=json.dumps(one),
            attempts=0,
            received_at=came,
        )
        for place, one in enumerate(said)
    )
    reader = Reader(
        record=cast("Record", None),
        channels={CHAT: cast("Channel", Chat())},
        desk=cast("Desk", Colleague()),
        rules=rulebook(),
        desk_source=DESK,
    )
    batch = Batch()
    items = await reader.parse(Claim(lane=LANE, fence=1, rows=rows), batch)
    return [(type(item.event).__name__, len(item.rows)) for item in items], LANE in batch.later


FIRST, SECOND = {"id": "1", "group": "g"}, {"id": "2", "group": "g"}
CHANGE, PLAIN = {"edits": "1"}, {"id": "3"}


@pytest.mark.parametrize("between", ["an answer", CHANGE, {"id": "9", "by": "2"}])
async def test_an_album_is_one_message_whatever_comes_between_its_parts(between: object) -> None:
    """An answer of ours, a change of its caption, somebody else in the same group: its parts stay together."""
    found, waits = await read(FIRST, between, SECOND)
    assert found[0] == ("CustomerMessage", 2)
    assert (len(found), waits) == (2, False)


@pytest.mark.parametrize("after", ["an answer", CHANGE])
async def test_an_album_that_may_grow_waits_with_what_others_did_meanwhile(after: object) -> None:
    """What comes in behind it does not tear it apart; what came before it is not held up."""
    assert await read(PLAIN, FIRST, after, old=False) == ([("CustomerMessage", 1)], True)
    assert await read(FIRST, after, SECOND, old=False) == ([], True)


@pytest.mark.parametrize("action", ["undo", "keep_note", "take_back"])
async def test_an_answer_is_called_back_while_an_album_waits(action: str) -> None:
    """It may leave meanwhile, so nobody waits for the album: only for the line itself, where that waits too."""
    back, own = (action, "1.5"), (action, "2.0")
    assert await read(FIRST, CHANGE, back, SECOND, old=False) == ([("AgentAction", 1)], True)
    assert await read(FIRST, "an answer", own, back, old=False) == ([("AgentAction", 1)], True)
    assert await read(FIRST, "an answer", own, old=False) == ([], True)
    assert await read(FIRST, ("send_reply", "1.5"), back, old=False) == ([], True)
    assert await read(FIRST, ("resolve", "solved"), old=False) == ([], True), "what ends it has not seen the album"


async def test_a_new_message_of_the_customer_ends_an_album() -> None:
    """Platforms tell what one person sent in its order: nothing more of the album is to be expected."""
    assert await read(FIRST, SECOND, PLAIN, old=False) == ([("CustomerMessage", 2), ("CustomerMessage", 1)], False)
    assert await read(FIRST, {"id": "4", "group": "h"}, old=False) == ([("CustomerMessage", 1)], True)


async def test_an_album_that_was_stamped_by_a_clock_since_set_back_waits_no_hour() -> None:
    """How long it has waited is not known: it is one message of the parts that are there."""
    came = times.real() + timedelta(hours=1)
    assert await read(FIRST, SECOND, came=came) == ([("CustomerMessage", 2)], False)

"""Lines of one thread that come over several connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from bot.desk.ingress import Intake
from bot.desk.payloads import Payload
from domain.ports import Arrival

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Shelf:
    """What was stored, in that order; `fails` is the one that cannot be."""

    def __init__(self, fails: str = "") -> None:
        self.stored: list[str] = []
        self._fails = fails

    async def accept(self, arrivals: Sequence[Arrival]) -> int:
        """Store them."""
        for arrived in arrivals:
            if arrived.event_key.endswith(self._fails or "never"):
                raise OSError(arrived.event_key)
            self.stored.append(arrived.event_key.rpartition(":")[2])
        return len(arrivals)


def line(ts: str, thread: str = "1.000000") -> Payload:
    """A line of an agent in a thread."""
    said = {"type": "message", "channel": "C1", "user": "U1", "text": "hello", "ts": ts, "thread_ts": thread}
    return {"type": "event_callback", "event_id": f"Ev{ts}", "event": said}


async def at_once() -> bool:
    """Nothing is on any other connection."""
    return True


@pytest.mark.parametrize("fails", ["", "2.000000"])
async def test_what_was_said_first_is_stored_first(fails: str) -> None:
    """However long it takes to learn that the other connections were heard; nobody else's thread waits for it."""
    shelf, heard = Shelf(fails), asyncio.Event()
    intake = Intake(lambda: NOON, lambda _: None)
    intake.open(shelf.accept)
    first = asyncio.create_task(intake.take("events_api", line("2.000000"), heard.wait))
    await asyncio.sleep(0)
    later = [asyncio.create_task(intake.take("events_api", line(f"{n}.000000"), at_once)) for n in (4, 3)]
    await intake.take("events_api", line("5.000000", "9.000000"), at_once)
    assert shelf.stored == ["5.000000"]
    heard.set()
    outcomes = await asyncio.gather(first, *later, return_exceptions=True)
    assert [type(one) for one in outcomes if one is not None] == ([OSError] if fails else [])
    assert shelf.stored == [ts for ts in ("5.000000", "2.000000", "3.000000", "4.000000") if ts != fails]

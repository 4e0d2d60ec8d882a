"""What a card or a line shows, and where: the small questions of rendering."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.desk import words
from domain.alerts import Way
from domain.changes import ClockRow, Delivered
from domain.model import Entry
from domain.sla import ClockState
from storage.outbox import Waiting

PEOPLE = ("U", "W")  # ids of people begin so at the desk


def posted_at(post: Delivered) -> tuple[float, str]:
    """Sorts posts by when they were made."""
    return (post.at.timestamp() if post.at else 0.0, post.platform_id)


def newest_words(entry: Entry | None) -> str:
    """What a card shows of the newest message: its words, or what it is."""
    if entry is None:
        return ""
    if entry.body:
        return entry.body
    return words.say("card.kind", kind=words.kind(str(entry.data.get("kind", "message"))))


def nearest(clocks: Sequence[ClockRow]) -> ClockRow | None:
    """The clock whose deadline somebody must think of next: running or breached and not stopped, earliest first."""
    waiting: list[tuple[datetime, ClockRow]] = [
        (clock.due_at, clock)
        for clock in clocks
        if clock.due_at is not None
        and clock.stopped_at is None
        and clock.state in (ClockState.RUNNING, ClockState.BREACHED)
    ]
    return min(waiting, key=lambda pair: pair[0])[1] if waiting else None


def is_inside(row: Waiting) -> bool:
    """Whether an alert stands in its conversation's thread."""
    return row.data.get("way") == Way.THREAD.value


def to_a_person(row: Waiting) -> bool:
    """Whether an alert is a direct message."""
    return not is_inside(row) and str(row.data["place"])[:1] in PEOPLE

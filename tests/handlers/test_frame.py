"""Clocks in decisions: left alone where nothing about them can have changed, computed everywhere else."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from domain.changes import Situation
from domain.model import Status
from handlers import frame
from tests.handlers.kit import MAYA, Desk, reading


def as_computed(desk: Desk) -> list[tuple[object, ...]]:
    """The clocks that a full computation of the history gives."""
    rows = frame.clocks(desk.context, desk.situation, desk.conversation, ())
    return [(row.metric, row.instance, row.started_at, row.due_at, row.stopped_at) for row in rows]


def as_kept(situation: Situation) -> list[tuple[object, ...]]:
    """The clocks that the decisions left behind."""
    return [(row.metric, row.instance, row.started_at, row.due_at, row.stopped_at) for row in situation.clocks]


def test_who_writes_again_changes_no_clock() -> None:
    """While a wait runs another message neither computes nor writes clocks; an answer, and the next message does."""
    desk = Desk()
    assert desk.writes().clocks is not None
    assert desk.later(minutes=5).writes("and another thing").clocks is None
    assert desk.later(minutes=5).delivered().clocks is not None
    assert desk.later(minutes=5).writes("one more").clocks is not None


def test_a_message_from_before_the_wait_is_counted() -> None:
    """One that was said earlier and came later moves the beginning: nothing is taken as known."""
    desk = Desk()
    desk.later(minutes=10).writes()
    earlier = desk.now - timedelta(minutes=1)
    decided = desk.writes("said before", at=earlier)
    assert decided.clocks is not None
    assert min(row.started_at for row in decided.clocks) == earlier


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_alone_is_what_would_be_computed(seed: int) -> None:
    """After any course of events the kept clocks are those of the whole history."""
    random, desk = Random(seed), Desk()
    desk.writes()
    for _ in range(12):
        desk.later(minutes=random.randrange(1, 400))
        step = random.randrange(7)
        if step <= 2:
            desk.writes(f"message {step}", reading())
        elif step == 3 and desk.conversation.is_open:
            desk.delivered()
        elif step == 4 and desk.conversation.status is Status.OPEN:
            desk.presses("status", "on_hold")
        elif step == 5:
            desk.presses("resolve" if desk.conversation.is_open else "reopen")
        else:
            desk.presses("priority", random.choice(["low", "high", "urgent", "normal"]), user=MAYA)
        assert as_kept(desk.situation) == as_computed(desk), step

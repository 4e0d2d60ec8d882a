"""What an event that depends on something under way is decided on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot import patience, times
from domain.changes import DeliveryKind, OutboxRef, Situation
from domain.errors import NotYet
from domain.events import AgentAction, AgentEdit
from domain.model import EntryKind
from storage.inbox import Stored
from tests.contracts.storage_kit import story

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("action", "seconds", "counts"),
    [
        ("retry", 1, True),
        ("retry", -1, False),
        ("retry_plain", -1, False),
        ("mark_arrived", -1, True),
        pytest.param("retry", -3600, True, id="the clock was set back since"),
    ],
)
def test_a_press_on_send_again_means_the_sending_that_was_seen(
    monkeypatch: pytest.MonkeyPatch, action: str, seconds: int, counts: bool
) -> None:
    """One of before the newest sending sends nothing again: whether that one arrived nobody has looked yet."""
    monkeypatch.setattr(times, "real", lambda: NOON + timedelta(seconds=seconds + 2))
    ref = OutboxRef(
        id="O1", kind=DeliveryKind.CHAT_TEXT, lane="chat:1", state="unclear", entry_id="E1", part=0, sending_at=NOON
    )
    row = Stored(
        id=1, source="slack", kind="interactive", lane="a", payload="", attempts=0,
        received_at=NOON + timedelta(seconds=seconds),
    )  # fmt: skip
    event = AgentAction(
        agent_id="U1", at=NOON, channel="C1", thread_ts="1.0", conversation_id="c", action=action, key="k"
    )  # fmt: skip
    situation = patience.pressed(row, event, Situation(outbox=(ref,)))
    assert bool(situation.outbox) == counts


def test_a_line_waits_until_the_end_of_the_way_that_its_conversation_went_is_known() -> None:
    """Joined just now, or what it was joined into was: it is decided on what is loaded next, where it all goes on."""
    row = Stored(id=1, source="slack", kind="message", lane="a", payload="", attempts=0, received_at=NOON)
    event = AgentEdit(agent_id="U1", at=NOON, channel="C1", thread_ts="1.0", ts="2.0", text="At ten")
    conversation = story().conversation
    first, middle = replace(conversation, merged_into="B"), replace(conversation, id="B", merged_into="C")
    end = Situation(conversation=replace(conversation, id="C"))
    for unknown in (Situation(conversation=first), Situation(conversation=first, other=Situation(conversation=middle))):
        with pytest.raises(NotYet):
            patience.for_parts(row, event, unknown)
    patience.for_parts(row, event, Situation(conversation=first, other=end))


@pytest.mark.parametrize(("hours", "waits"), [(0, True), (-1, False)], ids=["in time", "the clock was set back since"])
def test_a_change_waits_a_while_for_parts_that_are_not_written(
    monkeypatch: pytest.MonkeyPatch, hours: int, waits: bool
) -> None:
    """The answer that was changed is just leaving; what never comes is waited for seconds, whatever the clock says."""
    monkeypatch.setattr(times, "real", lambda: NOON + timedelta(hours=hours, seconds=1))
    row = Stored(id=1, source="slack", kind="message", lane="a", payload="", attempts=0, received_at=NOON)
    event = AgentEdit(agent_id="U1", at=NOON, channel="C1", thread_ts="1.0", ts="2.0", text="At ten")
    answer = replace(story().opening("At nine").entries[0], kind=EntryKind.OUTGOING)
    situation = Situation(conversation=story().conversation, known={"2.0": answer})
    with pytest.raises(NotYet) if waits else nullcontext():
        patience.for_parts(row, event, situation)


@pytest.mark.parametrize("undo", [timedelta(seconds=5), timedelta(seconds=1)])
def test_an_emoji_on_a_message_that_is_none_of_ours_is_looked_at_seldom(undo: timedelta) -> None:
    """A line that is late is called back while it can be; one that never comes costs a few looks, not hundreds."""
    event = AgentAction(
        agent_id="U1", at=NOON, channel="C1", thread_ts="1.0", conversation_id=None, action="take_back", key="k"
    )  # fmt: skip
    waited, looks = timedelta(0), []
    while waited < patience.LINE_PATIENCE:
        with pytest.raises(NotYet) as wait:
            patience.for_line(event, Situation(), waited, undo)
        looks.append(wait.value.after)
        waited += wait.value.after
    patience.for_line(event, Situation(), waited, undo)
    assert looks[0] == patience.JOINING
    assert max(looks) <= undo / 4, "it can still be called back once it is there"
    assert len(looks) < 100


def test_rows_that_somebody_else_decided_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever another process finished is never heard of again here, and does not pile up."""
    zero, now = timedelta(0), [timedelta(hours=5)]
    monkeypatch.setattr(times, "steady", lambda: now[0])
    waiting = patience.Waiting(timedelta(hours=2))
    assert waiting.waited(1) == waiting.begin(1) == zero
    for hour in range(1, 10):
        now[0] += timedelta(hours=1)
        assert waiting.begin(1 + hour) == zero
        assert waiting.waited(hour) == timedelta(hours=1)
        assert len(waiting) == min(hour + 1, 3)
    waiting.end(10)
    assert (len(waiting), waiting.waited(9), waiting.waited(10)) == (2, timedelta(hours=1), zero)

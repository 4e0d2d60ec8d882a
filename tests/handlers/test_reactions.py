"""Agents' emoji on customers' messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import events
from domain.changes import Changes, Delivered, DeliveryKind
from domain.model import Agent
from domain.roles import Limits
from handlers import reactions, receipts
from tests.handlers.kit import LINA, MAYA, ROLES, STRANGER, Desk, rulebook, to_customer, whispers

POST = "7.0"
EMOJI = {"+1": "👍", "heart": "❤"}


def opened() -> Desk:
    """A customer's message that stands in the thread."""
    desk = Desk(rules=rulebook(reactions=EMOJI))
    entry = next(one for one in desk.writes().entries if one.platform_id)
    shown = Delivered(entry_id=entry.id, side="desk", part=0, place="C0SUPPORT", platform_id=POST)
    desk.situation = replace(desk.situation, deliveries=(shown,))
    return desk


def puts(desk: Desk, name: str, user: str = MAYA, *, is_on: bool = True, ts: str = POST) -> Changes:
    event = events.AgentReaction(agent_id=user, at=desk.now, channel="C0SUPPORT", ts=ts, name=name, is_on=is_on)
    situation = replace(desk.situation, agent=Agent(id=user, roles=ROLES[user]))
    return desk.keep(reactions.decide(event, situation, desk.context))


def shown(decided: Changes) -> list[str]:
    """What the customer's message is to show."""
    return [row.data["emoji"] for row in decided.outbox if row.kind is DeliveryKind.CHAT_REACTION]


def test_an_agents_emoji_appears_and_goes() -> None:
    """It is put on the message that the post shows, in a lane that holds no answer up, and touches no clock."""
    desk = opened()
    decided = puts(desk, "+1")
    (row,) = decided.outbox
    assert shown(decided) == ["👍"]
    assert row.data["message_id"] == decided.entries[0].reply_to
    assert not row.lane.startswith("chat:")
    assert decided.clocks is None
    assert shown(puts(desk, "+1", is_on=False)) == [""]


def test_the_chat_shows_the_newest_that_still_stands() -> None:
    """A bot may put one: of two agents' emoji the later is shown, and the earlier again when that one is taken back."""
    desk = opened()
    assert [shown(puts(desk, "+1")), shown(puts(desk, "heart", LINA))] == [["👍"], ["❤"]]
    assert shown(puts(desk, "+1", LINA)) == ["👍"]
    assert shown(puts(desk, "+1", is_on=False)) == [], "a colleague's still stands"
    assert shown(puts(desk, "+1", LINA, is_on=False)) == ["❤"]


@pytest.mark.parametrize(("name", "ts"), [("rocket", POST), ("+1", "8.0")])
def test_other_emoji_and_other_posts_stay_at_the_desk(name: str, ts: str) -> None:
    """Only the configured ones, only on what a customer wrote."""
    decided = puts(opened(), name, ts=ts)
    assert (decided.entries, decided.outbox) == ((), ())


def test_whoever_may_not_answer_puts_no_emoji_either() -> None:
    """They are told so, nothing is sent, and the refusal is on record."""
    decided = puts(opened(), "+1", STRANGER)
    assert to_customer(decided) == []
    assert whispers(decided) == ["refused_stranger"]
    assert decided.audit


def test_whoever_may_not_see_the_queue_puts_no_emoji_either() -> None:
    """A conversation that moved out of somebody's sight gets no sign of theirs, from whatever post they still have."""
    desk = opened()
    hidden = {name: replace(one, seen_by=Limits(agents=frozenset({LINA}))) for name, one in desk.rules.queues.items()}
    desk.rules = rulebook(reactions=EMOJI, queues=hidden)
    decided = puts(desk, "+1", MAYA)
    assert (to_customer(decided), decided.entries, whispers(decided)) == ([], (), ["refused_queue"])
    assert [act for act, _, _ in decided.audit] == ["refused"]
    assert puts(desk, "+1", MAYA, is_on=False).outbox == ()
    assert shown(puts(desk, "+1", LINA)) == ["👍"]


def test_a_refused_emoji_is_told_once() -> None:
    """The chat takes no such emoji: its agent is told, and not again for the next one in this conversation."""
    desk = opened()
    keys = set()
    for name in EMOJI:
        entry = puts(desk, name).entries[0]
        outcome = receipts.Outcome(
            outbox_id="O", kind=DeliveryKind.CHAT_REACTION, entry=entry, state="dead", reason="reaction_invalid",
            platform_id="", at=desk.now,
        )  # fmt: skip
        (told,) = receipts.decide(outcome, desk.situation, desk.context).outbox
        assert told.data["text"] == "reaction_refused"
        keys.add(told.idem_key)
    assert len(keys) == 1

"""Queues that not everybody may see, and words that are revealed one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import events
from domain.changes import Delivered, DeliveryKind, OutboxRef, Situation
from domain.model import Agent, Status
from domain.roles import EVERYBODY, Limits
from handlers import actions
from tests.handlers.kit import JONAS, LINA, MAYA, NINE, ROLES, STRANGER, Desk, reading, rulebook, whispers

PRIVACY = "U0PRIVACY"
ENTRY = "01J00000000000000000000000"
LIMITS = {
    "anybody": EVERYBODY,
    "leads": Limits(roles=frozenset({"lead"})),
    "Maya": Limits(agents=frozenset({MAYA})),
    "leads and Maya": Limits(roles=frozenset({"lead"}), agents=frozenset({MAYA})),
    "privacy officers": Limits(roles=frozenset({"privacy_officer"})),
}
MAY = {
    "anybody": {MAYA, LINA, JONAS},
    "leads": {JONAS},
    "Maya": {MAYA},
    "leads and Maya": {MAYA, JONAS},
    "privacy officers": set(),
}
LOOKS = {"customer": None, "why": None, "why_then": None, "assign_me": None, "priority": "high"}


def desk(limits: Limits) -> Desk:
    rules = rulebook()
    queues = {name: replace(queue, seen_by=limits) for name, queue in rules.queues.items()}
    made = Desk(rules=rulebook(queues=queues))
    made.writes("hello", reading("order"))
    return made


@pytest.mark.parametrize("action", sorted(LOOKS))
@pytest.mark.parametrize("who", [MAYA, LINA, JONAS, STRANGER])
@pytest.mark.parametrize("limits", sorted(LIMITS))
def test_who_may_see_a_queue(limits: str, who: str, action: str) -> None:
    """Roles and people that the queue names, and who may see at all; everybody else is refused, and it is audited."""
    place = desk(LIMITS[limits])
    decided = place.presses(action, LOOKS[action], who)
    if who in MAY[limits]:
        assert decided.reason != "refused"
        return
    assert decided.reason == "refused"
    assert decided.conversation is None
    assert [act for act, _, _ in decided.audit] == ["refused"]
    assert whispers(decided) == ["refused_action" if who == STRANGER else "refused_queue"]


@pytest.mark.parametrize("ts", ["2.0", f"{events.WRITTEN}{ENTRY}"], ids=["thread", "window"])
@pytest.mark.parametrize("text", ["On its way.", "// for us alone"])
@pytest.mark.parametrize("limits", sorted(LIMITS))
def test_who_may_answer_in_a_queue(limits: str, text: str, ts: str) -> None:
    """Nobody answers or notes anything where they may not see: neither in the thread nor in a window."""
    for who in (MAYA, LINA, JONAS):
        decided = desk(LIMITS[limits]).answers(text, who, ts=ts)
        assert (decided.reason == "refused") == (who not in MAY[limits])
        if decided.reason == "refused":
            assert (decided.conversation, decided.entries) == (None, ())
            assert whispers(decided) == ["refused_queue"]
            assert [act for act, _, _ in decided.audit] == ["refused"]


@pytest.mark.parametrize("limits", sorted(LIMITS))
def test_a_role_that_a_queue_names_still_needs_the_right(limits: str) -> None:
    """Seeing a queue gives nobody the right to reveal; both together do."""
    place = desk(LIMITS[limits])
    value = f"to_answer:{ENTRY}"
    for who in (MAYA, JONAS):
        decided = place.presses("reveal_message", value, who)
        allowed = "lead" in ROLES[who] and who in MAY[limits]
        assert (decided.reason == "message_revealed") == allowed


def test_a_message_is_revealed_for_a_reason() -> None:
    """To the one who asked, by the entry's id alone; customer, entry and reason stand in the audit trail."""
    place = desk(EVERYBODY)
    decided = place.presses("reveal_message", f"complaint:{ENTRY}", JONAS)
    [told] = decided.outbox
    assert told.kind is DeliveryKind.DESK_WHISPER
    assert (told.data["user"], told.data["entry"], told.data["text"]) == (JONAS, ENTRY, "revealed")
    assert decided.audit == (("message.reveal", f"customer:{place.conversation.customer_id}", f"{ENTRY} complaint"),)
    for odd in (None, "to_answer", f"because:{ENTRY}", "to_answer:odd", "complaint:"):
        assert place.presses("reveal_message", odd, JONAS).reason == "unknown_action"


def test_nobody_joins_into_what_they_may_not_see() -> None:
    """Both conversations have to be theirs to see; what the hidden one is like, the refusal does not say."""
    place = desk(EVERYBODY)
    hidden = replace(place.rules.queues["billing"], seen_by=LIMITS["leads"])
    place.rules = rulebook(queues={**place.rules.queues, "billing": hidden})
    into = replace(place.conversation, id="INTO", number=7, queue="billing")
    for theirs in (into, replace(into, customer_id="SOMEBODY"), replace(into, status=Status.DONE)):
        decided = place.presses("join", "7", MAYA, other=replace(place.situation, conversation=theirs))
        assert (decided.reason, decided.conversation, decided.also) == ("refused", None, ())
        assert whispers(decided) == ["refused_queue"]
        assert decided.audit == (("refused", "conversation:INTO", "join in billing"),)
    other = replace(place.situation, conversation=into)
    assert place.presses("join", "7", JONAS, other=other).reason == "joined"


def test_a_card_asked_for_by_number_and_a_page_know_who_asks() -> None:
    """What is looked up later is looked up with the roles of whoever asked."""
    situation = Situation(agent=Agent(id=JONAS, roles=("lead",)))
    for words in ("customer #1042", "sla", "home"):
        asked = events.DeskCommand(agent_id=JONAS, at=NINE, channel="C0SUPPORT", text=words, key="k")
        [item] = actions.command(asked, situation, desk(EVERYBODY).context).outbox
        assert item.data["roles"] == ["lead"]


@pytest.mark.parametrize(
    "changed", ["It is free.", "// for us alone", None], ids=["reworded", "made a note", "deleted"]
)
@pytest.mark.parametrize("state", ["todo", "sent", "note"])
def test_what_moved_out_of_sight_is_not_changed_from_the_thread(state: str, changed: str | None) -> None:
    """An answer or a note in a queue that its author may not see any more stays; the try is audited and told."""
    place = desk(EVERYBODY)
    said = place.answers("// ask the depot" if state == "note" else "It costs 20.").entries[0]
    queues = {name: replace(queue, seen_by=LIMITS["leads"]) for name, queue in place.rules.queues.items()}
    place.rules = rulebook(queues=queues)
    part = OutboxRef(id="O1", kind=DeliveryKind.CHAT_TEXT, lane="chat:I", entry_id=said.id, part=0, state=state)
    copies = (Delivered(entry_id=said.id, side="chat", part=0, place="", platform_id="9"),) if state == "sent" else ()
    decided = place.edits(said, changed, outbox=() if state == "note" else (part,), deliveries=copies)
    assert (decided.reason, decided.conversation, decided.entries, decided.cancel) == ("refused", None, (), ())
    assert whispers(decided) == ["refused_queue"]
    assert [act for act, _, _ in decided.audit] == ["refused"]


def test_who_is_no_agent_any_more_changes_no_note() -> None:
    """A note may be sent later as it stands: only who may write one may reword it."""
    place = desk(EVERYBODY)
    note = place.answers("// ask the depot").entries[0]
    decided = place.edits(note, "// tell them it is free", STRANGER)
    assert (decided.reason, decided.entries, whispers(decided)) == ("refused", (), ["refused_stranger"])
    assert place.edits(note, "// ask the other depot").reason == "note_edit"

"""What the timeline alone says is what decisions wrote beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import rebuild, sla
from domain.changes import Changes, DeliveryKind, OutboxRef
from domain.events import CustomerEdit, CustomerReach
from domain.model import Agent, Entry, EntryKind, Priority, Status
from domain.profile import Profile, Source, Value
from tests.handlers.kit import ANN, JONAS, LINA, MAYA, NINE, THANKS, Desk, placed, reading, rulebook


@dataclass
class Story:
    """A desk, and the answers that are still to leave, in their order: what the outbox would know."""

    desk: Desk
    waiting: list[Entry] = field(default_factory=list)
    lost: list[Entry] = field(default_factory=list)

    def takes(self, decided: Changes) -> None:
        """Keep what a decision puts into the outbox and takes out of it."""
        fresh = [entry for entry in decided.entries if entry.kind is EntryKind.OUTGOING]
        if decided.cancel:
            self.waiting.pop()
        self.waiting += fresh
        if self.desk.conversation.id != self.desk.entries[0].conversation_id:
            self.waiting = [entry for entry in self.waiting if entry.conversation_id == self.desk.conversation.id]
            self.lost = [entry for entry in self.lost if entry.conversation_id == self.desk.conversation.id]
        self.desk.situation = replace(self.desk.situation, conversation=placed(self.desk.conversation))

    @property
    def said(self) -> Entry | None:
        """The newest line of an agent in this conversation."""
        lines = (EntryKind.OUTGOING, EntryKind.NOTE)
        own = [e for e in self.desk.entries if e.kind in lines and e.conversation_id == self.desk.conversation.id]
        return own[-1] if own and own[-1].platform_id else None


Step = Callable[[Story], Changes | None]


def does(act: Callable[[Desk], Changes]) -> Step:
    return lambda story: act(story.desk)


def passes(**span: float) -> Step:
    def step(story: Story) -> None:
        story.desk.later(**span)

    return step


def settles(state: str, **ago: float) -> Step:
    """The platform says something about the answer that is next, as of some time ago."""

    def step(story: Story) -> Changes | None:
        if not story.waiting or story.desk.conversation.delivery_state == "unclear":
            return None
        entry = story.waiting[0] if state == "unclear" else story.waiting.pop(0)
        story.lost += [entry] if state == "dead" else []
        more = any(one.id != entry.id for one in story.waiting)
        reason, at = None if state == "sent" else "blocked", story.desk.now - timedelta(**ago)
        return story.desk.settles(entry, state, reason, more_waits=more, at=at)

    return step


def edits(text: str | None, state: str) -> Step:
    """Somebody changes or takes back their newest line while its part is in this state."""

    def step(story: Story) -> Changes | None:
        entry = story.said
        if entry is None:
            return None
        waits = bool(story.waiting) and story.waiting[-1].id == entry.id
        if waits and story.desk.conversation.delivery_state == "unclear":
            return None
        part = OutboxRef(
            id="O1",
            kind=DeliveryKind.CHAT_TEXT,
            lane="chat",
            state=state if waits else "sent",
            entry_id=entry.id,
            part=0,
        )
        return story.desk.edits(entry, text, known={str(entry.platform_id): entry}, outbox=(part,))

    return step


def undoes(story: Story) -> Changes | None:
    entry = story.said
    if entry is None or not story.waiting or story.waiting[-1].id != entry.id:
        return None
    if story.desk.conversation.delivery_state == "unclear":
        return None
    ref = OutboxRef(id="O1", kind=DeliveryKind.CHAT_TEXT, lane="chat", state="todo", entry_id=entry.id, part=0)
    story.desk.situation = replace(story.desk.situation, known={str(entry.platform_id): entry})
    return story.desk.presses("undo", entry.platform_id, refs=(ref,))


def settled_by_hand(action: str) -> Step:
    def step(story: Story) -> Changes | None:
        if not story.waiting or story.desk.conversation.delivery_state != "unclear":
            return None
        entry = story.waiting[0] if action == "retry" else story.waiting.pop(0)
        ref = OutboxRef(
            id="O1",
            kind=DeliveryKind.CHAT_TEXT,
            lane="chat",
            state="unclear",
            entry_id=entry.id,
            part=0,
            data={"parts": 1},
        )
        return story.desk.presses(action, refs=(ref,))

    return step


def sends_the_lost_one_again(story: Story) -> Changes | None:
    if not story.lost or story.desk.conversation.delivery_state == "unclear":
        return None
    entry = story.lost.pop()
    story.waiting.append(entry)
    ref = OutboxRef(id="O1", kind=DeliveryKind.CHAT_TEXT, lane="chat", state="dead", entry_id=entry.id, part=0)
    return story.desk.presses("retry", refs=(replace(ref, data={"parts": 1}),))


def sends_it_after_all(story: Story) -> Changes | None:
    """What was called back leaves now."""
    entry = story.said
    if entry is None or entry.kind is not EntryKind.NOTE:
        return None
    story.desk.situation = replace(story.desk.situation, known={str(entry.platform_id): entry})
    return story.desk.presses("send_reply", entry.platform_id)


def corrects(story: Story) -> Changes | None:
    """The customer changes what they wrote last."""
    own = [entry for entry in story.desk.entries if entry.kind is EntryKind.INCOMING]
    if own[-1].conversation_id != story.desk.conversation.id:
        return None
    number = str(own[-1].platform_id)
    return story.desk.customer(
        CustomerEdit(customer=ANN, at=story.desk.now, message_id=number, text="No, the blue one")
    )


def is_reached(reachable: bool) -> Step:  # a step of the table below
    def step(story: Story) -> Changes:
        return story.desk.customer(CustomerReach(customer=ANN, at=story.desk.now, reachable=reachable))

    return step


STEPS: dict[str, Step] = {
    "writes": does(lambda desk: desk.writes()),
    "writes of a bill": does(lambda desk: desk.writes("a bill", reading("billing", priority=Priority.HIGH))),
    "writes in Chinese": does(lambda desk: desk.writes("hm", reading(None, language="zh"))),
    "thanks": does(lambda desk: desk.writes("thank you", THANKS)),
    "wrote long ago": does(lambda desk: desk.writes("late", at=desk.now - timedelta(minutes=30))),
    "is answered": does(lambda desk: desk.answers("Done.")),
    "is answered by another": does(lambda desk: desk.answers("Also.", LINA)),
    "is noted": does(lambda desk: desk.answers("// call back")),
    "arrives": settles("sent"),
    "arrived a while ago": settles("sent", minutes=2.5),
    "fails": settles("dead"),
    "is unclear": settles("unclear"),
    "is sent again after all": sends_the_lost_one_again,
    "corrects": corrects,
    "blocks": is_reached(False),
    "returns": is_reached(True),
    "is promised": does(lambda desk: desk.presses("promise", str(int(desk.now.timestamp()) + 10800))),
    "mutes": does(lambda desk: desk.presses("mute")),
    "unmutes": does(lambda desk: desk.presses("unmute")),
    "is sent again": settled_by_hand("retry"),
    "arrived by hand": settled_by_hand("mark_arrived"),
    "is edited": edits("Better.", "todo"),
    "is taken back": edits(None, "todo"),
    "is edited late": edits("Too late.", "sending"),
    "is undone": undoes,
    "leaves after all": sends_it_after_all,
    "takes it": does(lambda desk: desk.presses("assign_me")),
    "gives it back": does(lambda desk: desk.presses("unassign")),
    "resolves": does(lambda desk: desk.presses("resolve", user=LINA)),
    "reopens": does(lambda desk: desk.presses("reopen")),
    "holds": does(lambda desk: desk.presses("status", "on_hold")),
    "sets aside": does(lambda desk: desk.presses("status", "spam")),
    "raises": does(lambda desk: desk.presses("priority", "urgent", JONAS)),
    "relabels": does(lambda desk: desk.presses("relabel", "access")),
    "calls it spam": does(lambda desk: desk.presses("relabel", "spam")),
    "is handed over": does(lambda desk: desk.presses("handover", LINA, note="look at this")),
    "is given to Lina": does(lambda desk: desk.presses("assign", LINA, JONAS)),
    "sleeps": does(lambda desk: desk.presses("snooze", f"@{int(desk.now.timestamp()) + 7200}")),
    "wakes": does(lambda desk: desk.presses("wake")),
    "is no request": does(lambda desk: desk.presses("not_a_request")),
    "moves": does(lambda desk: desk.presses("move", "tech")),
    "is swept": does(lambda desk: desk.sweep()),
    "hours pass": passes(hours=5),
    "days pass": passes(days=4),
}


@settings(max_examples=120)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=15, max_size=40), is_assigned=st.booleans())
def test_whatever_happens_the_timeline_says_how_a_conversation_stands(steps: list[str], is_assigned: bool) -> None:
    """Any story of a desk: the fields computed from the entries alone are those that the decisions wrote."""
    rules = rulebook(acknowledge="always")
    if is_assigned:
        queues = {name: replace(queue, assign="round_robin") for name, queue in rules.queues.items()}
        rules = rulebook(acknowledge="always", queues=queues)
    story = Story(desk=Desk(rules=rules, team=(Agent(id=LINA, roles=("agent",)),)))
    desk = story.desk
    story.takes(desk.writes())
    for step in steps:
        desk.later(minutes=1)
        decided = STEPS[step](story)
        if decided is not None:
            story.takes(decided)
    before, said = None, dict[str, Any]()
    for conversation_id in dict.fromkeys(entry.conversation_id for entry in desk.entries):
        own = [entry for entry in desk.entries if entry.conversation_id == conversation_id]
        said = rebuild.conversation(own, acknowledged_at=before)
        before = said["acknowledged_at"]
    stored = {name: getattr(desk.conversation, name) for name in said}
    assert said == stored, steps


def test_what_was_joined_is_owed_where_it_goes_on() -> None:
    """The conversation that ended has its outcome and nobody new; the other owes since when the first one owed."""
    first, other = Desk(), Desk()
    first.writes("Where is my parcel?")
    other.later(hours=1).writes("And my bill?")
    into = replace(placed(other.conversation), id=f"{99:026}", number=2, customer_id=first.conversation.customer_id)
    beside = replace(other.situation, conversation=into)
    first.situation = replace(first.situation, conversation=placed(first.conversation))
    decided = first.later(hours=2).presses("join", "2", other=beside)
    [gone_on] = decided.also
    said = rebuild.conversation(first.entries)
    assert said == {name: getattr(first.conversation, name) for name in said}
    entries = [*(replace(entry, conversation_id=into.id) for entry in other.entries), *gone_on.entries]
    assert gone_on.conversation is not None
    said = rebuild.conversation(entries)
    assert said == {name: getattr(gone_on.conversation, name) for name in said}


def test_what_somebody_muted_writes_changes_nothing() -> None:
    """It is kept, and neither the desk nor the check of the record counts it."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    desk.later(minutes=5).presses("mute")
    assert desk.later(minutes=5).writes("Hello?").reason == "muted"
    said = rebuild.conversation(desk.entries)
    assert said == {name: getattr(desk.conversation, name) for name in said}


def test_a_profile_is_what_its_changes_wrote_down() -> None:
    """Values, corrections and withdrawals: the two newest of each change give all of it back."""
    profile, changes = Profile(), []

    def value(word: str, minutes: int) -> Value:
        return Value(value=word, source=Source.AGENT, actor=MAYA, at=NINE + timedelta(minutes=minutes))

    for minutes, (name, word) in enumerate([("city", "Ulm"), ("city", "Bonn"), ("tier", "gold"), ("city", "Ulm")]):
        profile = profile.said(name, value(word, minutes), "asked")
        changes.append({name: profile.values[name][-2:]})
    profile = profile.withdrawn("city", NINE + timedelta(hours=1), "moved away")
    changes.append({"city": profile.values["city"][-2:]})
    assert rebuild.profile(changes) == profile


@settings(max_examples=120)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=5, max_size=40))
def test_whatever_happens_a_conversation_owes_what_its_clocks_wait_for(steps: list[str]) -> None:
    """After every step of any story: somebody waits for an answer, or nobody does, for the desk and for the clocks."""
    story = Story(desk=Desk(rules=rulebook(acknowledge="always")))
    desk = story.desk
    story.takes(desk.writes())
    for step in steps:
        desk.later(minutes=1)
        decided = STEPS[step](story)
        if decided is not None:
            story.takes(decided)
        question = sla.open_question(desk.situation.history)
        if desk.conversation.is_open:
            owed = desk.conversation.unanswered_since
            assert (owed is None) == (question is None), steps[: steps.index(step) + 1]
            assert owed is None or desk.conversation.status is not Status.WAITING_CUSTOMER
        assert desk.situation.leaving == {entry.id for entry in story.waiting}
        rows = {(row.metric, row.instance, row.due_at, row.stopped_at) for row in desk.situation.clocks}
        assert rows == {(one.metric, one.instance, one.due_at, one.stopped_at) for one in desk.clocks()}

"""What the decisions of one batch carry to those after them, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from domain import albums, events
from domain.changes import Settle, Situation, settled_by
from domain.errors import NotYet
from domain.model import MOST_DIGITS, Agent
from handlers import commands, facts, feedback, leaving, transcripts
from storage.inbox import Stored
from storage.wishes import Wanted

TO_SOMEBODY = frozenset({"act", "assign", "handover"})
"""Actions that name a colleague: whether that is one is asked of the team."""
ENDS = frozenset({"act", "resolve"})
"""Actions that may end a conversation: whether its customer was asked how it was is looked up."""
JOINS = frozenset({"act", "join"})
"""Actions that may join a conversation into another: the questions that are open in it go there, too."""
LEAVES = frozenset({"act", "join", "resolve", "undo", "keep_note", "mark_arrived"})
"""Actions to which it matters whether an answer is on its way, whatever has become of the last one."""
OF_A_LINE = frozenset({"undo", "keep_note", "send_reply", "note_contact"})
"""Buttons that name a line of the thread, by its ts."""


@dataclass(kw_only=True, slots=True)
class Item:
    """One inbox row on its way through a batch, or those of one album."""

    row: Stored
    event: events.Event
    wanted: Wanted
    other: Wanted | None = None
    situation: Situation = field(default_factory=Situation)
    waits_for: NotYet | None = None  # the desk cannot say yet who this is
    rows: tuple[Stored, ...] = ()
    parts: list[events.CustomerMessage] = field(default_factory=list)  # of an album

    def __post_init__(self) -> None:
        self.rows = (self.row,)
        if isinstance(self.event, events.CustomerMessage):
            self.parts = [self.event]

    def add(self, row: Stored, part: events.CustomerMessage) -> None:
        """Take a further part of its album in."""
        self.rows = (*self.rows, row)
        self.parts.append(part)
        self.event = albums.joined(self.parts)
        self.wanted = replace(self.wanted, messages=(*self.wanted.messages, part.message_id))


def wanted(row: Stored, event: events.Event, *, with_team: bool, region: str | None = None) -> Wanted:
    """What deciding an event needs loaded; `with_team` where a customer's message may be given to somebody.

    `region` is the country of phone numbers that are typed without one.
    """
    key = str(row.id)
    match event:
        case events.CustomerMessage() | events.CustomerEdit() | events.CustomerCommand() | events.CustomerReaction():
            return Wanted(
                key=key,
                channel=event.customer.channel,
                address=event.customer.address,
                messages=(event.message_id,),
                team=with_team and isinstance(event, events.CustomerMessage),
            )
        case events.CustomerReach() | events.CustomerChoice():
            return Wanted(key=key, channel=event.customer.channel, address=event.customer.address)
        case events.CustomerMoved():
            lane = event.channel, f"{event.channel}:{event.old_address}"
            return Wanted(key=key, channel=event.channel, address=event.old_address, in_lane=lane)
        case events.AgentMessage() | events.AgentEdit():
            return Wanted(
                key=key,
                thread=(event.channel, event.thread_ts),
                messages=(event.ts,),
                parts=isinstance(event, events.AgentEdit),
                leaving=isinstance(event, events.AgentEdit),
                posted=isinstance(event, events.AgentMessage),
                said=leaving.looks_back(event),
                agent_id=event.agent_id,
            )
        case events.AgentAction():
            settles = event.action in ("retry", "retry_plain", "copy", "mark_arrived")
            named = settled_by(event.value or "")[0] or None if settles else None
            thread = (event.channel, event.thread_ts) if event.thread_ts and not event.conversation_id else None
            if event.action == "acknowledge" and thread is not None:  # a reaction on any post of ours
                return Wanted(key=key, post=thread, agent_id=event.agent_id)
            if event.action == "take_back" and thread is not None:  # a reaction on a line of one's own
                return Wanted(
                    key=key, post=thread, messages=(thread[1],), parts=True, leaving=True, agent_id=event.agent_id
                )
            line = (event.value,) if event.action in OF_A_LINE and event.value else ()
            asked = transcripts.marks(event.agent_id, event.at) if event.action == "transcript" else ()
            return Wanted(
                key=key,
                conversation_id=event.conversation_id,
                thread=thread,
                messages=line or asked,
                parts=bool(line),
                outbox_id=named,
                read=event.action in feedback.TEACHES,
                automatic=event.action in ENDS,
                leaving=event.action in LEAVES,
                held=event.action in JOINS,
                team=event.action in TO_SOMEBODY,
                agent_id=event.agent_id,
            )
        case events.AgentReaction():
            return Wanted(key=key, post=(event.channel, event.ts), reactions=True, agent_id=event.agent_id)
        case events.FactEntered():
            return Wanted(key=key, agent_id=event.agent_id, reached=facts.reaching(event, region))
        case events.DeskCommand():
            return _by_command(key, event)
        case _:
            return Wanted(key=key)


def second(row: Stored, event: events.Event) -> Wanted | None:
    """The second conversation that an action needs: the one it names by its number, or what is open with a customer."""
    asked = commands.named(event)
    if asked is not None and asked.action == "start":
        return _beside(row, asked)
    if asked is None or asked.action != "join" or not asked.value:
        return None
    number = asked.value.strip().lstrip("#\uff03")
    is_number = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
    return Wanted(key=f"{row.id}:other", number=int(number)) if is_number else None


def _beside(row: Stored, asked: events.AgentAction) -> Wanted:
    """The conversation to which belongs what the customer of the named one would answer."""
    thread = (asked.channel, asked.thread_ts) if asked.thread_ts and not asked.conversation_id else None
    return Wanted(
        key=f"{row.id}:other",
        conversation_id=asked.conversation_id,
        number=asked.number,
        thread=thread,
        newest=True,
    )


def _by_command(key: str, event: events.DeskCommand) -> Wanted:
    """What a command needs: that which the button would, of the conversation it names."""
    asked = commands.read(event)
    if asked is None or asked.number is None:
        return Wanted(key=key, agent_id=event.agent_id)
    return Wanted(
        key=key,
        number=asked.number,
        messages=transcripts.marks(event.agent_id, event.at) if asked.action == "transcript" else (),
        read=asked.action in feedback.TEACHES,
        automatic=asked.action in ENDS,
        leaving=asked.action in LEAVES,
        held=asked.action in JOINS,
        team=asked.action in TO_SOMEBODY,
        agent_id=event.agent_id,
    )


class Carried:
    """What the decisions of a batch made of each conversation, for the decisions after them in the same lane."""

    def __init__(self) -> None:
        self._situations: dict[tuple[str, str], Situation] = {}
        self._team: dict[str, Agent] = {}  # who was given something in this batch, in any lane
        self._settled: dict[str, str] = {}  # deliveries that somebody settled in this batch, and their state since
        # The conversation a customer's next event belongs to, per lane and address: a group's topics share its lane.
        self._newest: dict[tuple[str, str], str] = {}

    def _key(self, item: Item) -> tuple[str, str]:
        conversation = item.situation.conversation
        address = item.wanted.address
        named = self._newest.get((item.row.lane, address)) if address is not None else None
        return item.row.lane, named or (conversation.id if conversation else "")

    def into(self, item: Item) -> Situation:
        """The loaded situation, brought up to what earlier decisions made of it."""
        loaded = replace(item.situation, other=self._other(item))
        refs = tuple(replace(ref, state=self._settled.get(ref.id, ref.state)) for ref in loaded.outbox)
        before = self._situations.get(self._key(item))
        if before is None:
            return replace(loaded, outbox=refs)
        fresh = {ts: entry for ts, entry in before.known.items() if ts in item.wanted.messages}
        if item.wanted.parts and any(loaded.known.get(ts, entry).id != entry.id for ts, entry in fresh.items()):
            refs = ()  # what was loaded is of an earlier wording
        return replace(_onto(loaded, before), outbox=refs)

    def _other(self, item: Item) -> Situation | None:
        """The second conversation; what is open with a customer may have been opened or ended by this very batch."""
        other = item.situation.other
        if other is None or other.conversation is None:
            return other
        if item.other is None:  # what the conversation of a line was joined into: its lines may be decided there
            before = self._situations.get((item.row.lane, other.conversation.id))
            return other if before is None else _onto(other, before)
        if not item.other.newest:
            return other
        of = other.conversation.identity_id
        known = {other.conversation.id: other.conversation}
        made = (situation.conversation for situation in self._situations.values())
        known |= {one.id: one for one in made if one is not None and one.identity_id == of}
        is_open = (one for one in known.values() if one.is_open)
        chosen = next(is_open, known[other.conversation.id])
        begun = (
            one.begun for one in self._situations.values() if one.conversation and one.conversation.id == chosen.id
        )
        return replace(other, conversation=chosen, begun=next((words for words in begun if words is not None), None))

    def settle(self, decisions: Sequence[Settle]) -> None:
        """Remember which deliveries were settled: the second press of a button finds it done."""
        self._settled |= {settled.outbox_id: "todo" if settled.again else "sent" for settled in decisions}

    def team(self, loaded: Sequence[Agent]) -> tuple[Agent, ...]:
        """The team as it is after what this batch has given out, in any lane."""
        return tuple(self._team.get(agent.id, agent) for agent in loaded)

    def busy(self, agent: Agent | None) -> None:
        """Remember who was given something."""
        if agent is not None:
            self._team[agent.id] = agent

    def keep(self, item: Item, after: Situation) -> None:
        """Remember what a decision made of its conversation."""
        conversation = after.conversation.id if after.conversation else ""
        self._situations[item.row.lane, conversation] = after
        other = after.other
        if other is not None and other.conversation is not None and other is not item.situation.other:
            self._situations[item.row.lane, other.conversation.id] = other
        if item.wanted.address is not None:
            self._newest[item.row.lane, item.wanted.address] = conversation


def _onto(loaded: Situation, before: Situation) -> Situation:
    """What was loaded, with what the decisions before made of it."""
    written = {one.id for one in loaded.reactions}
    read = {one.id for one in loaded.said}
    held = (before.known.get(str(one.platform_id), one) for one in loaded.held)  # as this batch has left them
    return replace(
        loaded,
        customer=before.customer,
        identity=before.identity,
        conversation=before.conversation,
        window=before.window,
        history=before.history,
        clocks=before.clocks,
        said=(*loaded.said, *(one for one in before.said if one.id not in read)),
        automatic=loaded.automatic | before.automatic,
        leaving=(loaded.leaving - before.settled) | before.leaving,
        unclear=(loaded.unclear - before.settled) | before.unclear,
        settled=before.settled,
        known={**loaded.known, **before.known},
        held=tuple(one for one in held if leaving.is_asked(one)),
        reactions=(*loaded.reactions, *(one for one in before.reactions if one.id not in written)),
    )

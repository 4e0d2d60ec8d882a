"""What the timeline alone says: a conversation, consents and a profile put together again from their entries.

The tables of current state are written beside the timeline, in the same transaction. Here the same state is computed a
second time, by plain rules and from the entries only, so that the two can be held against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from domain.changes import counts_at
from domain.model import CLOSED, MERGED, ActorKind, Entry, EntryKind, Priority, Reach, Status
from domain.profile import Profile, Value
from domain.sla import EventKind

ON_THE_WAY: Final = (Reach.WAITING, Reach.UNCLEAR)
ACKNOWLEDGED: Final = "acknowledgement"
"""How the names of the fixed texts begin that acknowledge a message."""
NO_TOUCH: Final = (
    EntryKind.EXCUSED,
    EntryKind.CASE,
    EntryKind.CONSENT,
    EntryKind.PROFILE,
    EntryKind.TRANSCRIPT,
)
"""What somebody at the desk does beside a conversation, not in it."""
NO_SOURCE: Final = {
    "segments": "computed from the rules of config.yaml and the conversations",
    "tags": "noted by hand; who noted them stands in the audit trail",
    "names and addresses": "the newest that the platform sent",
    "number, lane, thread": "given by storage and by Slack's receipts",
    "assessment": "the timeline keeps its outcome, not its whole reading",
    "alerts given": "marks of the sweep; each alert stands in the timeline as a line",
    "labels": "kept only as long as the customer allows it",
    "cases": "decisions stand in the audit trail",
}
"""What no timeline can give back, and why: it is not compared."""


def conversation(entries: Iterable[Entry], *, acknowledged_at: datetime | None = None) -> dict[str, Any]:
    """The fields of a conversation by its entries, in the order in which they were written.

    `acknowledged_at` is what it began with: the time of the conversation before it. Fields that these entries do not
    tell (see `NO_SOURCE`) are left out; so is the language where no reading of it is on record.
    """
    state = _State(acknowledged_at)
    for entry in entries:
        state.take(entry)
    return state.fields


def consents(entries: Iterable[Entry]) -> dict[str, bool]:
    """What somebody said last to each purpose."""
    said = (entry.data for entry in entries if entry.kind is EntryKind.CONSENT)
    return {str(data["purpose"]): bool(data["to"]) for data in said}


def notice(entries: Iterable[Entry]) -> str | None:
    """The version of the privacy notice that somebody was sent last."""
    sent = [e.data["version"] for e in entries if e.kind is EntryKind.AUTOMATIC and e.data.get("text") == "notice"]
    return str(sent[-1]) if sent else None


def profile(changes: Iterable[Mapping[str, tuple[Value, ...]]]) -> Profile:
    """A profile from what each change of it wrote down: by field, the value before (as corrected) and the new one."""
    values: dict[str, tuple[Value, ...]] = {}
    for change in changes:
        for name, told in change.items():
            said = list(values.get(name, ()))
            for one in told:
                places = [place for place, known in enumerate(said) if _is_same(known, one)]
                if places:
                    said[places[-1]] = one
                else:
                    said.append(one)
            values[name] = tuple(said)
    return Profile(values=values)


def _is_same(known: Value, told: Value) -> bool:
    return replace(known, until=None, reason=None) == replace(told, until=None, reason=None)


class _State:
    """A conversation as it grows, entry by entry."""

    def __init__(self, acknowledged_at: datetime | None) -> None:
        self.fields: dict[str, Any] = {
            "status": Status.NEW,
            "priority": Priority.NORMAL,
            "assignee": None,
            "intent": None,
            "label_by_human": False,
            "priority_by_human": False,
            "queue_moves": 0,
            "touched_by_human": False,
            "outcome": None,
            "resolved_at": None,
            "last_customer_at": None,
            "last_agent_at": None,
            "unanswered_since": None,
            "delivery_state": None,
            "delivery_reason": None,
            "previous": None,
            "acknowledged_at": acknowledged_at,
        }
        self._asked: dict[str, datetime] = {}  # from when each question counts
        self._answers: set[str] = set()  # every answer there was
        self._waiting: set[str] = set()  # those that neither arrived nor failed nor were called back

    def take(self, entry: Entry) -> None:
        by_person = entry.actor.kind is ActorKind.AGENT
        if by_person and entry.kind not in NO_TOUCH:
            self.fields["touched_by_human"] = True
        handle = _HANDLERS.get(entry.kind)
        if handle is not None:
            handle(self, entry, by_person)

    def opened(self, entry: Entry, _by_person: bool) -> None:
        self.fields["opened_at"] = entry.at
        self.fields["previous"] = entry.data.get("previous")

    def incoming(self, entry: Entry, _by_person: bool) -> None:
        if entry.data.get("muted"):  # kept, and told to nobody
            return
        newest = self.fields["last_customer_at"]
        self.fields["last_customer_at"] = entry.at if newest is None else max(newest, entry.at)
        if entry.data.get("sla") == EventKind.CUSTOMER_MESSAGE.value:
            self._asked[entry.id] = counts_at(entry.at, entry.data)
            before = self.fields["unanswered_since"]
            self.fields["unanswered_since"] = entry.at if before is None else min(before, entry.at)

    def joined(self, entry: Entry, _by_person: bool) -> None:
        """What was owed in another conversation is owed here, since when it was owed there."""
        if entry.data.get("sla") == EventKind.CUSTOMER_MESSAGE.value:
            self._asked[entry.id] = counts_at(entry.at, entry.data)
            before = self.fields["unanswered_since"]
            self.fields["unanswered_since"] = entry.at if before is None else min(before, entry.at)

    def outgoing(self, entry: Entry, _by_person: bool) -> None:
        if "imported" in entry.data:  # it had been sent long before it came into the record
            self.fields["last_agent_at"] = entry.at
            return
        self._waiting.discard(str(entry.data.get("edit_of")))
        self._answers.add(entry.id)
        self._waiting.add(entry.id)
        self.fields["last_agent_at"] = entry.at
        self._reach(Reach.WAITING)
        if self.fields["status"] is Status.NEW:
            self.fields["status"] = Status.OPEN

    def note(self, entry: Entry, _by_person: bool) -> None:
        back = entry.data.get("undone") or entry.data.get("called_back")
        if back is not None:
            self._waiting.discard(str(back))
            if not (self._waiting and self.fields["delivery_state"] is Reach.UNCLEAR):
                self._reach(Reach.WAITING if self._waiting else Reach.CANCELLED)

    def delivered(self, entry: Entry, by_person: bool) -> None:
        of, is_answer = str(entry.data.get("of")), entry.data.get("sla") == EventKind.AGENT_REPLY.value
        if by_person:  # who settled an unclear one took it as arrived; an answer has when its last part has
            is_part = of in self._answers and not is_answer
            self._reach(Reach.WAITING if is_part or self._waiting - {of} else Reach.SENT)
            if is_answer:
                self._waiting.discard(of)
                self.fields["unanswered_since"] = self._asked.get(str(entry.data.get("to")))
            return
        self._waiting.discard(of)
        if is_answer or self.fields["delivery_state"] in ON_THE_WAY:
            self._reach(Reach.WAITING if self._waiting else Reach.SENT)
        if is_answer:
            owed = self._asked.get(str(entry.data.get("to")))
            if owed is not None or not any(at > entry.at for at in self._asked.values()):
                self.fields["unanswered_since"] = owed
            self.fields["last_agent_at"] = entry.at

    def not_delivered(self, entry: Entry, _by_person: bool) -> None:
        is_unclear, is_change = entry.data.get("state") == Reach.UNCLEAR.value, entry.data.get("what") is not None
        if not is_unclear:
            self._waiting.discard(str(entry.data.get("of")))
        if is_unclear or not is_change or self.fields["delivery_state"] in ON_THE_WAY:
            state = Reach.UNCLEAR if is_unclear else Reach.SENT if is_change else Reach.FAILED
            self._reach(state, entry.data.get("reason"))

    def status(self, entry: Entry, by_person: bool) -> None:
        to = entry.data.get("to")
        if to not in list(Status):  # sent again, by hand
            self._waiting.add(str(entry.data.get("of")))
            self._reach(Reach.WAITING)
            return
        wanted = Status(to)
        self.fields["status"] = wanted
        self.fields["resolved_at"] = entry.at if wanted in CLOSED else None
        if wanted in CLOSED:
            self.fields["unanswered_since"] = None
        elif "since" in entry.data:  # open again: what nobody had answered is owed again
            self.fields["unanswered_since"] = datetime.fromisoformat(entry.data["since"])
        self.fields["outcome"] = entry.data.get("outcome") if wanted in CLOSED else None
        if self.fields["outcome"] == MERGED:
            return  # it goes on elsewhere; nobody took it
        if wanted is Status.DONE and by_person and self.fields["assignee"] is None:
            self.fields["assignee"] = entry.actor.id

    def priority(self, entry: Entry, by_person: bool) -> None:
        self.fields["priority"] = Priority(entry.data["to"])
        self.fields["priority_by_human"] |= by_person

    def queue(self, entry: Entry, _by_person: bool) -> None:
        self.fields["queue"] = entry.data["to"]
        if entry.actor.kind is ActorKind.MACHINE and "from" in entry.data:
            self.fields["queue_moves"] += 1

    def assignee(self, entry: Entry, by_person: bool) -> None:
        self.fields["assignee"] = entry.data.get("to")
        if by_person and entry.data.get("to") is not None and self.fields["status"] is Status.NEW:
            self.fields["status"] = Status.OPEN

    def label(self, entry: Entry, by_person: bool) -> None:
        self.fields["intent"] = entry.data.get("to")
        self.fields["label_by_human"] |= by_person

    def assessed(self, entry: Entry, _by_person: bool) -> None:
        self.fields["intent"] = entry.data.get("to")
        if "language" in entry.data:
            self.fields["language"] = entry.data["language"]
        else:
            self.fields.pop("language", None)

    def clock(self, entry: Entry, _by_person: bool) -> None:
        if entry.data.get("sla") == EventKind.POLICY.value:
            self.fields["policy"] = str(entry.data["to"]).partition("@")[0]

    def automatic(self, entry: Entry, _by_person: bool) -> None:
        if str(entry.data.get("text", "")).startswith(ACKNOWLEDGED):
            self.fields["acknowledged_at"] = entry.at

    def _reach(self, state: Reach, reason: str | None = None) -> None:
        self.fields["delivery_state"], self.fields["delivery_reason"] = state, reason


_HANDLERS: Final[Mapping[EntryKind, Callable[[_State, Entry, bool], None]]] = {
    EntryKind.OPENED: _State.opened,
    EntryKind.INCOMING: _State.incoming,
    EntryKind.JOINED: _State.joined,
    EntryKind.OUTGOING: _State.outgoing,
    EntryKind.NOTE: _State.note,
    EntryKind.DELIVERED: _State.delivered,
    EntryKind.NOT_DELIVERED: _State.not_delivered,
    EntryKind.STATUS: _State.status,
    EntryKind.PRIORITY: _State.priority,
    EntryKind.QUEUE: _State.queue,
    EntryKind.ASSIGNEE: _State.assignee,
    EntryKind.LABEL: _State.label,
    EntryKind.ASSESSMENT: _State.assessed,
    EntryKind.CLOCK: _State.clock,
    EntryKind.AUTOMATIC: _State.automatic,
}

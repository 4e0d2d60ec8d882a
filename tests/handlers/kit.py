"""A desk without I/O: feeds events to the handlers and keeps the situation that storage would have loaded."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain import changes, deadlines, events, routing
from domain.alerts import Person
from domain.assessment import Assessment, Scored
from domain.calendar import ALWAYS, Calendar, parse_duration
from domain.changes import Changes, DeliveryKind, OutboxRef, Outgoing, Situation
from domain.formatting import Span
from domain.model import Agent, Attachment, Conversation, Entry, EntryKind, Priority, Thread
from domain.rulebook import Intent, PolicyRule, Rulebook
from domain.sla import Clock, Metric, Policy
from handlers import actions, escalation, intake, receipts, replies
from handlers.frame import Context

NINE = datetime(2026, 6, 12, 9, tzinfo=UTC)  # a Friday
MAYA, LINA, JONAS, STRANGER = "U0MAYA", "U0LINA", "U0JONAS", "U0STRANGER"
ROLES = {MAYA: ("agent",), LINA: ("agent",), JONAS: ("lead",), STRANGER: ()}
ANN = events.CustomerRef(channel="telegram", address="1", name="Ann", username="ann", language="en")
PHOTO = Attachment(id="A1", kind="photo", platform_id="F1", name="photo.jpg", mime="image/jpeg", size=1000)
TARGETS = {
    Metric.FIRST_RESPONSE: parse_duration("4h"),
    Metric.NEXT_RESPONSE: parse_duration("2h"),
    Metric.RESOLUTION: parse_duration("24h"),
}


def rulebook(**fields: Any) -> Rulebook:
    """A shop with four queues; every clock runs round the clock unless `policy_rules` says otherwise."""
    names = {"support": "C0SUPPORT", "billing": "C0BILLING", "tech": "C0TECH", "triage": "C0TRIAGE"}
    queues = {
        name: routing.Queue(name=name, title=name.title(), slack_channel=channel, mention="S0AGENTS")
        for name, channel in names.items()
    }
    policies = {
        "standard": Policy(
            name="standard",
            calendar="always",
            targets={Priority.NORMAL: TARGETS, Priority.HIGH: {Metric.FIRST_RESPONSE: parse_duration("1h")}},
            warnings=("25%",),
        ),
        "urgent": Policy(
            name="urgent", calendar="always", targets={Priority.LOW: {Metric.FIRST_RESPONSE: parse_duration("15m")}}
        ),
    }
    intents = {
        "order": Intent(id="order", names={"en": "Order"}, queue="support"),
        "billing": Intent(id="billing", names={"en": "Billing"}, queue="billing"),
        "access": Intent(id="access", names={"en": "Access"}, queue="tech"),
        "spam": Intent(id="spam", names={"en": "Spam"}, queue="triage"),
    }
    given: dict[str, Any] = {
        "queues": queues,
        "default_queue": "support",
        "triage_queue": "triage",
        "rules": (
            routing.Rule(name="billing", when=routing.Condition(intents=frozenset({"billing"})), queue="billing"),
            routing.Rule(name="tech", when=routing.Condition(intents=frozenset({"access"})), queue="tech"),
            routing.Rule(name="the rest", queue="support"),
        ),
        "policies": policies,
        "policy_rules": (
            PolicyRule(when=routing.Condition(priorities=frozenset({Priority.URGENT})), policy="urgent"),
            PolicyRule(when=routing.Condition(), policy="standard"),
        ),
        "calendars": {"always": ALWAYS},
        "intents": intents,
        "channel_limits": {"telegram": 4096},
        "lead_mention": "S0LEADS",
    }
    return Rulebook(**(given | fields))


OFFICE = Calendar.build(name="office", tz="UTC", hours={"mon-fri": ["09:00-17:00"]})


def reading(intent: str | None = "order", **fields: Any) -> Assessment:
    """What the classifier would have said; None abstains."""
    given: dict[str, Any] = {
        "intent": intent,
        "confidence": 0.9 if intent else 0.3,
        "top": (Scored(label=intent or "order", confidence=0.9 if intent else 0.3),),
        "queues": (),
        "language": "en",
        "language_confidence": 0.9,
        "abstain": intent is None,
        "reason": "" if intent else "below_threshold",
        "spam": 0.0,
        "closure": 0.0,
        "wants_person": 0.0,
        "out_of_scope": 0.0,
        "priority": Priority.NORMAL,
        "priority_reasons": (),
        "sentiment": None,
        "version": "test",
        "evidence": (),
    }
    return Assessment(**(given | fields))


THANKS = reading("order", closure=0.97)


@dataclass
class Desk:
    """One customer's lane. Each call decides on the situation that the calls before it left behind."""

    rules: Rulebook = field(default_factory=rulebook)
    minute: float = 0
    situation: Situation = field(default_factory=lambda: Situation(lane="telegram:1"))
    outbox: list[Outgoing] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    team: tuple[Agent, ...] = ()
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def now(self) -> datetime:
        """Product time."""
        return NINE + timedelta(minutes=self.minute)

    @property
    def context(self) -> Context:
        """What a decision may use."""
        return Context(rules=self.rules, now=self.now, new_id=self.new_id)

    @property
    def conversation(self) -> Conversation:
        """The conversation as it stands."""
        assert self.situation.conversation is not None
        return self.situation.conversation

    def new_id(self) -> str:
        """Ids in order."""
        return f"{next(self.numbers):026}"

    def later(self, **span: float) -> Desk:
        """Let time pass."""
        self.minute += timedelta(**span).total_seconds() / 60
        return self

    def keep(self, decided: Changes) -> Changes:
        """Take a decision over, as storage would."""
        self.situation = changes.apply(self.situation, decided)
        self.outbox += decided.outbox
        self.entries += decided.entries
        return decided

    # ---- the customer ------------------------------------------------------------------------------------------------

    def writes(self, text: str = "Where is my order?", assessed: Assessment | None = None, **fields: Any) -> Changes:
        """The customer writes, at product time."""
        given: dict[str, Any] = {"customer": ANN, "at": self.now, "message_id": self.new_id(), "kind": "text"}
        event = events.CustomerMessage(**(given | {"text": text} | fields))
        situation = replace(self.situation, team=self.team)
        return self.keep(intake.decide(event, situation, assessed or reading(), self.context))

    def customer(self, event: events.CustomerEvent) -> Changes:
        """Anything else a customer does."""
        return self.keep(intake.decide(event, self.situation, None, self.context))

    # ---- the desk ----------------------------------------------------------------------------------------------------

    def _as(self, user: str) -> Situation:
        return replace(self.situation, agent=Agent(id=user, roles=ROLES[user]))

    def answers(self, text: str = "On its way.", user: str = MAYA, **fields: Any) -> Changes:
        """Somebody writes in the thread."""
        known = self.situation.conversation
        place = known.thread.channel if known else "C0SUPPORT"
        given: dict[str, Any] = {"agent_id": user, "at": self.now, "channel": place, "thread_ts": "1.0"}
        event = events.AgentMessage(**(given | {"ts": self.new_id(), "text": text} | fields))
        return self.keep(replies.decide(event, self._as(user), self.context))

    def edits(
        self,
        entry: Entry,
        text: str | None,
        user: str = MAYA,
        spans: tuple[Span, ...] = (),
        lost: frozenset[str] = frozenset(),
        stand: bool = False,
        **loaded: Any,
    ) -> Changes:
        """Somebody changes or deletes what they wrote, or takes files away from it (`lost`)."""
        event = events.AgentEdit(
            agent_id=user,
            at=self.now,
            channel="C0SUPPORT",
            thread_ts="1.0",
            ts=str(entry.platform_id),
            text=text,
            spans=spans,
            lost=lost,
            stand=stand,
        )
        return self.keep(replies.decide(event, replace(self._as(user), **loaded), self.context))

    def presses(self, action: str, value: str | None = None, user: str = MAYA, **fields: Any) -> Changes:
        """Somebody presses a button of the card as it stands, or with `version` of an older one."""
        refs: tuple[OutboxRef, ...] = fields.pop("refs", ())
        other: Situation | None = fields.pop("other", None)
        lines = {entry.id: entry for entry in self.entries}
        answer = lines.get(str(refs[0].entry_id)) if refs else None
        given: dict[str, Any] = {
            "agent_id": user,
            "at": self.now,
            "channel": self.conversation.thread.channel,
            "thread_ts": self.conversation.thread.ts or "1.0",
            "conversation_id": self.conversation.id,
            "action": action,
            "value": value,
            "version": self.conversation.version,
            "key": self.new_id(),
        }
        event = events.AgentAction(**(given | fields))
        situation = replace(self._as(user), outbox=refs, team=self.team, other=other, answer=answer)
        return self.keep(actions.decide(event, situation, self.context))

    def types(self, text: str, user: str = MAYA) -> Changes:
        """Somebody types our command; `#` stands for the number of the conversation."""
        event = events.DeskCommand(
            agent_id=user, at=self.now, channel="C0SUPPORT", text=text.replace("#", "#7"), key=self.new_id()
        )
        return self.keep(actions.command(event, replace(self._as(user), team=self.team), self.context))

    # ---- the machine -------------------------------------------------------------------------------------------------

    def settles(self, entry: Entry, state: str = "sent", reason: str | None = None, **fields: Any) -> Changes:
        """The chat platform answered."""
        given: dict[str, Any] = {
            "outbox_id": "O1",
            "kind": DeliveryKind.CHAT_TEXT,
            "entry": entry,
            "state": state,
            "reason": reason,
            "platform_id": "9" if state == "sent" else "",
            "at": self.now,
        }
        return self.keep(receipts.decide(receipts.Outcome(**(given | fields)), self.situation, self.context))

    def delivered(self, text: str = "On its way.", user: str = MAYA) -> Changes:
        """An answer is written and taken by the platform at once."""
        return self.settles(self.answers(text, user).entries[0])

    def sweep(self, people: Mapping[str, Person] | None = None, leads: Sequence[str] = ()) -> Changes:
        """The clocks are looked at, while `people` are as they are and `leads` lead."""
        event = events.ClockDue(conversation_id=self.conversation.id, at=self.now)
        return self.keep(escalation.decide(event, self.situation, self.context, people or {}, leads))

    def clock(self, metric: Metric) -> Clock:
        """The newest clock of this kind."""
        return [clock for clock in self.clocks() if clock.metric is metric][-1]

    def clocks(self) -> list[Clock]:
        """All clocks as they stand."""
        found = deadlines.standing(self.rules, self.conversation.policy, self.situation.history, self.now)
        return [] if found is None else list(found.clocks)


def kinds(decided: Changes) -> list[DeliveryKind]:
    """What a decision sends."""
    return [item.kind for item in decided.outbox]


def to_customer(decided: Changes) -> list[Outgoing]:
    """What of it a customer will see."""
    return [item for item in decided.outbox if item.kind.to_customer]


def whispers(decided: Changes) -> list[str]:
    """What it tells one person."""
    return [str(item.data["text"]) for item in decided.outbox if item.kind is DeliveryKind.DESK_WHISPER]


def noted(decided: Changes, kind: EntryKind) -> list[Entry]:
    """Its timeline lines of a kind."""
    return [entry for entry in decided.entries if entry.kind is kind]


def placed(conversation: Conversation) -> Conversation:
    """The conversation after its card was posted."""
    return replace(conversation, thread=Thread(channel=conversation.thread.channel, ts="1.0"))

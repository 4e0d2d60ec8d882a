"""The company's rules as one value: read once from config.yaml, given to every decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.alerts import Plan
from domain.calendar import Calendar
from domain.labels import KeepText
from domain.model import Priority
from domain.routing import Condition, Queue, Rule
from domain.sla import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One label of the taxonomy, as people read it."""

    id: str
    names: Mapping[str, str]
    queue: str
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRule:
    """Which SLA policy a conversation gets: ordered, first match wins, the last has no condition."""

    when: Condition
    policy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rulebook:
    """Everything a decision needs to know about how this company works."""

    queues: Mapping[str, Queue]
    default_queue: str
    triage_queue: str
    rules: tuple[Rule, ...]
    policies: Mapping[str, Policy]
    policy_rules: tuple[PolicyRule, ...]
    calendars: Mapping[str, Calendar]
    intents: Mapping[str, Intent]
    channel_limits: Mapping[str, int]  # text limit per channel, in UTF-16 units
    note_prefix: str = "//"
    reopen_window: timedelta = timedelta(hours=72)
    closure_threshold: float = 0.8
    window_gap: timedelta = timedelta(seconds=120)
    window_messages: int = 5
    window_characters: int = 1000
    lead_mention: str | None = None
    operator_channel: str | None = None
    channel_titles: Mapping[str, str] = field(default_factory=dict)
    alerts: Plan = Plan()
    keep_text: KeepText = "consented"  # whose words may be kept to learn from
    audit_share: float = 0.0  # of what the machine routes, how much people are asked to confirm

    def calendar_of(self, policy: Policy) -> Calendar:
        """The calendar of a policy; its existence is checked when the configuration is read."""
        return self.calendars[policy.calendar]

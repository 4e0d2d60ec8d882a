"""The company's rules as one value: read once from config.yaml, given to every decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain import canned, roles
from domain.alerts import Plan
from domain.calendar import ALWAYS, Calendar
from domain.contacts import ContactRules
from domain.deeplinks import DeepLink
from domain.files import Terms
from domain.guard import Guard
from domain.labels import KeepText
from domain.model import Priority
from domain.profile import Field
from domain.routing import MASKS, Condition, Mask, Queue, Rule
from domain.segments import Segment
from domain.signing import Signature
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
    channel_files: Mapping[str, Terms] = field(default_factory=dict)  # what a channel takes of files
    answers_quote: frozenset[str] = frozenset()  # channels where an answer says which message it answers
    profile: Mapping[str, Field] = field(default_factory=dict)  # the fields of a customer's profile
    deep_links: tuple[DeepLink, ...] = ()
    reactions: Mapping[str, str] = field(default_factory=dict)  # agents' emoji that customers see, by the desk's names
    note_prefix: str = "//"
    desk_language: str = "en"  # what everybody in a desk channel reads, unless its queue has a language of its own
    reopen_window: timedelta = timedelta(hours=72)
    closure_threshold: float = 0.8
    window_gap: timedelta = timedelta(seconds=120)
    window_messages: int = 5
    window_characters: int = 1000
    tiers: Mapping[str, Priority] = field(default_factory=dict)  # the least priority of a segment's messages
    repeated_contacts: int = 3  # so many unanswered messages, apart from each other, raise the priority; 0: none do
    lead_mention: str | None = None
    operator_channel: str | None = None
    contacts: ContactRules = field(default_factory=ContactRules)
    segments: tuple[Segment, ...] = ()  # in the order in which a card shows them
    privacy_channel: str | None = None  # where requests about data are shown for a decision
    answer_days: int = 30  # how long the law gives us to answer them
    notice: str | None = None  # the version of the privacy notice that every customer is sent once; None: nobody is
    channel_titles: Mapping[str, str] = field(default_factory=dict)
    alerts: Plan = field(default_factory=Plan)
    acknowledge: str = "never"  # a first message: always, closed (only while nobody is there), never
    ask_satisfaction: bool = False  # ask the customer how it was, once a conversation is resolved
    keep_text: KeepText = "consented"  # whose words may be kept to learn from
    audit_share: float = 0.0  # of what the machine routes, how much people are asked to confirm
    default_calendar: str | None = None
    undo: timedelta = timedelta(0)  # how long an answer waits before it leaves, in real time
    asks_unread: bool = True  # hold an answer, and ask, when a newer message cannot have been seen
    asks_late: timedelta | None = None  # hold an answer, and ask, that reached us so long after it was written
    signature: Signature = "none"  # under which name answers leave, where their queue says nothing else
    agent_names: Mapping[str, str] = field(default_factory=dict)  # names for customers, by the desk's ids
    guard: Guard = field(default_factory=lambda: Guard(enabled=False))
    reply_windows: Mapping[str, timedelta] = field(default_factory=dict)  # after which a channel takes nothing more
    policy_versions: Mapping[str, Policy] = field(default_factory=dict)  # every one ever in force, by reference

    def language_of(self, queue: str) -> str:
        """The language in which the channels of a queue read."""
        known = self.queues.get(queue)
        return (known.desk_language if known else None) or self.desk_language

    def signature_of(self, queue: str) -> Signature:
        """Under which name the answers of a queue leave."""
        known = self.queues.get(queue)
        return (known.signature if known else None) or self.signature

    def team_name(self, queue: str, *languages: str | None) -> str:
        """What a customer who reads these languages, the first best, reads as a queue's team."""
        known = self.queues.get(queue)
        if known is None:
            return ""
        return canned.in_language(known.signed_as or known.titles, *languages) or known.title

    def calendar_of(self, policy: Policy, queue: str | None = None) -> Calendar:
        """The calendar of a policy, else of the queue, else the default one; checked when the configuration is read."""
        return self.calendars[policy.calendar] if policy.calendar else self.calendar_of_queue(queue)

    def sees(self, user: str, held: Iterable[str], queue: str) -> bool:
        """Whether somebody may look at the conversations of a queue; at those of one that is no more, as before."""
        known = self.queues.get(queue)
        return known is None or roles.sees(user, held, known.seen_by)

    def hidden(self, user: str, held: Iterable[str]) -> frozenset[str]:
        """The queues whose conversations somebody may not look at."""
        return frozenset(name for name in self.queues if not self.sees(user, held, name))

    def mask_in(self, channel: str, queue: str) -> Mask:
        """What is masked of a conversation of this queue in this desk channel: the strictest that either asks for."""
        asked = [
            one.mask
            for one in self.queues.values()
            if one.name == queue or channel == one.slack_channel or channel in one.more_channels
        ]
        return max(asked, key=MASKS.index, default="none")

    def calendar_of_queue(self, queue: str | None) -> Calendar:
        """When a queue's team is open; open day and night where nothing says otherwise."""
        team = self.queues.get(queue or "")
        name = (team.calendar if team else None) or self.default_calendar
        return self.calendars[name] if name else ALWAYS

    def hours_of(self, queue: str) -> Calendar:
        """When a queue's team is there: by its own calendar, else by that of the policy for all the rest."""
        own = self.calendar_of_queue(queue)
        usual = self.policies.get(self.policy_rules[-1].policy) if self.policy_rules else None
        return own if own is not ALWAYS or usual is None else self.calendar_of(usual, queue)

    def reference(self, policy: Policy, queue: str | None) -> str:
        """What a history notes of a policy: name, version, and the queue's calendar where it has none of its own."""
        return policy.reference if policy.calendar else f"{policy.reference}/{self.calendar_of_queue(queue).name}"

    def terms(self, reference: str) -> tuple[Policy, Calendar] | None:
        """Policy and calendar that a reference stands for; None when nobody knows the policy any more.

        One without a version is from before policies had versions: it was the first.
        """
        words, _, calendar = reference.partition("/")
        name, _, version = words.partition("@")
        policy = self.policies.get(name)
        if policy is None or policy.version != int(version or 1):
            policy = self.policy_versions.get(f"{name}@{version or 1}", policy)
        if policy is None:
            return None
        return policy, self.calendars.get(policy.calendar or calendar) or self.calendar_of_queue(None)

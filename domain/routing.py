"""Routing: ordered rules send a conversation to a queue, and a queue chooses who gets it.

Everything here is a plain value from config.yaml or a pure function of what is known about a conversation.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from domain.model import Priority
from domain.roles import EVERYBODY, Limits
from domain.signing import Signature

Assign = Literal["none", "round_robin", "least_loaded", "by_language"]
Leaves = Literal["implicit", "explicit", "assignee"]
Mask = Literal["none", "personal", "everything"]
MASKS: tuple[Mask, ...] = ("none", "personal", "everything")
"""What the desk shows of a customer's words, the mildest first."""
ASSIGN_METHODS: tuple[Assign, ...] = ("none", "round_robin", "least_loaded", "by_language")
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a rule may ask about. `intent` and `language` are None while nobody is sure; `queue` is for policies."""

    intent: str | None = None
    labels: frozenset[str] = frozenset()
    priority: Priority = Priority.NORMAL
    language: str | None = None
    channel: str | None = None
    segments: frozenset[str] = frozenset()
    queue: str | None = None
    business_hours: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What must hold. An empty set or None asks nothing, of a set one member is enough, all given ones must hold."""

    intents: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    languages: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    business_hours: bool | None = None

    @property
    def is_empty(self) -> bool:
        """True when it asks for nothing and so always holds."""
        return self == _ANYTHING

    def holds(self, facts: Facts) -> bool:
        """Tell whether everything that was asked for is so."""
        return (
            (not self.intents or facts.intent in self.intents)
            and (not self.labels or not self.labels.isdisjoint(facts.labels))
            and (not self.priorities or facts.priority in self.priorities)
            and (not self.languages or speaks(self.languages, facts.language))
            and (not self.channels or facts.channel in self.channels)
            and (not self.segments or not self.segments.isdisjoint(facts.segments))
            and (not self.queues or facts.queue in self.queues)
            and (self.business_hours is None or self.business_hours == facts.business_hours)
        )

    def describe(self, facts: Facts) -> str:
        """Say in a few words why it holds, for the grey line in the thread."""
        words = [
            f"intent {facts.intent}" if self.intents else "",
            f"label {', '.join(sorted(self.labels & facts.labels))}" if self.labels else "",
            f"priority {facts.priority}" if self.priorities else "",
            f"language {facts.language}" if self.languages else "",
            f"channel {facts.channel}" if self.channels else "",
            f"segment {', '.join(sorted(self.segments & facts.segments))}" if self.segments else "",
            f"queue {facts.queue}" if self.queues else "",
        ]
        if self.business_hours is not None:
            words.append("inside business hours" if self.business_hours else "outside business hours")
        return ", ".join(word for word in words if word) or "always"


_ANYTHING = Condition()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the routing table. What it leaves out (None) comes from its queue or stays as it is.

    `priority` replaces the assessed one, up or down. `slack_channel` overrides the queue's channel.
    """

    name: str
    when: Condition = _ANYTHING
    queue: str | None = None
    priority: Priority | None = None
    mention: str | None = None
    assign: Assign | None = None
    slack_channel: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A team's pile. `mention` is whom an alert names, by the desk's id; `assign` gives out new conversations.

    `calendar` is when the team is open, for policies that have no calendar of their own. `leaves` says which lines of
    a thread go to the customer: every agent's (implicit), those that are sent expressly (explicit), the assignee's.
    `mask` says what of a customer's words is masked at the desk, `seen_by` who may look at its conversations.
    `more_channels` share the conversations with `slack_channel`: each channel takes one post a second.
    `desk_language` is what its channels read, where that is another than elsewhere.
    """

    name: str
    title: str
    slack_channel: str
    more_channels: tuple[str, ...] = ()
    mention: str | None = None
    assign: Assign = "none"
    calendar: str | None = None
    leaves: Leaves = "implicit"
    mask: Mask = "none"
    seen_by: Limits = EVERYBODY
    desk_language: str | None = None
    titles: Mapping[str, str] = field(default_factory=dict)  # by language, where there are several
    signature: Signature | None = None  # under which name its answers leave, where that is another than elsewhere
    signed_as: Mapping[str, str] = field(default_factory=dict)  # what customers read as the team's name, by language

    def called(self, language: str) -> str:
        """What somebody reads who reads this language."""
        return self.titles.get(language, self.title)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where a conversation goes. `rule` is None when the default queue took it; `reason` says why in a few words."""

    queue: str
    slack_channel: str
    priority: Priority
    mention: str | None
    assign: Assign
    rule: str | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentState:
    """What automatic assignment needs to know of an agent. `open_count` counts open conversations in their hands."""

    id: str
    on_duty: bool
    languages: frozenset[str] = frozenset()
    open_count: int = 0
    last_assigned_at: datetime | None = None


def route(facts: Facts, rules: Sequence[Rule], queues: Mapping[str, Queue], default_queue: str) -> Route:
    """Return where the first rule that holds sends the conversation, else the default queue.

    A rule without a queue keeps the default queue. Raises KeyError for a queue that is not configured;
    `problems` finds that when the configuration is read.
    """
    rule = next((rule for rule in rules if rule.when.holds(facts)), None)
    if rule is None:
        queue = queues[default_queue]
        return Route(
            queue=queue.name,
            slack_channel=queue.slack_channel,
            priority=facts.priority,
            mention=queue.mention,
            assign=queue.assign,
            rule=None,
            reason="no rule matched",
        )
    queue = queues[rule.queue or default_queue]
    return Route(
        queue=queue.name,
        slack_channel=rule.slack_channel or queue.slack_channel,
        priority=rule.priority or facts.priority,
        mention=rule.mention or queue.mention,
        assign=rule.assign or queue.assign,
        rule=rule.name,
        reason=f"rule {rule.name}: {rule.when.describe(facts)}",
    )


def channel_for(found: Route, queue: Queue, conversation_id: str) -> str:
    """Return the channel in which a conversation stands: of a queue with several, one by its id, evenly, for good.

    A channel that a rule names takes all that the rule holds for.
    """
    return found.slack_channel if found.slack_channel != queue.slack_channel else shared_channel(queue, conversation_id)


def shared_channel(queue: Queue, conversation_id: str) -> str:
    """Return that of a queue's channels in which a conversation stands if no rule names another."""
    shared = (queue.slack_channel, *queue.more_channels)
    return shared[zlib.crc32(conversation_id.encode()) % len(shared)]


def first_match(conditions: Sequence[Condition], facts: Facts) -> int | None:
    """Return the place of the first condition that holds, None if none does; SLA policies are chosen with it."""
    return next((place for place, condition in enumerate(conditions) if condition.holds(facts)), None)


def problems(rules: Sequence[Rule], queues: Mapping[str, Queue], default_queue: str) -> list[str]:
    """List what is wrong with a routing table, one line each with the fix; empty when it is sound."""
    known = ", ".join(sorted(queues)) or "none"
    found = []
    if default_queue not in queues:
        found.append(f"the default queue '{default_queue}' is not configured: use one of {known}")
    names = [rule.name for rule in rules]
    found += [f"two rules are named '{name}': rename one" for name in sorted({n for n in names if names.count(n) > 1})]
    open_to_all: str | None = None
    for rule in rules:
        if rule.queue is not None and rule.queue not in queues:
            found.append(f"rule '{rule.name}': queue '{rule.queue}' is not configured: use one of {known}")
        if open_to_all is not None:
            found.append(f"rule '{rule.name}' is never reached: move it above '{open_to_all}', which always holds")
        elif rule.when.is_empty:
            open_to_all = rule.name
    return found


def pick_assignee(
    method: Assign, agents: Sequence[AgentState], language: str | None = None, cursor: str | None = None
) -> str | None:
    """Return the agent who gets the next conversation, or None when nobody suits; only agents on duty count.

    `round_robin` takes the agent after `cursor` (whoever got the last one), in the order of ids.
    `least_loaded` takes the one with the fewest open conversations, then the one who waited longest.
    `by_language` is `least_loaded` among those who speak the language; when nobody does, nobody is picked and
    the queue sees it. An unknown language suits everybody.
    """
    ready = sorted((agent for agent in agents if agent.on_duty), key=lambda agent: agent.id)
    if method == "by_language" and language is not None:
        ready = [agent for agent in ready if speaks(agent.languages, language)]
    if method == "none" or not ready:
        return None
    if method == "round_robin":
        return next((agent.id for agent in ready if cursor is not None and agent.id > cursor), ready[0].id)
    return min(ready, key=lambda agent: (agent.open_count, agent.last_assigned_at or _NEVER, agent.id)).id


def speaks(languages: Collection[str], language: str | None) -> bool:
    """Tell whether one of the language tags covers this one: `zh` covers `zh-Hant`, `pt-BR` covers only itself."""
    if language is None:
        return False
    tag = language.lower().replace("_", "-")
    offered = [own.lower().replace("_", "-") for own in languages]
    return any(tag == own or tag.startswith(f"{own}-") for own in offered)

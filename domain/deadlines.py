"""How a conversation's clocks stand under the company's rules: which policy and calendar count, and what they give.

A history names its policy with the version (`standard@2`) and, where the policy has no calendar of its own, the
queue's calendar (`standard@2/office`). So a running conversation keeps what it was promised, whatever is edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from domain import promises, sla
from domain.calendar import Calendar
from domain.rulebook import Rulebook
from domain.sla import Clock, Policy, SlaEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The clocks of a conversation, and the policy and calendar that they count by."""

    policy: Policy
    calendar: Calendar
    clocks: tuple[Clock, ...]


def standing(rules: Rulebook, name: str | None, history: Iterable[SlaEvent], now: datetime) -> Standing | None:
    """How the clocks stand at `now`; None where no policy counts: none was given, or it is configured no more.

    `name` is the policy that the conversation has, for histories from before policies were named in them.
    """
    events = tuple(history)
    if name is None or name not in rules.policies:
        return None
    known = rules.terms(sla.policy_named(events) or name)
    if known is None:
        return None
    policy, calendar = known
    clocks = promises.all_clocks(events, policy, calendar, now, rules.terms)
    return Standing(policy=policy, calendar=calendar, clocks=clocks)

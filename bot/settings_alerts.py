"""The `alerts:` and `automatic:` parts of config.yaml: who is told of a deadline, and what customers are told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bot.settings_problems import Problem, unknown
from bot.settings_sla import BusinessTime
from bot.settings_values import ChannelId, Section, Url
from domain import alerts
from domain.calendar import parse_duration

_ID = re.compile(r"[CGSUW][A-Z0-9]{3,}")
_PERSON = re.compile(r"[UW][A-Z0-9]{3,}")


def _goal(value: str) -> str:
    words = [goal.value for goal in alerts.Goal]
    if value not in words and not _ID.fullmatch(value):
        raise ValueError(
            f"is no place for an alert; write {', '.join(words)}, or a Slack id: "
            "a channel (C...), a user group (S...) or a person (U...)"
        )
    return value


def _person(value: str) -> str:
    if not _PERSON.fullmatch(value):
        raise ValueError("is not a Slack user id (U...); in Slack: profile > ... > Copy member ID")
    return value


Goal = Annotated[str, AfterValidator(_goal)]
PersonId = Annotated[str, AfterValidator(_person)]


class LevelSettings(Section):
    """One step of the escalation, after a deadline was missed."""

    after: BusinessTime = Field(description="Business time after the deadline.")
    to: Goal = Field(description="thread, queue, leads, webhook, or a Slack id (C..., S..., U...).")


class AlertSettings(Section):
    """Who is told of deadlines that are near or missed."""

    fallback: ChannelId | None = Field(
        default=None, description="Where an alert goes when nobody else is there; without it slack.ops_channel."
    )
    levels: tuple[LevelSettings, ...] = Field(default=(), description="After the breach, in order.")
    webhook: Url | None = Field(default=None, description="The on-call service; signed calls.")
    hours: dict[PersonId, str] = Field(
        default_factory=dict, description="People with hours of their own: U0MAYA: office (a calendar)."
    )
    presence: bool = Field(default=True, description="Whoever is `away` in Slack counts as not there.")


class AutomaticSettings(Section):
    """Fixed texts that customers get without anybody pressing anything."""

    acknowledge: Literal["always", "closed", "never"] = Field(
        default="always", description="A first message: always, only while the team is closed, or never."
    )
    ask_satisfaction: bool = Field(
        default=False, description="Ask the customer how it was, once for each conversation that is resolved."
    )


def plan(given: AlertSettings, operators: str | None) -> alerts.Plan:
    """What the decisions need to know of it; `operators` is the channel that hears what nobody else hears."""
    return alerts.Plan(
        levels=tuple(alerts.Level(after=parse_duration(level.after), to=level.to) for level in given.levels),
        fallback=given.fallback or operators,
        hours=dict(given.hours),
    )


def problems(given: AlertSettings, operators: str | None, calendars: Collection[str]) -> Iterator[Problem]:
    """What is wrong with alerts beside the operators' channel and the calendars that there are."""
    if given.fallback is None and operators is None:
        yield Problem(
            at=("alerts", "fallback"),
            says="is missing; name the Slack channel that hears of a deadline when nobody else is there",
        )
    for person, calendar in given.hours.items():
        if calendar not in calendars:
            yield unknown(("alerts", "hours", person), "calendar", calendar, calendars)
    names = [(parse_duration(level.after), level.to) for level in given.levels]
    for place, (after, _) in enumerate(names[1:], 1):
        before = names[place - 1][0]
        if (after.business_days, after.minutes) < (before.business_days, before.minutes):
            yield Problem(
                at=("alerts", "levels", place, "after"),
                says=f"is before the level above ({before}); write the levels in the order in which they come",
            )
        if names[place] in names[:place]:
            yield Problem(at=("alerts", "levels", place), says="is there already; remove one of the two")
    if given.webhook is None and any(goal == alerts.Goal.WEBHOOK for _, goal in names):
        yield Problem(
            at=("alerts", "webhook"), says="is missing; a level goes there: write the service's https address"
        )

"""The `sla:` part of config.yaml: calendars, policies, and which conversation gets which policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bot.settings_parts import Name, When
from bot.settings_values import Many, Section
from domain import calendar, sla
from domain.model import Priority, Status


def _business_time(value: str) -> str:
    try:
        calendar.parse_duration(value)
    except calendar.CalendarError as error:
        raise ValueError(str(error)) from None
    return value


def _date(value: object) -> object:
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a date such as 2026-12-24")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a date such as 2026-12-24") from None


BusinessTime = Annotated[str, AfterValidator(_business_time)]
"""Time in which the team is open: `30m`, `4h`, `1h30m`, `2bd`."""
Day = Annotated[date, BeforeValidator(_date)]


class HolidaySettings(Section):
    """Public holidays of a country, and the company's own."""

    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    subdivision: str | None = None
    add: tuple[Day, ...] = ()
    remove: tuple[Day, ...] = Field(default=(), description="Public holidays on which the team works its usual hours.")
    work: tuple[Day, ...] = Field(
        default=(), description="Days that are worked although they are at a weekend: make-up days."
    )


class CalendarSettings(Section):
    """When a team is open. Each day may have several intervals; `22:00-06:00` runs into the next morning."""

    tz: str = Field(description="IANA name, such as Europe/Berlin or Asia/Shanghai.")
    hours: dict[str, Many] = Field(description='By weekday or range: mon-fri: ["09:00-12:30", "13:30-18:00"].')
    holidays: HolidaySettings = HolidaySettings()
    exceptions: dict[Day, Many] = Field(default_factory=dict, description="Days with hours of their own; [] is closed.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            self.build("")
        except calendar.CalendarError as error:
            raise ValueError(str(error).removeprefix("calendar '': ").removeprefix("calendar '' ")) from None
        return self

    def build(self, name: str) -> calendar.Calendar:
        """The calendar as the rules use it. Raises CalendarError with the fix."""
        built = calendar.Calendar.build(
            name=name,
            tz=self.tz,
            hours=self.hours,
            holidays=self.holidays.add,
            country=self.holidays.country,
            subdivision=self.holidays.subdivision,
            exceptions=self.exceptions,
            workdays=self.holidays.work,
        )
        usual = {day: built.weekly[day.weekday()] for day in self.holidays.remove}
        return replace(built, exceptions=usual | dict(built.exceptions)) if usual else built


class TargetSettings(Section):
    """How soon, in business time. What is left out has no target."""

    first_response: BusinessTime | None = None
    next_response: BusinessTime | None = None
    periodic_update: BusinessTime | None = None
    resolution: BusinessTime | None = None
    total_resolution: BusinessTime | None = None
    requester_wait: BusinessTime | None = None
    agent_work: BusinessTime | None = None


class TargetsSettings(Section):
    """Targets per priority. What a priority leaves out is that of the next lower one, if any."""

    urgent: TargetSettings = TargetSettings()
    high: TargetSettings = TargetSettings()
    normal: TargetSettings = TargetSettings()
    low: TargetSettings = TargetSettings()


class PauseSettings(Section):
    """In which states of a conversation a clock stands still. The first response never pauses."""

    next_response: tuple[Status, ...] = ()
    periodic_update: tuple[Status, ...] = (Status.WAITING_CUSTOMER,)
    resolution: tuple[Status, ...] = (Status.WAITING_CUSTOMER, Status.ON_HOLD)
    total_resolution: tuple[Status, ...] = (Status.WAITING_CUSTOMER, Status.ON_HOLD)


class PolicySettings(Section):
    """What is promised, and when somebody is warned."""

    calendar: str | None = Field(
        default=None, description="Without one: the calendar of the conversation's queue, else sla.calendar."
    )
    targets: TargetsSettings
    warnings: Many = Field(
        default=("25%",), description='How long before: a share of the target ("25%") or a time ("15m").'
    )
    pause: PauseSettings = PauseSettings()
    after_pause: BusinessTime = Field(default="15m", description="No alert so soon after a pause.")
    return_after: BusinessTime | None = Field(
        default=None, description="An assignee who does nothing for so long loses the conversation to the queue."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            self.build("")
        except calendar.CalendarError as error:
            raise ValueError(str(error).removeprefix("policy '': ").removeprefix("policy '' ")) from None
        return self

    def build(self, name: str, version: int = 1) -> sla.Policy:
        """The policy as the clocks use it. Raises CalendarError with the fix."""
        targets = {priority: _targets(getattr(self.targets, priority.value)) for priority in Priority}
        return sla.Policy(
            name=name,
            version=version,
            targets=targets,
            calendar=self.calendar,
            pauses={metric: frozenset(getattr(self.pause, metric.value)) for metric in sla.PAUSABLE},
            warnings=tuple(self.warnings),
            min_after_resume=calendar.parse_duration(self.after_pause),
            return_after=calendar.parse_duration(self.return_after) if self.return_after else None,
        )


def _targets(given: TargetSettings) -> Mapping[sla.Metric, calendar.Duration]:
    found = ((metric, getattr(given, metric.value)) for metric in sla.TARGETED)
    return {metric: calendar.parse_duration(text) for metric, text in found if text is not None}


class PolicyWhen(When):
    """The conditions of a routing rule, and the queue that routing has found."""

    queue: Many = ()


class PolicyRuleSettings(Section):
    """Which conversations get a policy: the first line that holds; the last one has no `when`."""

    when: PolicyWhen | None = None
    policy: str


class SlaSettings(Section):
    """Clocks: in which hours they run and what they count to."""

    calendar: str | None = Field(
        default=None, description="The calendar of what has none: policies whose queue names none either."
    )
    calendars: dict[Name, CalendarSettings] = Field(min_length=1)
    policies: dict[Name, PolicySettings] = Field(min_length=1)
    rules: tuple[PolicyRuleSettings, ...]

"""docs/sla.md and its translation: the worked examples are executed, and both say the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from bot import explain
from bot.settings_sla import CalendarSettings, PolicySettings
from domain import sla
from domain.sla import ClockState, EventKind, SlaEvent

DOCS = Path(__file__).parents[1] / "docs"
ENGLISH, CHINESE = DOCS / "sla.md", DOCS / "sla.zh.md"


def examples(document: Path) -> list[dict[str, Any]]:
    """The worked examples of a document: its YAML, every value as text."""
    fences = re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [yaml.load(fence, Loader=yaml.BaseLoader) for fence in fences]  # makes only text


@pytest.mark.parametrize("place", range(3))
def test_a_worked_example_is_so(place: int) -> None:
    """State, deadline or end of each clock, and every slice, are those that the product computes."""
    example = examples(ENGLISH)[place]
    calendar = CalendarSettings.model_validate(example["calendar"]).build("team")
    policy = PolicySettings.model_validate({"calendar": "team", **example["policy"]}).build("standard")
    zone = ZoneInfo(calendar.tz)

    def moment(words: str) -> datetime:
        return datetime.fromisoformat(words).replace(tzinfo=zone).astimezone(UTC)

    events = []
    for number, line in enumerate(example["history"]):
        day, time, kind, *value = line.split()
        at, said = moment(f"{day} {time}"), value[0] if value else None
        events.append(SlaEvent(id=str(number), at=at, kind=EventKind(kind), value=said))
    clocks = {clock.metric.value: clock for clock in sla.evaluate(events, policy, calendar, moment(example["now"]))}
    shown = {}
    for name, clock in clocks.items():
        verb, when = ("ended", clock.stopped_at) if clock.state is ClockState.MET else ("due", clock.due_at)
        assert when is not None
        shown[name] = f"{clock.state.value}, {verb} {when.astimezone(zone):%Y-%m-%d %H:%M}"
    assert shown == example["gives"]
    for title, lines in example.items():
        if title.startswith("why "):
            told = explain.steps(clocks[title.removeprefix("why ")], calendar)
            assert [f"{step.when} {step.kind}, {step.used} in all" for step in told] == lines


def test_both_languages_have_the_same_examples() -> None:
    """What is executed in one is what stands in the other."""
    assert examples(ENGLISH) == examples(CHINESE)
    assert len(examples(ENGLISH)) == 3


def test_every_clock_and_state_is_defined_in_both() -> None:
    """A metric or a state that nobody explains is a riddle."""
    for document in (ENGLISH, CHINESE):
        text = document.read_text(encoding="utf-8")
        assert [metric for metric in sla.TARGETED if f"`{metric.value}`" not in text] == []
    states = {state.value.replace("_", " ") for state in ClockState}
    assert states <= set(re.findall(r"^\| ([a-z ]+) \|", ENGLISH.read_text(encoding="utf-8"), re.MULTILINE))

"""Alerts at the desk: who is asked to do what, and the one line of a thread that says how its alerts stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.desk import absence, alerts, blocks, words
from domain.changes import ClockRow
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.sla import ClockState, Metric
from handlers import alerts as acts
from tests.bot.desk.kit import CONVERSATION, JONAS, LEAD_GROUP, LEADS, MAYA, NOON, card_view, entry

DUE = NOON + timedelta(hours=1)
TOKEN = blocks.date(DUE)
ROW = ClockRow(
    id="01JCLOCK",
    conversation_id=CONVERSATION,
    metric=Metric.FIRST_RESPONSE,
    instance=1,
    state=ClockState.BREACHED,
    started_at=NOON,
    due_at=DUE,
    stopped_at=None,
    next_alert_at=None,
)


def given(**data: Any) -> Entry:
    """An alert about the first answer, due at one o'clock."""
    known = {"alert": "breach", "metric": "first_response", "instance": 1, "due_at": DUE.isoformat()}
    return entry(EntryKind.CLOCK, data=known | data)


def said(made: Entry, *mention: str, in_thread: bool = True, link: str | None = None) -> str:
    """The words of an alert's message."""
    return alerts.alert_post(made, mention, card_view(), link, in_thread=in_thread).text


def test_an_alert_names_who_is_asked_and_what_to_do() -> None:
    """A warning says when it is due, a breach that it was; one that comes late says so."""
    warning = said(given(alert="warning"), MAYA)
    assert warning == f"First answer is due {TOKEN} (60 minutes left). <@{MAYA}>, please answer in this thread."
    breach = said(given(late=True), LEAD_GROUP, MAYA)
    assert breach.startswith(f"*First answer is overdue*, it was due {TOKEN}. This alert is late:")
    assert breach.endswith(f"<!subteam^{LEAD_GROUP}> <@{MAYA}>, please answer in this thread.")
    assert said(given()).endswith("Please answer in this thread.")


@pytest.mark.parametrize("why", sorted(words.group("absent")))
def test_whoever_has_it_and_is_not_there_is_said(why: str) -> None:
    """The group that is asked instead reads who has it and why that person is not asked."""
    told = said(given(away=MAYA, away_why=why), LEAD_GROUP)
    assert f"<@{MAYA}> has it and {words.say(f'absent.{why}')}." in told


def test_elsewhere_an_alert_says_which_conversation_it_is_about() -> None:
    """In a channel or a direct message stand number and customer, with a link to the thread."""
    told = said(given(alert="escalation"), LEAD_GROUP, in_thread=False, link="https://x.slack.com/archives/C1/p1")
    number = card_view().conversation.number
    assert told.startswith(f"<https://x.slack.com/archives/C1/p1|#{number}> ")
    assert "please answer in its thread" in told


def test_an_alert_can_be_acknowledged_and_a_breach_excused() -> None:
    """One press says that somebody is looking; a menu of reasons excuses, on a breach only."""

    def actions(made: Entry) -> list[str]:
        return [e["action_id"] for e in alerts.alert_post(made, (), None, None, in_thread=True).blocks[-1]["elements"]]

    assert actions(given(alert="warning")) == ["acknowledge"]
    assert actions(given()) == actions(given(alert="escalation")) == ["acknowledge", "excuse"]
    menu = alerts.alert_post(given(), (), None, None, in_thread=True).blocks[-1]["elements"][1]
    values = [blocks.read_value(option["value"])[2] for option in menu["options"]]
    assert values == [f"excuse=first_response:1:{reason}" for reason in words.group("excuse")]
    assert set(words.group("excuse")) == acts.REASONS
    assert all(len(option["value"]) <= blocks.OPTION_VALUE_LIMIT for option in menu["options"])


def test_the_line_says_who_was_told_who_looks_and_how_it_went() -> None:
    """One line: each alert with its time and by name, the acknowledgement, the excuse, the end. It calls nobody."""
    maya = Actor(kind=ActorKind.AGENT, id=MAYA)
    jonas = Actor(kind=ActorKind.AGENT, id=JONAS)
    told = [
        given(alert="warning", told=[MAYA]),
        given(told=[f"{LEAD_GROUP} {MAYA}", LEADS, "webhook"]),
        entry(EntryKind.ACKNOWLEDGED, actor=maya),
        entry(
            EntryKind.EXCUSED, actor=jonas, data={"metric": "first_response", "instance": 1, "reason": "third_party"}
        ),
    ]
    late = replace(ROW, state=ClockState.MET_LATE, stopped_at=DUE + timedelta(minutes=5))
    line = alerts.status_post(told, [late], {MAYA: "Maya", JONAS: "Jonas"}.get).text
    assert f"First answer, deadline {TOKEN}" in line
    assert "told Maya <!date" in line
    assert f"told the team, Maya, <#{LEADS}>, on-call <!date" in line
    assert "Maya is looking, <!date" in line
    assert "excused by Jonas (held up by somebody else)" in line
    assert "done late, <!date" in line
    assert "<@" not in line
    assert "subteam" not in line


def test_the_line_is_about_the_newest_deadline() -> None:
    """What was said of an earlier wait is over; a line without alerts says so."""
    told = [given(alert="warning", told=[MAYA]), given(instance=2, metric="next_response", told=[JONAS])]
    line = alerts.status_post(told, [], {MAYA: "Maya", JONAS: "Jonas"}.get).text
    assert "Jonas" in line
    assert "Maya" not in line
    assert alerts.status_post([], [], lambda _: None).text == words.say("alert.none")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"dnd_enabled": False, "next_dnd_start_ts": 1, "next_dnd_end_ts": 1}, False),
        ({"dnd_enabled": True, "next_dnd_start_ts": -60, "next_dnd_end_ts": 60}, True),
        ({"dnd_enabled": False, "next_dnd_start_ts": -60, "next_dnd_end_ts": 60}, False),
        ({"dnd_enabled": True, "next_dnd_start_ts": 60, "next_dnd_end_ts": 120}, False),
        ({"snooze_enabled": True, "snooze_endtime": 60}, True),
        ({"snooze_enabled": True, "snooze_endtime": -60}, False),
        ({}, False),
        ({"snooze_enabled": True, "snooze_endtime": "soon"}, False),
    ],
)
def test_do_not_disturb_is_read_as_slack_means_it(answer: dict[str, Any], expected: bool) -> None:
    """A snooze until later, or daily hours that hold now; anything odd disturbs nobody less."""
    now = NOON.timestamp()
    moved = {
        name: value + now if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in answer.items()
    }
    assert absence.is_undisturbed(moved, NOON) is expected

"""Given to a colleague, snoozed, closed with an outcome: by a button, a form or a command, with one effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain import events
from domain.changes import DeliveryKind
from domain.model import Agent, EntryKind, Status
from domain.sla import ClockState, Metric
from handlers import actions, commands, resting
from tests.handlers.kit import JONAS, LINA, MAYA, NINE, OFFICE, STRANGER, Desk, kinds, noted, whispers

TEAM = (Agent(id=MAYA, roles=("agent",)), Agent(id=LINA, roles=("agent",)))


def opened() -> Desk:
    """An open conversation, and a team to give it to."""
    desk = Desk(team=TEAM)
    desk.writes()
    return desk


def test_a_hand_over_names_the_colleague_and_carries_a_note() -> None:
    """The colleague has it, the note stands under the line and nothing of it is for the customer."""
    desk = opened()
    desk.presses("assign_me")
    decided = desk.presses("handover", LINA, note="She speaks only Polish.")
    assert desk.conversation.assignee == LINA
    assert noted(decided, EntryKind.ASSIGNEE)[0].data == {"sla": "assigned", "to": LINA, "from": MAYA}
    assert [entry.body for entry in noted(decided, EntryKind.NOTE)] == ["She speaks only Polish."]
    assert kinds(decided).count(DeliveryKind.DESK_ENTRY) == 2
    assert not any(item.kind.to_customer for item in decided.outbox)
    assert whispers(desk.presses("handover", LINA, note="again")) == ["already_theirs"], "a double click says so"


@pytest.mark.parametrize(
    ("to", "note", "told"), [(LINA, "  ", "no_note"), (STRANGER, "x", "not_an_agent"), (JONAS, "x", "not_an_agent")]
)
def test_what_is_no_hand_over_changes_nothing(to: str, note: str, told: str) -> None:
    """Without a note, or to somebody who answers nobody, it stays where it is."""
    desk = opened()
    assert whispers(desk.presses("handover", to, note=note)) == [told]
    assert desk.conversation.assignee is None


def test_only_a_lead_assigns() -> None:
    """Agents hand over with a note; leads assign."""
    desk = opened()
    assert whispers(desk.presses("assign", LINA)) == ["refused_action"]
    assert desk.presses("assign", LINA, user=JONAS).reason == "assigned"
    desk.presses("resolve")
    assert whispers(desk.presses("assign", MAYA, user=JONAS)) == ["stale_button"]


@pytest.mark.parametrize(
    ("word", "hours"),
    [
        ("30m", 0.5),
        ("2h", 2),
        ("3 天", 72),
        ("2026-06-12T11:00:00+00:00", 2),
        ("@1781262000", 2),
        *(("半个小时", 0.5), ("20分", 1 / 3), ("２个小时", 2), ("2小时后", 2)),
    ],
)
def test_times(word: str, hours: float) -> None:
    """A span, a date, what a form sends: each is a moment."""
    assert resting.until(word, OFFICE, NINE) == NINE + timedelta(hours=hours)


def test_tomorrow_is_when_the_team_is_there() -> None:
    """Friday's tomorrow is Monday, when the office opens; what is no time is none."""
    monday = datetime(2026, 6, 15, 9, tzinfo=UTC)
    for word in ("tomorrow", "monday", "明天", "后天", "周一", "下周一"):
        assert resting.until(word, OFFICE, NINE) == monday
    for word in ("soon", "", "@", "99999d999", "2026-13-40"):
        assert resting.until(word, OFFICE, NINE) is None


def test_snoozed_until_a_time_and_woken_by_the_clock() -> None:
    """On hold until then; the sweep wakes it once, calls whoever has it, and the clocks go on."""
    desk = opened()
    desk.presses("assign_me")
    desk.presses("snooze", "2h")
    until = desk.now + timedelta(hours=2)
    assert (desk.conversation.status, desk.conversation.snoozed_until) == (Status.ON_HOLD, until)
    assert desk.clock(Metric.RESOLUTION).state is ClockState.PAUSED
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING, "whoever waits for a first answer waits"
    assert whispers(desk.presses("snooze", until.isoformat())) == ["already_snoozed"]
    assert desk.later(hours=1).sweep().reason == "nothing_due"
    woken = desk.later(hours=1).sweep()
    assert woken.reason == "woken"
    now = desk.conversation
    assert (now.status, now.snoozed_until) == (Status.OPEN, None)
    assert noted(woken, EntryKind.STATUS)[0].data["call"] == MAYA
    assert desk.clock(Metric.RESOLUTION).state is ClockState.RUNNING
    assert desk.sweep().reason != "woken"


@pytest.mark.parametrize("value", ["", "yesterday", "2020-01-01", "999d"])
def test_a_snooze_without_a_time_ahead_is_explained(value: str) -> None:
    """Nothing sleeps for ever, or into the past."""
    desk = opened()
    assert whispers(desk.presses("snooze", value)) == ["snooze_how"]
    assert desk.conversation.is_open


def test_snoozed_until_the_customer_writes() -> None:
    """Their next word ends it, and so it ends a snooze with a time."""
    for value in ("customer", "1h"):
        desk = opened()
        desk.presses("snooze", value)
        assert desk.conversation.status is Status.ON_HOLD
        desk.later(minutes=5).writes("are you there?")
        assert (desk.conversation.status, desk.conversation.snoozed_until) == (Status.OPEN, None)
    assert whispers(desk.presses("wake")) == ["already_open"]
    desk.presses("snooze", "1h")
    assert desk.presses("wake").reason == "woken"
    desk.presses("snooze", "1h")
    desk.presses("resolve", "solved")
    assert (desk.conversation.snoozed_until, desk.conversation.outcome) == (None, "solved"), "nothing done sleeps"


def test_resolved_with_an_outcome_and_open_again() -> None:
    """How it ended stands in the line and on the conversation until it is open again."""
    desk = opened()
    decided = desk.presses("resolve", "cannot_help")
    assert noted(decided, EntryKind.STATUS)[0].data["outcome"] == desk.conversation.outcome == "cannot_help"
    desk.presses("reopen")
    opened_again = desk.conversation
    assert opened_again.outcome is None
    assert whispers(desk.presses("resolve", "whatever")) == ["stale_button"]
    desk.presses("resolve", "solved")
    desk.later(minutes=1).writes("no, it is not")
    written_to = desk.conversation
    assert (written_to.outcome, written_to.status) == (None, Status.OPEN)


def test_what_is_no_request_counts_nowhere() -> None:
    """Closed, its clocks cancelled, nothing taught; what they write next is heard as ever."""
    desk = opened()
    decided = desk.presses("not_a_request")
    assert (desk.conversation.status, desk.conversation.outcome) == (Status.DONE, "not_a_request")
    assert {clock.state for clock in desk.clocks()} == {ClockState.CANCELLED}
    assert decided.labels == ()
    assert whispers(desk.presses("not_a_request")) == ["already_resolved"]
    desk.later(minutes=30).writes("Now I do have a question")
    assert desk.conversation.status is Status.OPEN
    assert any(clock.state is ClockState.RUNNING for clock in desk.clocks())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("take #", "assigned"),
        ("接手 #", "assigned"),
        (f"handover # <@{LINA}|lina> she is new", "assigned"),
        ("resolve # solved", "resolved"),
        ("解决 # 已解决", "resolved"),
        ("snooze # 2h", "snoozed"),
        ("暂停 # 客户", "snoozed"),
        ("priority # urgent", "priority"),
        ("优先级 # 紧急", "priority"),
        ("topic # billing", "relabelled"),
        ("move # Tech", "moved"),
        ("hold #", "status"),
        ("spam #", "status"),
        ("notarequest #", "not_a_request"),
    ],
)
def test_a_command_is_the_button(text: str, reason: str) -> None:
    """The same code, the same lines, and whoever typed is told that it is done; again, it says what the button says."""
    desk = opened()
    decided = desk.types(text)
    assert (decided.reason, whispers(decided)[-1:]) == (reason, ["command_done"])
    told = next(item.data for item in decided.outbox if item.data.get("text") == "command_done")
    assert told["entry"] == decided.entries[0].id, "what was done, as the thread says it"
    assert desk.types(text).reason in ("already_so", "stale", "snoozed")


def test_a_command_asks_for_the_same_role() -> None:
    """Whoever may not press may not type, with or without a conversation."""
    desk = opened()
    assert whispers(desk.types("resolve #", user=STRANGER)) == ["refused_action"]
    nothing = Desk()
    assert whispers(nothing.types("resolve 9999")) == ["command_which"]
    assert whispers(nothing.types("resolve", user=STRANGER)) == ["refused_action"]


def test_an_action_in_words_from_a_form() -> None:
    """What the general form takes is what one types after the command."""
    desk = opened()
    assert desk.presses("act", "priority urgent").reason == "priority"
    assert whispers(desk.presses("act", "dance")) == ["act_how"]
    assert whispers(desk.presses("act", f"assign <@{LINA}>")) == ["refused_action"]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("解决 #1042 已解决", "解决 #1042 已解决"),
        ("解决#1042已解决", "解决 #1042 已解决"),
        ("解决\u3000\uff031042\u3000已解决", "解决 #1042 已解决"),
        ("  转交 #1042  <@U0LINA> 她四点打来", "转交 #1042 <@U0LINA> 她四点打来"),
        ("回复 #1042", "回复 #1042"),
        ("合并#1042#7", "合并 #1042 #7"),
        ("resolve #12345678901", "resolve #12345678901"),
        ("解决#12345678901已解决", "解决#12345678901已解决"),
        ("resolve #1042abc", "resolve #1042abc"),
        ("搜索\u3000退款 包裹", "搜索 退款 包裹"),
        ("search Q#7 late", "search Q#7 late"),
        ("帮助", "帮助"),
        ("", ""),
    ],
)
def test_a_command_is_read_as_chinese_is_typed(typed: str, read: str) -> None:
    """Without blanks, or with full-width ones and a full-width sign, it is the same command; its words stay."""
    assert commands.plain(typed) == read
    assert commands.plain(read) == read


@pytest.mark.parametrize("typed", ["resolve #12345678901", "解决#12345678901", "resolve #1042abc", "resolve 1042abc"])
def test_a_number_that_is_none_names_no_other_conversation(typed: str) -> None:
    """One digit too many, or a word that begins with digits: nothing is done to whatever its first digits name."""
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    asked = commands.read(events.DeskCommand(agent_id=MAYA, at=at, channel="C0", text=typed))
    assert asked is None or asked.number is None


@pytest.mark.parametrize("typed", ["assign #1042 me", "指派 #1042 我", "assign 1042 Myself"])
def test_whoever_assigns_to_themselves_takes_it(typed: str) -> None:
    """For which nobody needs to be a lead; a colleague's name is still asked for."""
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    asked = commands.read(events.DeskCommand(agent_id=MAYA, at=at, channel="C0", text=typed))
    assert asked is not None
    assert (asked.action, asked.value, asked.number) == ("assign_me", None, 1042)
    other = commands.read(events.DeskCommand(agent_id=MAYA, at=at, channel="C0", text="assign #1042 <@U0LINA>"))
    assert other is not None
    assert (other.action, other.value) == ("assign", "U0LINA")


def test_every_word_of_a_command_names_an_action() -> None:
    """No word leads nowhere."""
    known = actions.ALLOWED.keys() | {"hold", "spam", "mute", "unmute", "join", "start", "transcript"}
    assert set(commands.NAMES.values()) <= known

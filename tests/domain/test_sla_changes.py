"""What each change does to the clocks: a table, one row a rule. Minutes count from the first message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from domain import sla
from domain.calendar import ALWAYS, Calendar, parse_duration
from domain.model import Priority, Status
from domain.sla import Clock, EventKind, Metric, Policy, SlaEvent

START = datetime(2026, 6, 12, 9, tzinfo=UTC)
POLICY = Policy(
    name="standard",
    version=2,
    calendar="always",
    targets={
        Priority.NORMAL: {
            Metric.FIRST_RESPONSE: parse_duration("2h"),
            Metric.NEXT_RESPONSE: parse_duration("3h"),
            Metric.PERIODIC_UPDATE: parse_duration("5h"),
            Metric.RESOLUTION: parse_duration("10h"),
            Metric.TOTAL_RESOLUTION: parse_duration("20h"),
            Metric.REQUESTER_WAIT: parse_duration("12h"),
            Metric.AGENT_WORK: parse_duration("6h"),
        },
        Priority.URGENT: {Metric.FIRST_RESPONSE: parse_duration("30m"), Metric.RESOLUTION: parse_duration("4h")},
    },
    return_after=parse_duration("1h"),
)
STRICT = replace(
    POLICY, version=1, targets={Priority.LOW: {m: parse_duration("40m") for m in POLICY.targets[Priority.NORMAL]}}
)
HARSH = replace(POLICY, version=3, targets={Priority.URGENT: {Metric.RESOLUTION: parse_duration("30m")}})
SHORT = {
    "customer": EventKind.CUSTOMER_MESSAGE,
    "reply": EventKind.AGENT_REPLY,
    "failed": EventKind.REPLY_FAILED,
    "thanks": EventKind.CLOSURE_MESSAGE,
}


@dataclass(frozen=True)
class Row:
    """One rule: what happened, when somebody looks, and how the named clocks then stand (state, due or end)."""

    rule: str
    story: str
    now: int
    expect: str


TABLE = [
    Row("a first message starts what counts from it", "0 customer", 1,
        "first_response running 120; resolution running 600; total_resolution running 1200; "
        "requester_wait running 720; agent_work running 360"),
    Row("priority up: the new target from the same start", "0 customer, 10 priority urgent", 20,
        "first_response running 30; resolution running 240"),
    Row("priority down: the old deadline is back", "0 customer, 10 priority urgent, 15 priority normal", 20,
        "first_response running 120"),
    Row("a breach under the higher priority stays", "0 customer, 1 priority urgent, 40 priority normal", 60,
        "first_response breached 120"),
    Row("priority changed while paused keeps the paused time",
        "0 customer, 5 reply, 60 status on_hold, 90 priority urgent, 120 status open", 130, "resolution running 300"),
    Row("paused, then resolved: the paused time does not count",
        "0 customer, 5 reply, 10 status waiting_customer, 5000 status done", 6000, "resolution met 5000"),
    Row("reopened by the customer: a new wait, the first answer and the first resolution stay",
        "0 customer, 10 reply, 60 status done, 500 customer, 500 reopened, 500 status open", 510,
        "first_response met 10; next_response running 680; resolution met 60; total_resolution running 1640; "
        "requester_wait running 1160; agent_work running 800"),
    Row("reopened and done again: the last done counts, without the time in done",
        "0 customer, 10 reply, 60 status done, 500 customer, 520 reply, 530 status done", 9999,
        "resolution met 60; total_resolution met 530; agent_work met 530"),
    Row("reopened very late it may be overdue at once, and says so",
        "0 customer, 5 reply, 1190 status done, 5000 customer", 5020, "total_resolution breached 5010"),
    Row("reopened by an agent: what was cut short goes on",
        "0 customer, 10 status done, 40 reopened", 50, "first_response running 150; resolution met 10"),
    Row("a thank-you after done starts nothing", "0 customer, 5 reply, 10 status done, 20 thanks", 30,
        "first_response met 5; resolution met 10; total_resolution met 10"),
    Row("a note satisfies nothing", "0 customer, 10 touched maya", 20, "first_response running 120"),
    Row("another message does not lengthen the wait", "0 customer, 10 reply, 20 customer, 90 customer", 100,
        "next_response running 200"),
    Row("merged: everything is cancelled, for good", "0 customer, 10 merged, 20 customer, 30 reply", 40,
        "first_response cancelled 10; resolution cancelled 10; total_resolution cancelled 10"),
    Row("spam: everything is cancelled", "0 customer, 10 spam, 20 customer", 40,
        "first_response cancelled 10; resolution cancelled 10; agent_work cancelled 10"),
    Row("spam after a deadline was missed: that stays", "0 customer, 130 spam", 200,
        "first_response breached 120; resolution cancelled 130"),
    Row("spam taken back: everything goes on", "0 customer, 10 spam, 40 status open", 50,
        "first_response running 150; resolution running 630; total_resolution running 1230"),
    Row("assigned: the return timer runs, the others are unchanged", "0 customer, 10 assigned maya", 20,
        "return running 70; first_response running 120"),
    Row("assigned and touched: it is theirs", "0 customer, 10 assigned maya, 30 touched maya", 90, "return met 30"),
    Row("somebody else's note is not the assignee's", "0 customer, 10 assigned maya, 30 touched lina", 90,
        "return breached 70"),
    Row("anybody's answer deals with it", "0 customer, 10 assigned maya, 30 reply", 90, "return met 30"),
    Row("reassigned: another timer", "0 customer, 10 assigned maya, 30 assigned lina", 40,
        "return cancelled 30; return#2 running 90"),
    Row("taken by hand: no timer", "0 customer, 10 assigned maya, 30 taken lina", 90, "return cancelled 30"),
    Row("an answer that cannot arrive is neither met nor missed", "0 customer, 60 failed", 500,
        "first_response undeliverable 120"),
    Row("undeliverable, then the customer writes: it counts again", "0 customer, 60 failed, 70 customer", 80,
        "first_response running 120"),
    Row("answered before it was recorded: the events' own times count", "90 reply, 0 customer", 500,
        "first_response met 90"),
    Row("asked after the answer was written: still owed when that arrives", "0 customer, 5 customer, 10 reply 5", 20,
        "first_response met 10; next_response running 190"),
    Row("an update overrules no first answer: two clocks", "0 customer, 10 reply", 20,
        "first_response met 10; periodic_update running 310"),
    Row("each answer is an update", "0 customer, 10 reply, 200 reply", 210,
        "periodic_update met 200; periodic_update#2 running 500"),
    Row("no update is owed while the customer's turn lasts",
        "0 customer, 10 reply, 10 status waiting_customer", 900, "periodic_update paused -"),
    Row("updates end with done", "0 customer, 10 reply, 100 status done", 900, "periodic_update cancelled 100"),
    Row("on hold counts for who waits, not for who works",
        "0 customer, 5 reply, 60 status on_hold, 160 status open", 170,
        "requester_wait running 720; agent_work running 460; resolution running 700"),
    Row("waiting for the customer counts for neither",
        "0 customer, 5 reply, 60 status waiting_customer, 160 customer", 170,
        "requester_wait running 820; agent_work running 460"),
    Row("policy off: nothing runs, nothing alarms", "0 customer, 10 policy", 20, "first_response cancelled 10"),
    Row("the process was down: the same deadlines, whoever looks when", "0 customer", 100_000,
        "first_response breached 120; resolution breached 600"),
    Row("under another policy: its target from the same start",
        "0 customer, 0 policy standard@1, 10 policy standard@2", 20, "first_response running 120"),
    Row("missed under the earlier policy stays missed",
        "0 customer, 0 policy standard@1, 60 policy standard@2", 70, "first_response breached 120"),
    Row("what had ended is judged by the policy it ended under",
        "0 customer, 0 policy standard@1, 60 reply, 70 policy standard@2", 80, "first_response met_late 60"),
    Row("missed, then promised no longer: it stays missed, and is over",
        "0 priority urgent, 0 customer, 0 policy standard@3, 60 priority low, 60 policy standard@2", 70,
        "resolution breached 30"),
]  # fmt: skip


def history(story: str) -> list[SlaEvent]:
    """`10 priority urgent, 20 reply` as events, in the order in which they are written."""
    events = []
    for number, words in enumerate(story.split(", ")):
        minute, kind, *value = words.split()
        event = SlaEvent(
            id=f"{number:03}",
            at=START + timedelta(minutes=int(minute)),
            kind=SHORT.get(kind) or EventKind(kind),
            value=value[0] if value else None,
        )
        events.append(event)
    return events


def terms(reference: str) -> tuple[Policy, Calendar] | None:
    known = {"standard@1": STRICT, "standard@2": POLICY, "standard@3": HARSH}.get(reference)
    return None if known is None else (known, ALWAYS)


def minute(at: datetime | None) -> str:
    return "-" if at is None else str((at - START) // timedelta(minutes=1))


def word(clock: Clock) -> str:
    name = clock.metric.value + (f"#{clock.instance}" if clock.instance > 1 else "")
    ended = clock.state in (sla.ClockState.MET, sla.ClockState.MET_LATE, sla.ClockState.CANCELLED)
    return f"{name} {clock.state.value} {minute(clock.stopped_at if ended else clock.due_at)}"


@pytest.mark.parametrize("row", TABLE, ids=[row.rule for row in TABLE])
def test_a_change_does_what_the_table_says(row: Row) -> None:
    """Every named clock stands as written, however the events come in and however often."""
    events = history(row.story)
    now = START + timedelta(minutes=row.now)
    found = [word(clock) for clock in sla.evaluate(events, POLICY, ALWAYS, now, terms)]
    assert [expected for expected in row.expect.split("; ") if expected not in found] == [], found
    again = [word(clock) for clock in sla.evaluate([*reversed(events), *events], POLICY, ALWAYS, now, terms)]
    assert again == found


def test_nothing_alarms_anybody_once_a_conversation_is_gone() -> None:
    """After spam, a merge or a policy switched off no clock has a next alert."""
    for gone in ("spam", "merged", "policy"):
        events = history(f"0 customer, 5 assigned maya, 10 {gone}")
        now = START + timedelta(days=9)
        for clock in sla.evaluate(events, POLICY, ALWAYS, now):
            assert not clock.is_active, (gone, clock)


def test_an_edited_policy_leaves_running_conversations_alone() -> None:
    """A conversation names its version: the clocks say which, and whose promise they are."""
    events = history("0 customer, 0 policy standard@1")
    assert sla.policy_named(events) == "standard@1"
    assert sla.policy_named(history("0 customer")) == ""
    assert sla.policy_named(history("9 policy standard@2, 5 policy standard@1, 20 policy")) == "standard@2"
    clock = sla.evaluate(events, STRICT, ALWAYS, START)[-1]
    assert (clock.policy, clock.version) == ("standard", 1)


def test_work_and_wait_are_known_without_a_promise() -> None:
    """The sums for reports need no target: new and open for who works, on hold too for who waits."""
    lean = replace(POLICY, targets={Priority.LOW: {Metric.FIRST_RESPONSE: parse_duration("2h")}})
    events = history(
        "0 customer, 5 reply, 60 status on_hold, 160 status waiting_customer, 500 customer, 560 status done"
    )
    sums = sla.measure(events, lean, ALWAYS, START + timedelta(days=3))
    assert sums == {Metric.REQUESTER_WAIT: timedelta(minutes=220), Metric.AGENT_WORK: timedelta(minutes=120)}
    assert sla.measure([], lean, ALWAYS, START) == {}


def test_what_cannot_pause_is_refused() -> None:
    """A sum says itself what it counts."""
    with pytest.raises(ValueError, match="says itself what it counts"):
        replace(POLICY, pauses={Metric.AGENT_WORK: frozenset({Status.ON_HOLD})})

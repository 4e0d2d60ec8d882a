"""What people at the desk see of deadlines: "Why then?" slice by slice, `/relaydesk sla`, and their own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.desk import blocks, words
from bot.explain import Account, Step
from domain import text
from domain.sla import Clock, ClockState, EventKind
from storage.board import COUNTED, Board, Deadline

WHY_THEN, BOARD = "why_then", "deadlines"
TEXTS = frozenset({WHY_THEN, BOARD})
"""Whispers that are composed here, since they hold times for each reader."""

SINCE = {
    EventKind.CUSTOMER_MESSAGE: "counted from the customer's message of",
    EventKind.AGENT_REPLY: "counted from our answer of",
    EventKind.ASSIGNED: "counted from the assignment of",
    EventKind.PROMISE: "promised on",
}
STATE = {
    ClockState.RUNNING: "running",
    ClockState.PAUSED: "paused",
    ClockState.MET: "met",
    ClockState.MET_LATE: "met late",
    ClockState.BREACHED: "overdue",
    ClockState.CANCELLED: "cancelled",
    ClockState.UNDELIVERABLE: "neither met nor missed: the answer could not be delivered",
}
NOTHING = "There is no deadline in this conversation."
CLEAR = "Nothing is overdue, and nothing is due in the next hours."


def whisper(key: str, data: Mapping[str, Any]) -> str:
    """The text of one of `TEXTS`, as escaped mrkdwn."""
    if key == BOARD:
        return board(data["board"])
    return explained(int(data["number"]), data["accounts"])


def explained(number: int, accounts: Sequence[Account]) -> str:
    """The next deadline slice by slice, the other clocks in a line each."""
    if not accounts:
        return NOTHING
    first, *others = accounts
    lines = [f"*Why then?* #{number}{blocks.SEPARATOR}{_headline(first.clock)}", _terms(first)]
    lines += [_step(step) for step in first.steps]
    if (left := first.clock.remaining) is not None and first.clock.is_active:
        lines.append("Overdue by open time." if left.total_seconds() < 0 else "")
    if others:
        lines.append("Also:")
        lines += [f"• {_headline(account.clock)}" for account in others]
    return "\n".join(line for line in lines if line)[: blocks.SECTION_LIMIT]


def _headline(clock: Clock) -> str:
    what = words.METRIC[clock.metric.value]
    state = STATE[clock.state]
    if clock.stopped_at is not None:
        return f"{what}: {state} {blocks.date(clock.stopped_at)}"
    if clock.due_at is not None:
        verb = "was due" if clock.state is ClockState.BREACHED else "due"
        return f"*{what} {verb} {blocks.date(clock.due_at)}*"
    since = f" since {blocks.date(clock.paused_from)}" if clock.paused_from else ""
    return f"{what}: {state}{since}"


def _terms(account: Account) -> str:
    clock = account.clock
    since = SINCE.get(account.since) if account.since else None
    parts = [f"{clock.target} of open time"]
    if clock.policy:
        parts.append(f"policy `{text.escape_mrkdwn(clock.policy)}`, version {clock.version}")
    parts.append(f"calendar `{text.escape_mrkdwn(account.calendar)}` ({text.escape_mrkdwn(account.zone)})")
    parts.append(f"{since or 'counted from'} {blocks.date(clock.started_at)}")
    return blocks.SEPARATOR.join(parts)


def _step(step: Step) -> str:
    if step.skipped:
        return f"… {step.skipped} more …\n{_step(replace(step, skipped=0))}"
    if step.kind == "counted":
        return f"• {step.when}: {step.length} counted, {step.used} in all"
    return f"• {step.when}: {'outside business hours' if step.kind == 'closed' else 'paused'}"


def board(found: Board) -> str:
    """Overdue, due soon, and mine, as one text."""
    return "\n".join(line for _, lines in _sections(found) for line in lines)


def everybodys(found: Board) -> str:
    """Overdue and due soon, whoever has them; empty where nothing is."""
    listed = _listed("Overdue", found.overdue, found.overdue_count) + _listed("Due soon", found.soon, found.soon_count)
    return "\n".join(listed)


def _sections(found: Board) -> list[tuple[str, list[str]]]:
    sections = [
        ("overdue", _listed("Overdue", found.overdue, found.overdue_count)),
        ("soon", _listed("Due soon", found.soon, found.soon_count)),
        ("mine", _listed("Mine", found.mine, len(found.mine))),
    ]
    filled = [(title, lines) for title, lines in sections if lines]
    return filled or [("clear", [CLEAR])]


def _listed(title: str, deadlines: Sequence[Deadline], count: int) -> list[str]:
    if not deadlines:
        return []
    many = f"{COUNTED} or more" if count >= COUNTED else str(count)
    return [f"*{title}* ({many})", *(_line(one) for one in deadlines)]


def _line(one: Deadline) -> str:
    who = blocks.mention(one.assignee) or words.NOBODY
    place = f"<#{one.channel}>" if one.channel.isascii() and one.channel.isalnum() else text.escape_mrkdwn(one.channel)
    parts = [f"#{one.number}", f"{words.METRIC[one.metric.value]} {blocks.date(one.due_at)}", place, who]
    if one.priority in ("high", "urgent"):
        parts.insert(1, words.PRIORITY[one.priority])
    return "• " + blocks.SEPARATOR.join(parts)

"""What people at the desk see of deadlines: "Why then?" slice by slice, `/relaydesk sla`, and their own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.desk import blocks, words
from bot.desk.addresses import Place
from bot.explain import Account, Step
from domain import text
from domain.sla import Clock, ClockState
from storage.board import COUNTED, Board, Deadline
from storage.home import Line

NOWHERE: Mapping[Place, str] = {}
WHY_THEN, BOARD = "why_then", "deadlines"
TEXTS = frozenset({WHY_THEN, BOARD})
"""Whispers that are composed here, since they hold times for each reader."""


def whisper(key: str, data: Mapping[str, Any], links: Mapping[Place, str] = NOWHERE) -> str:
    """The text of one of `TEXTS`, as escaped mrkdwn. `links` has the addresses of `places`, as far as known."""
    if key == BOARD:
        return board(data["board"], links)
    return explained(int(data["number"]), data["accounts"])


def explained(number: int, accounts: Sequence[Account]) -> str:
    """The next deadline slice by slice, the other clocks in a line each."""
    if not accounts:
        return words.say("deadline.none")
    first, *others = accounts
    lines = [
        f"{words.say('deadline.why_then', number=number)}{blocks.SEPARATOR}{_headline(first.clock)}",
        _terms(first),
    ]
    lines += [_step(step) for step in first.steps]
    if (left := first.clock.remaining) is not None and first.clock.is_active:
        lines.append(words.say("deadline.past") if left.total_seconds() < 0 else "")
    if others:
        lines.append(words.say("deadline.also"))
        lines += [f"• {_headline(account.clock)}" for account in others]
    return "\n".join(line for line in lines if line)[: blocks.SECTION_LIMIT]


def _headline(clock: Clock) -> str:
    what, state = words.say(f"metric.{clock.metric.value}"), words.say(f"clock.{clock.state.value}")
    if clock.stopped_at is not None:
        return words.say("deadline.stopped", what=what, state=state, at=blocks.date(clock.stopped_at))
    if clock.due_at is not None:
        key = "deadline.was_due" if clock.state is ClockState.BREACHED else "deadline.due"
        return words.say(key, what=what, at=blocks.date(clock.due_at))
    if clock.paused_from:
        return words.say("deadline.state_since", what=what, state=state, since=blocks.date(clock.paused_from))
    return words.say("deadline.state", what=what, state=state)


def _terms(account: Account) -> str:
    clock = account.clock
    since = account.since.value if account.since and words.has("since", account.since.value) else "other"
    calendar, zone = text.escape_mrkdwn(account.calendar), text.escape_mrkdwn(account.zone)
    parts = [words.say("deadline.target", span=words.target(clock.target))]
    if clock.policy:
        parts.append(words.say("deadline.policy", policy=text.escape_mrkdwn(clock.policy), version=clock.version))
    parts.append(words.say("deadline.calendar", calendar=calendar, zone=zone))
    parts.append(words.say(f"since.{since}", at=blocks.date(clock.started_at)))
    return blocks.SEPARATOR.join(parts)


def _step(step: Step) -> str:
    if step.skipped:
        return f"{words.say('deadline.more', count=step.skipped)}\n{_step(replace(step, skipped=0))}"
    length, used = words.span(step.end - step.start), words.span(step.spent)
    return "• " + words.say(f"deadline.{step.kind}", when=_when(step.start, step.end), length=length, used=used)


def _when(first: datetime, last: datetime) -> str:
    """`Fri 12 Jun 09:00 - 12:30`, with the second day where it is another."""
    other = "" if first.date() == last.date() else f"{words.day(last)} "
    return f"{words.day(first)} {first:%H:%M} – {other}{last:%H:%M}"


def places(data: Mapping[str, Any]) -> list[Place]:
    """The cards of all conversations that one of `TEXTS` names, to be linked."""
    found = data.get("board")
    if not isinstance(found, Board):
        return []
    lines = (*found.overdue, *found.soon, *found.mine)
    return [(one.channel, one.thread_ts) for one in lines if one.thread_ts is not None]


def board(found: Board, links: Mapping[Place, str] = NOWHERE) -> str:
    """Overdue, due soon, and mine, as one text; each number leads to its thread where that is known."""
    return "\n".join(line for _, lines in _sections(found, links) for line in lines)


def everybodys(found: Board, links: Mapping[Place, str], above: Mapping[str, int]) -> list[tuple[str, str]]:
    """Overdue and due soon, whoever has them, each with its name; nothing where nothing is listed.

    `above` says of each how many the page lists already, and are not listed again.
    """
    both = (
        ("overdue", _listed("overdue", found.overdue, found.overdue_count, links, above["overdue"])),
        ("soon", _listed("soon", found.soon, found.soon_count, links, above["soon"])),
    )
    return [(name, "\n".join(lines)) for name, lines in both if lines]


def numbered(one: Line | Deadline, links: Mapping[Place, str]) -> str:
    """The number of a conversation; it leads to its thread where the address is known."""
    return blocks.number(one.number, links.get((one.channel, one.thread_ts or "")))


def _sections(found: Board, links: Mapping[Place, str]) -> list[tuple[str, list[str]]]:
    sections = [
        ("overdue", _listed("overdue", found.overdue, found.overdue_count, links)),
        ("soon", _listed("soon", found.soon, found.soon_count, links)),
        ("mine", _listed("mine", found.mine, len(found.mine), links)),
    ]
    filled = [(title, lines) for title, lines in sections if lines]
    return filled or [("clear", [words.say("deadline.clear")])]


def _listed(
    title: str, deadlines: Sequence[Deadline], count: int, links: Mapping[Place, str], above: int = 0
) -> list[str]:
    if not deadlines:
        return []
    many = words.say("deadline.or_more", count=COUNTED) if count >= COUNTED else str(count)
    rest = count - above - len(deadlines) if count < COUNTED else 0  # of more nobody knows how many are left
    more = [words.say(key, count=left) for key, left in (("home.above", above), ("home.others", rest)) if left > 0]
    return [words.say(f"deadline.{title}", count=many), *(_line(one, links) for one in deadlines), *more]


def _line(one: Deadline, links: Mapping[Place, str]) -> str:
    who = blocks.mention(one.assignee) or words.say("card.nobody")
    place = f"<#{one.channel}>" if one.channel.isascii() and one.channel.isalnum() else text.escape_mrkdwn(one.channel)
    parts = [numbered(one, links), f"{words.named('metric', one.metric.value)} {blocks.date(one.due_at)}", place, who]
    if one.priority in ("high", "urgent"):
        parts.insert(1, f"*{words.say(f'priority_shown.{one.priority}')}*")
    return "• " + blocks.SEPARATOR.join(parts)

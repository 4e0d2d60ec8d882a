"""Somebody's own page at the desk (App Home): what is theirs, what waits for anybody, and how to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.desk import blocks, deadlines, words
from bot.desk.blocks import Block
from domain import text
from storage.board import Board
from storage.home import Line, Load, Page

MOST_PEOPLE = 25

MINE, NOTHING = "Yours ({count})", "You have no open conversation. Take one below, or wait for the next."
PROMISES, UNASSIGNED, NONE = (
    "*You promised*",
    "*Nobody has these yet*",
    "None: everything open has somebody.",
)
QUEUES, TEAM, YOURS = "*Queues*", "*The team*", "(yours)"
COUNTS = "{open} open, {unassigned} without anybody, {overdue} overdue"
LOAD, DUTY, NO_DUTY = "{open} open, {overdue} overdue", "on duty", "off duty"
OVERDUE, DUE = "was due {at}", "due {at}"
OPEN, OPENS = "open now", "opens {at}"
ON, OFF = "You are *on duty*: new conversations may be assigned to you.", "You are *off duty*."
GO_OFF, GO_ON = "Go off duty", "Go on duty"
GUIDE = (
    "*New here?* A card is a customer. Open its thread: what you write there goes to them, what begins with `//` stays "
    "inside. *Assign to me* takes it, *Reply* has canned answers, *Resolve* ends it. `/relaydesk help` says the rest."
)
PRACTISE = "Try everything at the {link}: its customers are made up."
PRACTISE_HOW = "To practise without customers, `relaydesk demo` starts a desk of its own."
PRACTICE_DESK = "practice desk"


def view(
    page: Page, board: Board, titles: Mapping[str, str], hours: Mapping[str, datetime | None], practice: str | None
) -> Block:
    """The page. `board` has the deadlines of everybody; `titles` names queues; `hours` says when each opens next, None
    while it is open.
    """
    duty = ON if page.on_duty else OFF
    toggle = (GO_OFF, "off") if page.on_duty else (GO_ON, "on")
    made: list[Block] = [
        {"type": "header", "text": blocks.plain(MINE.format(count=page.mine_count))},
        _section("mine", _lines(page.mine, page, titles) or NOTHING),
    ]
    if page.promises:
        made.append(_section("promises", f"{PROMISES}\n{_lines(page.promises, page, titles)}"))
    if overdue := deadlines.everybodys(board):
        made.append(_section("deadlines", overdue))
    made.append(_section("unassigned", f"{UNASSIGNED}\n{_lines(page.unassigned, page, titles) or NONE}"))
    made.append(_section("queues", f"{QUEUES}\n{_queues(page.queues, titles, hours)}"))
    if page.team:
        made.append(_section("team", f"{TEAM}\n{_team(page.team)}"))
    value = blocks.button_value("", None, toggle[1])
    button = blocks.button(toggle[0], "on_duty", value)
    made += [
        {"type": "divider"},
        {"type": "section", "block_id": "duty", "text": blocks.mrkdwn(duty), "accessory": button},
        blocks.context(GUIDE),
        blocks.context(PRACTISE.format(link=_link(practice)) if practice else PRACTISE_HOW),
    ]
    return {"type": "home", "blocks": made}


def _lines(lines: Sequence[Line], page: Page, titles: Mapping[str, str]) -> str:
    return "\n".join(_line(one, page, titles) for one in lines)


def _line(one: Line, page: Page, titles: Mapping[str, str]) -> str:
    parts = [f"#{one.number}", _place(one.channel), text.escape_mrkdwn(titles.get(one.queue, one.queue))]
    if one.priority in ("high", "urgent"):
        parts.insert(1, f"*{words.PRIORITY[one.priority]}*")
    if one.due_at is None:
        parts.append(words.STATUS.get(one.status, one.status))
    elif one.due_at <= page.at:
        parts.append(f"*{OVERDUE.format(at=blocks.date(one.due_at))}*")
    else:
        parts.append(DUE.format(at=blocks.date(one.due_at)))
    return "• " + blocks.SEPARATOR.join(parts)


def _queues(loads: Sequence[Load], titles: Mapping[str, str], hours: Mapping[str, datetime | None]) -> str:
    by_name = {one.name: one for one in loads}
    lines = []
    for name, title in titles.items():
        load = by_name.get(name, Load(name=name, open=0, overdue=0))
        said = text.escape_mrkdwn(title)
        opens = hours.get(name)
        parts = [
            f"*{said}* {YOURS}" if load.is_mine else said,
            COUNTS.format(open=load.open, unassigned=load.unassigned, overdue=load.overdue),
            OPEN if opens is None else OPENS.format(at=blocks.date(opens)),
        ]
        lines.append("• " + blocks.SEPARATOR.join(parts))
    return "\n".join(lines)


def _team(loads: Sequence[Load]) -> str:
    lines = [
        "• "
        + blocks.SEPARATOR.join(
            (
                blocks.mention(one.name),
                LOAD.format(open=one.open, overdue=one.overdue),
                DUTY if one.on_duty else NO_DUTY,
            )
        )
        for one in loads[:MOST_PEOPLE]
    ]
    return "\n".join(lines)


def _place(channel: str) -> str:
    return f"<#{channel}>" if channel.isascii() and channel.isalnum() else text.escape_mrkdwn(channel)


def _link(url: str) -> str:
    return f"<{text.escape_mrkdwn(url)}|{PRACTICE_DESK}>"


def _section(name: str, said: str) -> Block:
    while len(said) > blocks.SECTION_LIMIT:  # whole lines: half a date or half a name is no markup any more
        said = said.rpartition("\n")[0]
    return {"type": "section", "block_id": name, "text": blocks.mrkdwn(said)}

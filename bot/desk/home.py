"""Somebody's own page at the desk (App Home): what is theirs, what waits for anybody, and how to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.desk import blocks, words
from bot.desk.blocks import Block
from domain import text
from storage.home import Line, Load, Page

MOST_PEOPLE = 25


def view(page: Page, titles: Mapping[str, str], hours: Mapping[str, datetime | None], practice: str | None) -> Block:
    """The page. `titles` names queues; `hours` says when each opens next, None while it is open."""
    duty = words.HOME_ON if page.on_duty else words.HOME_OFF
    toggle = (words.GO_OFF, "off") if page.on_duty else (words.GO_ON, "on")
    made: list[Block] = [
        {"type": "header", "text": blocks.plain(words.HOME_MINE.format(count=page.mine_count))},
        _section("mine", _lines(page.mine, page, titles) or words.HOME_NOTHING),
    ]
    if page.promises:
        made.append(_section("promises", f"{words.HOME_PROMISES}\n{_lines(page.promises, page, titles)}"))
    made.append(
        _section("unassigned", f"{words.HOME_UNASSIGNED}\n{_lines(page.unassigned, page, titles) or words.HOME_NONE}")
    )
    made.append(_section("queues", f"{words.HOME_QUEUES}\n{_queues(page.queues, titles, hours)}"))
    if page.team:
        made.append(_section("team", f"{words.HOME_TEAM}\n{_team(page.team)}"))
    value = blocks.button_value("", None, toggle[1])
    button = blocks.button(toggle[0], "on_duty", value)
    made += [
        {"type": "divider"},
        {"type": "section", "block_id": "duty", "text": blocks.mrkdwn(duty), "accessory": button},
        blocks.context(words.HOME_GUIDE),
        blocks.context(words.HOME_PRACTISE.format(link=_link(practice)) if practice else words.HOME_PRACTISE_HOW),
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
        parts.append(f"*{words.HOME_OVERDUE.format(at=blocks.date(one.due_at))}*")
    else:
        parts.append(words.HOME_DUE.format(at=blocks.date(one.due_at)))
    return "• " + blocks.SEPARATOR.join(parts)


def _queues(loads: Sequence[Load], titles: Mapping[str, str], hours: Mapping[str, datetime | None]) -> str:
    by_name = {one.name: one for one in loads}
    lines = []
    for name, title in titles.items():
        load = by_name.get(name, Load(name=name, open=0, overdue=0))
        said = text.escape_mrkdwn(title)
        opens = hours.get(name)
        parts = [
            f"*{said}* {words.HOME_YOURS}" if load.is_mine else said,
            words.HOME_COUNTS.format(open=load.open, unassigned=load.unassigned, overdue=load.overdue),
            words.HOME_OPEN if opens is None else words.HOME_OPENS.format(at=blocks.date(opens)),
        ]
        lines.append("• " + blocks.SEPARATOR.join(parts))
    return "\n".join(lines)


def _team(loads: Sequence[Load]) -> str:
    lines = [
        "• "
        + blocks.SEPARATOR.join(
            (
                blocks.mention(one.name),
                words.HOME_LOAD.format(open=one.open, overdue=one.overdue),
                words.HOME_DUTY if one.on_duty else words.HOME_NO_DUTY,
            )
        )
        for one in loads[:MOST_PEOPLE]
    ]
    return "\n".join(lines)


def _place(channel: str) -> str:
    return f"<#{channel}>" if channel.isascii() and channel.isalnum() else text.escape_mrkdwn(channel)


def _link(url: str) -> str:
    return f"<{text.escape_mrkdwn(url)}|{words.HOME_PRACTICE_DESK}>"


def _section(name: str, said: str) -> Block:
    return {"type": "section", "block_id": name, "text": blocks.mrkdwn(said[: blocks.SECTION_LIMIT])}

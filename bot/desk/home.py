"""Somebody's own page at the desk (App Home): what is theirs, what waits for anybody, and how to begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.desk import blocks, deadlines, words
from bot.desk.addresses import Place
from bot.desk.blocks import Block
from domain import text
from storage.board import Board, Deadline
from storage.home import Line, Load, Page

MOST_PEOPLE = 25
MOST_DUE = 5
"""So many deadlines of each kind, of whomever, stand on the page beside somebody's own."""


def places(page: Page, board: Board) -> list[Place]:
    """The cards of all conversations that the page names, to be linked."""
    due, _ = _beside(page, board)
    lines: tuple[Line | Deadline, ...] = (*page.mine, *page.promises, *page.unassigned, *due.overdue, *due.soon)
    return [(one.channel, one.thread_ts) for one in lines if one.thread_ts is not None]


def view(
    page: Page,
    board: Board,
    titles: Mapping[str, str],
    hours: Mapping[str, datetime | None],
    practice: str | None,
    *,
    links: Mapping[Place, str] = deadlines.NOWHERE,
) -> Block:
    """The page. `board` has the deadlines of everybody; `titles` names queues; `hours` says when each that has any
    opens next, None while it is open; `links` has the addresses of `places`, as far as they are known.
    """
    duty = words.say("home.on" if page.on_duty else "home.off")
    toggle = (words.say("home.go_off"), "off") if page.on_duty else (words.say("home.go_on"), "on")
    made: list[Block] = [
        {"type": "header", "text": blocks.plain(words.say("home.mine", count=page.mine_count))},
        _section("mine", _mine(page, titles, links)),
    ]
    if page.promises:
        made.append(_section("promises", f"{words.say('home.promises')}\n{_lines(page.promises, page, titles, links)}"))
    board, above = _beside(page, board)
    made += [_section(name, said) for name, said in deadlines.everybodys(board, links, above)]
    made.append(_section("unassigned", _unassigned(page, board, titles, links)))
    made.append(_section("queues", f"{words.say('home.queues')}\n{_queues(page.queues, titles, hours)}"))
    if page.team:
        made.append(_section("team", f"{words.say('home.team')}\n{_team(page.team)}"))
    value = blocks.button_value("", None, toggle[1])
    button = blocks.button(toggle[0], "on_duty", value)
    made += [
        {"type": "divider"},
        {"type": "section", "block_id": "duty", "text": blocks.mrkdwn(duty), "accessory": button},
        blocks.context(words.say("home.guide")),
        blocks.context(
            words.say("home.practise", link=_link(practice)) if practice else words.say("home.practise_how")
        ),
    ]
    return {"type": "home", "blocks": made}


def _beside(page: Page, board: Board) -> tuple[Board, dict[str, int]]:
    """What stands beside somebody's own: what of it is listed above is left out, and how many of each kind that is."""
    mine = {one.number for one in page.mine}
    due = {"overdue": board.overdue, "soon": board.soon}
    others = {name: [one for one in found if one.number not in mine] for name, found in due.items()}
    above = {name: len(found) - len(others[name]) for name, found in due.items()}
    listed = {name: tuple(found[:MOST_DUE]) for name, found in others.items()}
    return replace(board, overdue=listed["overdue"], soon=listed["soon"]), above


def _mine(page: Page, titles: Mapping[str, str], links: Mapping[Place, str]) -> str:
    if not page.mine:
        return words.say("home.nothing")
    return _lines(page.mine, page, titles, links) + _others(page.mine_count - len(page.mine))


def _unassigned(page: Page, board: Board, titles: Mapping[str, str], links: Mapping[Place, str]) -> str:
    """What nobody has; what stands among the deadlines above, with nobody beside it, is not listed again."""
    count = max(sum(one.unassigned for one in page.queues), len(page.unassigned))
    said = words.say("home.unassigned", count=count)
    if not count:
        return f"{said}\n{words.say('home.none')}"
    above = {one.number for one in (*board.overdue, *board.soon) if one.assignee is None}
    listed = [one for one in page.unassigned if one.number not in above]
    parts = [said, *([_lines(listed, page, titles, links)] if listed else [])]
    if len(listed) < len(page.unassigned):
        parts.append(words.say("home.above", count=len(page.unassigned) - len(listed)))
    return "\n".join(parts) + _others(count - len(page.unassigned))


def _others(count: int) -> str:
    """How many more there are than what is listed."""
    return f"\n{words.say('home.others', count=count)}" if count > 0 else ""


def _lines(lines: Sequence[Line], page: Page, titles: Mapping[str, str], links: Mapping[Place, str]) -> str:
    return "\n".join(_line(one, page, titles, links) for one in lines)


def _line(one: Line, page: Page, titles: Mapping[str, str], links: Mapping[Place, str]) -> str:
    number = deadlines.numbered(one, links)
    place = [] if number.startswith("<") else [_place(one.channel)]  # what leads there need not say where
    parts = [number, *place, text.escape_mrkdwn(titles.get(one.queue, one.queue))]
    if one.priority in ("high", "urgent"):
        parts.insert(1, f"*{words.say(f'priority_shown.{one.priority}')}*")
    if one.due_at is None:
        parts.append(words.named("status", one.status))
    elif one.due_at <= page.at:
        parts.append(f"*{words.say('home.overdue', at=blocks.date(one.due_at))}*")
    else:
        parts.append(words.say("home.due", at=blocks.date(one.due_at)))
    return "• " + blocks.SEPARATOR.join(parts)


def _queues(loads: Sequence[Load], titles: Mapping[str, str], hours: Mapping[str, datetime | None]) -> str:
    by_name = {one.name: one for one in loads}
    lines = []
    for name, title in titles.items():
        load = by_name.get(name, Load(name=name, open=0, overdue=0))
        said = text.escape_mrkdwn(title)
        parts = [
            f"*{said}* {words.say('home.yours')}" if load.is_mine else said,
            words.say("home.counts", open=load.open, unassigned=load.unassigned, overdue=load.overdue),
        ]
        if name in hours:
            opens = hours[name]
            at = "" if opens is None else blocks.date(opens)
            parts.append(words.say("home.opens", at=at) if at else words.say("home.open"))
        lines.append("• " + blocks.SEPARATOR.join(parts))
    return "\n".join(lines)


def _team(loads: Sequence[Load]) -> str:
    lines = [
        "• "
        + blocks.SEPARATOR.join(
            (
                blocks.mention(one.name),
                words.say("home.load", open=one.open, overdue=one.overdue),
                words.say("home.duty" if one.on_duty else "home.no_duty"),
            )
        )
        for one in loads[:MOST_PEOPLE]
    ]
    return "\n".join(lines)


def _place(channel: str) -> str:
    return f"<#{channel}>" if channel.isascii() and channel.isalnum() else text.escape_mrkdwn(channel)


def _link(url: str) -> str:
    return f"<{text.escape_mrkdwn(url)}|{words.say('home.practice_desk')}>"


def _section(name: str, said: str) -> Block:
    while len(said) > blocks.SECTION_LIMIT:  # whole lines: half a date or half a name is no markup any more
        said = said.rpartition("\n")[0]
    return {"type": "section", "block_id": name, "text": blocks.mrkdwn(said)}

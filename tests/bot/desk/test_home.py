"""Somebody's own page: as it was approved, within Slack's limits, and nobody is called by it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.desk import home, words
from domain.sla import Metric
from storage.board import Board, Deadline
from storage.home import Line, Load, Page
from tests.bot.desk.kit import MAYA, NOON

SNAPSHOTS = Path(__file__).parent / "snapshots"
LINE = Line(
    number=1042,
    queue="support",
    priority="urgent",
    status="open",
    channel="C0SUPPORT",
    due_at=NOON,
    thread_ts="1.0",
)
PAGE = Page(
    at=NOON + timedelta(minutes=5),
    on_duty=True,
    mine=(LINE, replace(LINE, number=1043, priority="normal", due_at=None, status="waiting_customer")),
    mine_count=2,
    promises=(replace(LINE, number=1042, due_at=NOON + timedelta(hours=2)),),
    unassigned=(),
    queues=(Load(name="support", open=5, overdue=1, is_mine=True),),
    team=(Load(name=MAYA, open=2, overdue=1, on_duty=True), Load(name="U0LINA", open=0, overdue=0)),
)
DEADLINE = Deadline(
    conversation_id="c",
    number=1044,
    queue="support",
    priority="urgent",
    assignee="U0LINA",
    channel="C0SUPPORT",
    thread_ts="1.0",
    metric=Metric.FIRST_RESPONSE,
    due_at=NOON,
)
BOARD = Board(overdue=(DEADLINE,), overdue_count=1, soon=(), soon_count=0, mine=())
NOBODYS = replace(BOARD, overdue=(), overdue_count=0)
TITLES = {"support": "Support", "billing": "Billing"}
HOURS = {"support": None, "billing": NOON + timedelta(days=1)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_looks_as_it_was_approved(language: str) -> None:
    """It changes its look only on purpose: RELAYDESK_UPDATE_SNAPSHOTS=1 writes the new one, for review."""
    path = SNAPSHOTS / ("home_lead.json" if language == "en" else f"home_lead.{language}.json")
    links = {("C0SUPPORT", "1.0"): "https://slack.example/archives/C0SUPPORT/p10"}
    with words.reading(language):
        made = home.view(PAGE, BOARD, TITLES, HOURS, "https://practice.example.com", links=links)
    shown = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("RELAYDESK_UPDATE_SNAPSHOTS"):
        path.write_text(shown, "utf-8")
    assert shown == path.read_text("utf-8")


def test_the_cards_of_all_that_is_named_are_linked_once_they_stand() -> None:
    """Whoever reads a number is one press from its thread; what is not posted yet is a number alone."""
    unposted = replace(LINE, number=1050, thread_ts=None, channel="C0TECH")
    page = replace(PAGE, mine=(LINE,), promises=(), unassigned=(unposted,))
    assert set(home.places(page, BOARD)) == {("C0SUPPORT", "1.0")}
    made = home.view(page, BOARD, TITLES, HOURS, None, links={("C0SUPPORT", "1.0"): "https://a.example/p"})
    said = json.dumps(made, ensure_ascii=False)
    assert all(said.count(f"<https://a.example/p|#{number}>") == 1 for number in (1042, 1044))
    assert "• #1050" in said


def test_what_is_not_listed_is_counted() -> None:
    """A list that ends says how much goes on, and its title counts all of it."""
    page = replace(
        PAGE, mine_count=5, unassigned=(LINE,) * 2, queues=(Load(name="support", open=40, overdue=0, unassigned=33),)
    )
    for language, count, more in (("en", "yet* (33)", "… and 31 more"), ("zh", "（33）*", "还有 31 个")):
        with words.reading(language):
            said = json.dumps(home.view(page, BOARD, TITLES, HOURS, None), ensure_ascii=False)
        assert count in said
        assert more in said
        assert said.count(more.replace("31", "3")) == 1
    board = replace(BOARD, overdue=(DEADLINE,) * 5, overdue_count=36, soon=(DEADLINE,), soon_count=1)
    late = {block.get("block_id"): block for block in home.view(PAGE, board, TITLES, HOURS, None)["blocks"]}
    assert late["overdue"]["text"]["text"].endswith("\n… and 31 more")
    assert "more" not in late["soon"]["text"]["text"]
    whole = json.dumps(home.view(replace(PAGE, unassigned=(LINE,)), BOARD, TITLES, HOURS, None), ensure_ascii=False)
    assert "more" not in whole


def test_what_is_ones_own_and_due_is_listed_once() -> None:
    """Beside it stands what others have, and how many of one's own are among all that is due."""
    own = tuple(replace(DEADLINE, number=one.number, assignee=MAYA) for one in PAGE.mine)
    others = tuple(replace(DEADLINE, number=number) for number in range(1050, 1060))
    for language, title, above, more in (
        ("en", "*Overdue* (30)", "… and 2 that stand above", "… and 23 more"),
        ("zh", "*已超时（30）*", "另有 2 个已列在上面", "还有 23 个"),
    ):
        with words.reading(language):
            board = replace(BOARD, overdue=own + others, overdue_count=30)
            made = home.view(PAGE, board, TITLES, HOURS, None)
            said = {block.get("block_id"): block["text"]["text"] for block in made["blocks"] if "text" in block}
        listed = said["overdue"].split("\n")
        assert listed[0] == title
        assert [number for number in range(1040, 1060) if f"#{number}" in said["overdue"]] == list(range(1050, 1055))
        assert above in listed[-2]
        assert more in listed[-1]
    alone = home.view(PAGE, replace(BOARD, overdue=own, overdue_count=2), TITLES, HOURS, None)
    assert "overdue" not in [block.get("block_id") for block in alone["blocks"]], "all of it stands above"


def test_what_nobody_has_and_is_due_is_listed_once() -> None:
    """It stands where it presses most; the list of what nobody has says how many of it stand there."""
    late = replace(DEADLINE, assignee=None, number=1042)
    lines = (LINE, replace(LINE, number=1050))
    page = replace(
        PAGE, mine=(), promises=(), unassigned=lines, queues=(Load(name="support", open=4, overdue=1, unassigned=4),)
    )
    for language, above, more in (
        ("en", "… and 1 that stands above", "… and 2 more"),
        ("zh", "另有 1 个已列在上面", "还有 2 个"),
    ):
        with words.reading(language):
            made = home.view(page, replace(BOARD, overdue=(late,)), TITLES, HOURS, None)
            said = {block.get("block_id"): block["text"]["text"] for block in made["blocks"] if "text" in block}
        assert "#1042" in said["overdue"]
        assert "#1042" not in said["unassigned"]
        assert all(one in said["unassigned"] for one in ("#1050", above, more))
    alone = home.view(replace(page, unassigned=lines[:1]), replace(BOARD, overdue=(late,)), TITLES, HOURS, None)
    assert json.dumps(alone, ensure_ascii=False).count("#1042") == 1
    theirs = home.view(page, replace(BOARD, overdue=(replace(DEADLINE, number=1042),)), TITLES, HOURS, None)
    assert json.dumps(theirs, ensure_ascii=False).count("#1042") == 2, (
        "somebody has it there, nobody here: both are told"
    )


def test_a_full_page_stays_within_slacks_limits_and_calls_nobody() -> None:
    """Names of queues and channels are no markup; what is too long is cut; each part keeps its place by its id."""
    evil = replace(LINE, queue="<!here>", channel="<!channel>")
    people = tuple(Load(name=f"U0AGENT{number}", open=9, overdue=9) for number in range(200))
    full = replace(PAGE, mine=(evil,) * 10, unassigned=(evil,) * 10, team=people)
    made = home.view(
        full,
        replace(BOARD, overdue=(replace(DEADLINE, channel="<!channel>"),) * 5),
        {"<!here>": "<!everyone>", **{f"q{n}": "Q" * 60 for n in range(80)}},
        {},
        None,
    )
    assert "<!" not in json.dumps(made).replace("<!date", "")
    sections = [block for block in made["blocks"] if block["type"] == "section"]
    assert all(len(block["text"]["text"]) <= 3000 for block in sections)
    ids = [block["block_id"] for block in sections]
    assert ids == ["mine", "promises", "overdue", "unassigned", "queues", "team", "duty"]
    assert "open now" in json.dumps(home.view(PAGE, BOARD, TITLES, HOURS, None))
    assert "open now" not in json.dumps(home.view(PAGE, BOARD, TITLES, {}, None)), "nobody said when they are there"
    calm = home.view(PAGE, NOBODYS, TITLES, HOURS, None)
    assert not {"overdue", "soon"} & {block.get("block_id") for block in calm["blocks"]}, "nothing is said of nothing"

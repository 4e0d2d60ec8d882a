"""Every word that the house says to the desk has a text, and the texts keep the house's tone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.desk import deadlines, entries, words
from domain.model import Priority, Reach, Status
from domain.sla import Metric

ROOT = Path(__file__).parents[3]


def calls(folder: str, *names: str) -> Iterator[ast.Call]:
    """Every call of one of these functions in a folder's source."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in names:
                    yield node


def test_every_whisper_of_the_handlers_has_words() -> None:
    """A refusal that nobody has written a text for would say nothing useful."""
    used = {
        argument.value
        for call in calls("handlers", "whisper", "_tell")
        for argument in call.args[1:5]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert "refused_stranger" in used
    assert used <= {*words.WHISPERS, *deadlines.TEXTS}


def test_every_reason_of_a_chat_channel_has_words() -> None:
    """An agent reads why an answer did not arrive, not a code."""
    codes = {
        call.args[0].value
        for call in calls("bot/channels", "NeverPossible", "Unclear")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert codes
    assert codes <= set(words.REASONS)


def test_every_state_has_a_word() -> None:
    """Statuses, priorities, metrics and delivery states are complete."""
    assert set(words.STATUS) == {status.value for status in Status}
    assert set(words.PRIORITY) == {priority.value for priority in Priority}
    assert set(words.METRIC) == set(words.ALERT_ACT) == {metric.value for metric in Metric}
    assert set(words.DELIVERY) == {Reach.WAITING.value, Reach.UNCLEAR.value, Reach.FAILED.value}


@pytest.mark.parametrize("said", [*words.WHISPERS.values(), *words.NOTICES.values()])
def test_texts_are_calm_and_complete(said: str) -> None:
    """No exclamation marks, one sentence at least, and nothing to fill in but what is given."""
    assert "!" not in said
    assert said.rstrip().endswith((".", "{said}"))
    given = {"channel", "where", "reason", "said", "words", "nearest", "rules", "versions"} | {
        "seconds",
        "what",
        "number",
    }
    given |= {"due", "taken", "day", "place", "chain", "count", "name", "customer"}
    assert set(re.findall(r"{(\w+)}", said)) <= given


@pytest.mark.parametrize(
    ("count", "expected"), [(None, ""), (0, "1 kB"), (999, "1 kB"), (340_200, "340 kB"), (12_540_000, "12.5 MB")]
)
def test_sizes_read_as_people_write_them(count: int | None, expected: str) -> None:
    """A size is short and has its unit."""
    assert words.size(count) == expected


def test_a_missing_value_does_not_break_a_text() -> None:
    """A notice without its channel is still a notice."""
    assert "The channel ? was archived" in entries.notice("desk_changed", {"kind": "channel_archive"}).text
    assert words.language("de-AT") == "German"
    assert words.language("xx") == "xx"
    assert words.language(None) == ""

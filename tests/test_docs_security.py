"""docs/security.md is true: who may do what, which ways in there are, and which tests send what is bad."""

from __future__ import annotations

import re
from pathlib import Path

from bot.desk import ingress
from bot.web import facts, patience
from domain.roles import PERMISSIONS, Act, Role

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
COLUMNS = (Role.AGENT, Role.LEAD, Role.ADMIN, Role.PRIVACY, Role.AUDITOR)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_who_may_do_what_is_what_the_table_says() -> None:
    """Every act, and for each role exactly what domain/roles.py allows."""
    found = {cells[0].strip("`"): cells[2:] for cells in rows("Who may do what")}
    assert set(found) == {act.value for act in Act}
    for act in Act:
        allowed = ["yes" if act in PERMISSIONS[role] else "" for role in COLUMNS]
        assert found[act.value] == allowed, act.value


def test_every_way_in_has_its_row() -> None:
    """The addresses of the web server, the platforms, and what people bring as files."""
    ways = "\n".join(cells[0] for cells in rows("Every way in, and what is checked there"))
    addresses = (ingress.HTTP_PATH, facts.PATH, "/telegram/<account>", "/livez", "/readyz", "/metrics")
    assert [one for one in addresses if f"`{one}`" not in ways] == []
    for word in ("polling", "Socket Mode", "command line", "config.yaml", "imports", "model", "backups", "files of"):
        assert word in ways, word
    assert f"{patience.MOST} connections" in TEXT


def test_each_bad_input_is_sent_by_tests_that_exist() -> None:
    """A test that is renamed or removed is noticed here."""
    table = rows("Bad inputs, and the tests that send them")
    assert len(table) >= 30
    for cells in table:
        named = TEST.findall(cells[-1])
        assert named, f"{cells[0]} is shown by nothing"
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{cells[0]}: {path}::{test}"

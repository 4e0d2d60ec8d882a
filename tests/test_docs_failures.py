"""The table of what went wrong elsewhere names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_fault_is_shown_by_tests_that_exist() -> None:
    """Twenty-five faults, each with a test by its name; one that is renamed or removed is noticed here."""
    rows = ROW.findall((ROOT / "docs" / "failures.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    for number, shown in rows:
        named = TEST.findall(shown)
        assert named, f"fault {number} is shown by nothing"
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"fault {number}: {path}::{test}"

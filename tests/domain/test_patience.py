"""Words that are made to keep the process busy: read in a time that grows with their length and no faster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from domain import canned, guard, personal, privacy, search, text

LONG = 40_000
"""More than any platform takes in one message; at this length what is not linear takes ten seconds and more."""
ENOUGH_S = 2.0
READS: dict[str, Callable[[str], object]] = {
    "split": lambda words: text.split_utf16(words, 4096),
    "clean": text.clean,
    "excerpt": lambda words: text.excerpt(words, 300),
    "from Slack": lambda words: text.slack_to_plain(words, lambda _user: None),
    "mask": privacy.mask,
    "phones": lambda words: list(personal.phones(words)),
    "guard": lambda words: guard.findings(words, guard.Guard(), mentions=False),
    "order": lambda words: canned.order_in([words]),
    "search": lambda words: search.parse(words[:4000]),
}


@pytest.mark.parametrize("unit", ["-", ".", "a", "1", "1-", "a-", "<", "@a", "http://", "1 ", "。"])
@pytest.mark.parametrize("read", sorted(READS))
def test_no_text_takes_long(read: str, unit: str) -> None:
    """Runs of one character, of digits and of what begins links, numbers and mentions."""
    words = unit * (LONG // len(unit)) + "!"
    before = time.process_time()
    try:
        READS[read](words)
    except ValueError:
        assert read == "search", "only a query may be refused"
    assert time.process_time() - before < ENOUGH_S

"""Links: a person is what links connect, and taking links back restores exactly, in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import links

SOMEBODY = st.sampled_from("ABCDEFG")
PAIRS = st.lists(st.tuples(SOMEBODY, SOMEBODY).filter(lambda both: both[0] != both[1]), max_size=8)


def linked(pairs: list[tuple[str, str]]) -> set[links.Pair]:
    """What stands after these merges: one that joins nobody new is not written."""
    made: set[links.Pair] = set()
    for one, other in pairs:
        if other not in links.person(one, made):
            made.add(links.pair(one, other))
    return made


@given(PAIRS, st.tuples(SOMEBODY, SOMEBODY).filter(lambda both: both[0] != both[1]), PAIRS)
def test_unmerge_takes_back_exactly_one_merge(
    before: list[tuple[str, str]], both: tuple[str, str], after: list[tuple[str, str]]
) -> None:
    """Whatever was merged before and after it: without that link everybody is with whom they would be without it."""
    own = links.pair(*both)
    made = linked([*before, both, *after])
    if own in linked(before) or own not in made:
        return  # it changed nothing
    left = made - {own}
    for one in "ABCDEFG":
        whole = links.person(one, left)
        assert all(links.person(each, left) == whole for each in whole), "everybody in it agrees who is in it"
    assert both[1] not in links.person(both[0], left), "the two are apart again"
    if not after:
        assert left == linked(before), "nothing else has changed"


@given(PAIRS)
def test_a_person_is_whoever_links_connect(pairs: list[tuple[str, str]]) -> None:
    """The same for all of them, and links that add nothing are not needed for it."""
    made = linked(pairs)
    for one, other in pairs:
        assert links.person(one, made) == links.person(other, made) == links.person(one, set(pairs))
    assert len(made) == sum(len(whole) - 1 for whole in {links.person(one, made) for one in "ABCDEFG"})


def test_nobody_is_merged_with_themselves() -> None:
    """The pair has one order, and two."""
    assert links.pair("B", "A") == links.pair("A", "B") == ("A", "B")
    with pytest.raises(ValueError, match="give two"):
        links.pair("A", "A")

"""Are two customers one person? What speaks for it, and whether it is enough to ask somebody."""

from __future__ import annotations

from typing import Final

from rapidfuzz import fuzz, utils

from domain.contacts import ContactKind
from domain.links import Evidence, Sign, Traits

SAME_NAME: Final = 92
"""Of 100: names that are one but for a letter or the order of words."""
LIKE_NAME: Final = 80
SAME_PLACE: Final = 90
EQUAL: Final = 100
_VERIFIED: Final = {ContactKind.PHONE: Sign.VERIFIED_PHONE, ContactKind.EMAIL: Sign.VERIFIED_EMAIL}
_SAID: Final = {ContactKind.PHONE: Sign.PHONE, ContactKind.EMAIL: Sign.EMAIL}


def evidence(one: Traits, other: Traits) -> tuple[Evidence, ...]:
    """What suggests that they are one person, strongest first; empty where it is not enough to ask.

    An equal phone number or e-mail that was made sure of on both sides is enough. One that was not needs a similar
    name. A name alone is never enough: it needs a user name, a birthday, an address or a company beside it.
    """
    equal = one.points & other.points
    sure = {kind for kind, value in one.verified & other.verified}
    points = {_VERIFIED[kind] if kind in sure else _SAID[kind] for kind in {kind for kind, _ in equal} | sure}
    name = _name(one, other)
    beside = _beside(one, other)
    enough = bool(sure) or (bool(points) and name >= LIKE_NAME) or (bool(beside) and name >= SAME_NAME)
    if not enough:
        return ()
    found = [Evidence(sign=sign, score=EQUAL) for sign in points] + beside
    if name >= LIKE_NAME:
        found.append(Evidence(sign=Sign.NAME, score=name))
    order = list(Sign)
    return tuple(sorted(found, key=lambda each: order.index(each.sign)))


def _name(one: Traits, other: Traits) -> int:
    """How alike the names are that fit best, whatever the order of their words."""
    scores = (
        fuzz.token_sort_ratio(mine, theirs, processor=utils.default_process)
        for mine in one.names
        for theirs in other.names
    )
    return int(max(scores, default=0))


def _beside(one: Traits, other: Traits) -> list[Evidence]:
    found = []
    if one.usernames & other.usernames:
        found.append(Evidence(sign=Sign.USERNAME, score=EQUAL))
    if one.birthday is not None and one.birthday == other.birthday:
        found.append(Evidence(sign=Sign.BIRTHDAY, score=EQUAL))
    for sign, mine, theirs in (
        (Sign.ADDRESS, one.address, other.address),
        (Sign.COMPANY, one.company, other.company),
    ):
        score = int(fuzz.token_sort_ratio(mine, theirs, processor=utils.default_process)) if mine and theirs else 0
        if score >= SAME_PLACE:
            found.append(Evidence(sign=sign, score=score))
    return found

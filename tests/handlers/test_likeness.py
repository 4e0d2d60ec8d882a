"""What is enough to ask whether two customers are one person, and what never is."""

from __future__ import annotations

from datetime import date

import pytest

from domain.contacts import ContactKind
from domain.links import Evidence, Sign, Traits
from handlers.likeness import evidence

PHONE = (ContactKind.PHONE, "+491701234567")
EMAIL = (ContactKind.EMAIL, "ann@example.com")
ANN = Traits(
    customer_id="A",
    names=("Ann Schmidt", "annie"),
    usernames=frozenset({"ann_s"}),
    points=frozenset({PHONE, EMAIL}),
    verified=frozenset({PHONE}),
    birthday=date(1990, 5, 17),
    address="Torstrasse 12, 10119 Berlin",
    company="Acme Ltd",
)


def other(**fields: object) -> Traits:
    """Somebody else, with these traits alone."""
    return Traits(customer_id="B", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("traits", "signs"),
    [
        ({"points": {PHONE}, "verified": {PHONE}}, [Sign.VERIFIED_PHONE]),
        ({"points": {PHONE}, "names": ("Schmidt, Ann",)}, [Sign.PHONE, Sign.NAME]),
        ({"points": {EMAIL}, "names": ("Anne Schmidt",)}, [Sign.EMAIL, Sign.NAME]),
        ({"names": ("Ann Schmitt",), "birthday": date(1990, 5, 17)}, []),  # 91: one letter in ten is too much here
        ({"names": ("Ann Schmidt",), "birthday": date(1990, 5, 17)}, [Sign.NAME, Sign.BIRTHDAY]),
        ({"names": ("ann schmidt",), "address": "torstrasse 12, 10119 berlin"}, [Sign.NAME, Sign.ADDRESS]),
        ({"names": ("Ann Schmidt",), "usernames": {"ann_s"}}, [Sign.NAME, Sign.USERNAME]),
        ({"names": ("Ann Schmidt",), "company": "ACME ltd"}, [Sign.NAME, Sign.COMPANY]),
    ],
)
def test_enough_to_ask(traits: dict[str, object], signs: list[Sign]) -> None:
    """The signs come with it, strongest first, and it is the same from either side."""
    found = evidence(ANN, other(**traits))
    assert [one.sign for one in found] == signs
    assert found == evidence(other(**traits), ANN)


@pytest.mark.parametrize(
    "traits",
    [
        {"names": ("Ann Schmidt",)},  # there are many of them
        {"points": {PHONE}},  # a number that somebody said, and another name or none
        {"points": {PHONE}, "names": ("Bob Miller",)},
        {"birthday": date(1990, 5, 17), "company": "Acme Ltd", "address": "Torstrasse 12, 10119 Berlin"},
        {"usernames": {"ann_s"}},
        {},
    ],
)
def test_never_enough(traits: dict[str, object]) -> None:
    """Neither a name alone nor anything weak without a name."""
    assert evidence(ANN, other(**traits)) == ()


def test_chinese_names_count_whole() -> None:
    """Two characters that differ in one are two people."""
    mine = Traits(customer_id="A", names=("李静",), points=frozenset({PHONE}))
    assert evidence(mine, other(names=("李静",), points={PHONE}))[-1] == Evidence(sign=Sign.NAME, score=100)
    assert evidence(mine, other(names=("李娜",), points={PHONE})) == ()

"""The answer to a search at the desk: masked as its queue and the channel asked for, never markup, never too long."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from bot.desk import blocks, found, words
from domain import search
from domain.model import Actor, ActorKind, Thread
from domain.routing import Mask, Queue
from domain.search import Found, Hit, Person
from tests.bot.desk.kit import MAYA
from tests.contracts.storage_kit import story
from tests.handlers.kit import rulebook

ANN = story("Annabelle Leeward")
EVIL = "<!channel> parcel for <https://evil.example|Ann>, call +49 170 1234567"


async def nowhere(_channel: str, _ts: str) -> str | None:
    """Slack does not say where a post is."""
    return None


async def told(answer: Found, query: str, *, queue: Mask = "none", place: Mask = "none") -> list[blocks.Block]:
    """The blocks of an answer, in a channel and about a queue with these masks; Slack knows Maya once it is asked."""
    met: dict[str, str] = {}

    async def meet(users: Iterable[str]) -> None:
        met.update((user, "maya") for user in users if user == MAYA)

    queues = {
        name: Queue(name=name, title=name, slack_channel=f"C0{name.upper()}", mask=mask)
        for name, mask in (("general", queue), ("other", place))
    }
    rules = rulebook(queues=queues)
    made = await found.post(
        search.parse(query), answer, place="C0OTHER", rules=rules, address=nowhere, names=met.get, meet=meet
    )
    return made.blocks


def hit(text: str) -> Hit:
    return Hit(entry=ANN.said(text), number=1001, queue="general", thread=Thread(channel="C0GENERAL", ts="1.0"))


@pytest.mark.parametrize(("queue", "place"), [("none", "none"), ("everything", "none"), ("none", "everything")])
async def test_the_strictest_mask_holds(queue: Mask, place: Mask) -> None:
    """What is personal is masked in any case; where nothing may go to Slack, or to this channel, nothing does."""
    said = json.dumps(await told(Found(messages=(hit(EVIL),)), "parcel", queue=queue, place=place))
    assert "1234567" not in said
    assert "<!channel>" not in said
    assert ("parcel" in said) is (queue == place == "none")
    assert (words.say("thread.kept_away") in said) is (queue != place)


async def test_names_are_masked_and_many_answers_fit() -> None:
    """People by initials and our id; as many whole lines as one block takes."""
    person = Person(customer=ANN.customer, identities=(), conversations=2)
    answer = Found(people=(person,) * 8, messages=(hit("parcel " * 400),) * 8, more=True)
    made = await told(answer, "parcel")
    assert "Annabelle" not in json.dumps(made)
    assert ANN.customer.id in json.dumps(made)
    texts = [block["text"]["text"] for block in made if block["type"] == "section"]
    assert all(len(text) <= blocks.SECTION_LIMIT for text in texts)


@pytest.mark.parametrize(("user", "named"), [(MAYA, "maya"), ("U0NOBODY", "a colleague")])
async def test_a_process_that_never_heard_of_a_colleague_names_them(user: str, named: str) -> None:
    """After a restart an answer to a search says who wrote, as every line of a thread does."""
    wrote = replace(
        hit("the parcel comes"), entry=replace(ANN.said("the parcel"), actor=Actor(kind=ActorKind.AGENT, id=user))
    )
    assert f"{named}: the parcel" in json.dumps(await told(Found(messages=(wrote,)), "parcel"))


async def test_nothing_says_why() -> None:
    """One character of Chinese alone finds names only."""
    assert "give two" in json.dumps(await told(Found(), "退", queue="none"))
    assert "All words must be in one message" in json.dumps(await told(Found(), "zebra"))
    assert "All that is asked for must hold" in json.dumps(await told(Found(), "label:billing"))


@pytest.mark.parametrize(
    ("language", "query", "said"),
    [
        ("en", "label:biling", "No topic is called “biling” now; did you mean “billing”?"),
        ("en", "queue:zzz", "No queue is called “zzz” now; there are: general, other."),
        ("en", "status:opened parcel", "No status is called “opened”; did you mean “open” or “done”?"),
        ("zh", "label:biling", "没有找到。现在没有叫“biling”的主题，您要找的是“billing”吗？"),
        ("zh", "queue:zzz", "现在没有叫“zzz”的队列，现有：general、other。"),
    ],
)
async def test_a_filter_that_names_nothing_is_named(language: str, query: str, said: str) -> None:
    """A slip of the pen is not taken for an empty record, here as at the command line."""
    with words.reading(language):
        (block, *_rest) = await told(Found(), query)
    assert said in block["text"]["text"]


def test_a_part_of_a_name_is_enough_to_suggest_it() -> None:
    """Nobody knows the ids of topics by heart: a slip in one of their words finds them, not a list of all."""
    known = {"label": ("billing_payment", "invoice_request", "order_cancel", "order_status", *map(str, range(30)))}
    said = found.nothing(search.parse("label:biling"), known)
    assert "billing_payment" in said
    assert "invoice" not in said
    both = found.nothing(search.parse("label:ordr"), known)
    assert "order_cancel" in both
    assert "order_status" in both
    assert "order_status" in found.nothing(search.parse("label:zzz"), known), "nothing is near: all there are"


def test_what_is_hidden_is_suggested_to_nobody_who_may_not_see_it() -> None:
    """Nor is it denied: whoever names it finds nothing there."""
    known = {"queue": ("general", "vip")}
    assert "general" in found.nothing(search.parse("queue:vop"), known, ["vip"])
    assert "vip" not in found.nothing(search.parse("queue:vop"), known, ["vip"])
    assert found.nothing(search.parse("queue:vip"), known, ["vip"]) == words.say("found.nothing_holds")

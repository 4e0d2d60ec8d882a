"""What a reply window shows of a conversation, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bot.canned import Canned
from bot.replying import Form, Refusal, Replying
from bot.signing import Signing
from classifiers.encoder import Encoded
from domain.changes import Changes
from domain.model import Thread
from domain.roles import Limits
from domain.routing import Mask, Queue
from storage import digests, tables
from storage.answering import Answering
from storage.signing import Signatures
from tests.contracts.storage_kit import NOW, Process, Story, story
from tests.handlers.kit import rulebook

ANN, MAYA = "U0ANN", "U0MAYA"
WORDS = "My number is +49 170 1234567, order 4711-22 has not come"


async def aside(work: Callable[[], list[float]]) -> list[float]:
    return work()


async def nobody(_agent: str) -> None:
    """Slack says no name."""


class Meaning:
    """Stands in for an encoder, to know what is nearest: what is about waiting is one thing, all else another."""

    fingerprint = "meaning"

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Of each text whether it is about waiting."""
        waits = np.array([["wait" in one or "has not come" in one] for one in texts], np.float32)
        return Encoded(vectors=np.hstack([waits, 1 - waits]), unknown=np.zeros(len(texts), np.float32))


async def opened(
    one: Process, mask: Mask, seen_by: Sequence[str] = (), encoder: Meaning | None = None
) -> tuple[Story, Replying]:
    """A conversation that stands in a thread, and the house's reply windows."""
    told = story("Ann Example", thread=Thread(channel="C0CARE", ts="1.0"), queue="care")
    await one.decide(told.opening(WORDS))
    queue = Queue(name="care", title="Care", slack_channel="C0CARE", mask=mask)
    queue = replace(queue, seen_by=Limits(agents=frozenset(seen_by)))
    rules = rulebook(queues={"care": queue}, signature="agent", agent_names={MAYA: "Maya"})
    made = Replying(
        database=one.db,
        record=one.record,
        rules=rules,
        answering=Answering(one.db),
        replies=Canned(None),
        aside=aside,
        encoder=lambda: encoder,
        languages=("en",),
        real=lambda: NOW,
        standing=one.views.standing,
        worded=one.views.worded,
        lately=one.views.said_lately,
        signing=Signing(rules=rules, languages=("en",), name_of=nobody, shown=Signatures(one.db), now=lambda: NOW),
    )
    return told, made


def shown(form: Form | Refusal) -> Form:
    assert isinstance(form, Form)
    return form


@pytest.mark.parametrize(
    ("mask", "newest", "customer", "order"),
    [
        ("none", WORDS, "Ann Example", "4711-22"),
        ("personal", "My number is [phone], order 4711-22 has not come", "A••• E•••", "4711-22"),
        ("everything", "(kept out of Slack)", "A••• E•••", ""),
    ],
)
async def test_a_window_shows_what_the_mask_lets_through(
    one: Process, mask: Mask, newest: str, customer: str, order: str
) -> None:
    """Words, name and order number; a name that is masked is written into no answer."""
    told, replying = await opened(one, mask)
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    assert (form.newest, form.customer, form.order) == (newest, customer, order)
    assert (form.signed, replying.called(MAYA, "maya.t")) == ("Maya", "Maya"), "as customers know her"
    assert shown(await replying.form(ANN, ("agent",), conversation_id=told.conversation.id)).signed == "Care"
    written = replying.filled(form, "where_is_my_order", "Maya", "").text
    assert ("Ann Example" in written) == (mask == "none")
    assert ("4711-22" in written) == (mask != "everything")
    assert "•" not in written


@pytest.mark.parametrize(("encoder", "nearest"), [(None, "order_number"), (Meaning(), "sorry_delay")])
async def test_replies_are_offered_by_what_they_mean(one: Process, encoder: Meaning | None, nearest: str) -> None:
    """By the encoder that is served; where there is none, by the words they share."""
    told, replying = await opened(one, "none", encoder=encoder)
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    assert form.best[0].id == nearest


async def test_a_reply_is_filled_in_with_who_answers_and_with_the_companys_links(one: Process) -> None:
    """Beside the customer's name and order."""
    told, replying = await opened(one, "none")
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    assert replying.filled(form, "looking_into_it", "Maya", "").text.endswith("\n\nMaya")
    links = replying.canned.book().links
    assert links["returns"] in replying.filled(form, "how_to_return", "Maya", "").text


async def test_a_window_does_not_open_over_a_hidden_queue(one: Process) -> None:
    """Neither by the button nor by the number; each refusal is audited, and whoever may see it is served."""
    told, replying = await opened(one, "none", seen_by=[ANN])
    form = shown(await replying.form(ANN, ("agent",), conversation_id=told.conversation.id))
    for named in ({"conversation_id": form.conversation_id}, {"number": form.number}):
        assert await replying.form(MAYA, ("agent",), **named) == "refused_queue"
    audited = [(row["actor"], row["action"], row["object"]) for row in await one.rows(tables.audit)]
    assert audited == [(f"agent:{MAYA}", "refused", f"conversation:{told.conversation.id}")] * 2
    assert await replying.form(MAYA, ("agent",), number=1) == "customer_unknown"


async def test_an_opened_window_stands_in_the_trail(one: Process) -> None:
    """It shows a customer's words: who opened it over which conversation, and the digest of the message it shows."""
    told, replying = await opened(one, "none")
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    await replying.opened(MAYA, form)
    (line,) = await one.rows(tables.timeline)
    (row,) = await one.rows(tables.audit)
    assert (row["actor"], row["action"]) == (f"agent:{MAYA}", "reply.open")
    assert (row["object"], row["detail"]) == (f"conversation:{told.conversation.id}", line["id"])
    (read,) = (await one.db.query(lambda conn: digests.of(conn, [f"entry:{line['id']}"]))).values()
    assert row["digest"] == read


async def test_a_window_shows_what_the_customer_has_left_of_their_words(one: Process) -> None:
    """A message that was changed is answered as it stands now; its order number is the one it has now."""
    told, replying = await opened(one, "none")
    (line,) = await one.rows(tables.timeline)
    before = told.said(WORDS, platform_id=line["platform_id"])
    edit = told.edited(replace(before, id=line["id"]), "Order 4712-33, I mean", seconds=9)
    await one.decide(Changes(reason="edit", entries=(edit,)))
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    assert (form.newest, form.order) == ("Order 4712-33, I mean", "4712-33")


async def test_a_window_knows_what_was_answered_already(one: Process) -> None:
    """Once everything is answered it still shows what the customer wrote last, and their order number, however much
    earlier they wrote it.
    """
    told, replying = await opened(one, "none")
    await one.decide(Changes(reason="more", entries=(told.said("And it was a present", seconds=5),)))
    answered = replace(told.conversation, unanswered_since=None, version=told.conversation.version + 1)
    await one.decide(Changes(reason="answered", conversation=answered))
    form = shown(await replying.form(MAYA, ("agent",), conversation_id=told.conversation.id))
    assert (form.newest, form.order) == ("And it was a present", "4711-22")

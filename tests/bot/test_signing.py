"""Names above answers, as they leave: shown where they are news, kept by changes, never in the record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import signing, text
from domain.changes import DeliveryKind
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.ports import ChatDelivery
from domain.signing import Signature
from storage import tables
from storage.engines import Connection
from tests.bot.test_rendering import LIMIT, Bench
from tests.contracts import storage_kit
from tests.contracts.storage_kit import new_id
from tests.handlers.kit import rulebook

AT = datetime.now(UTC)
SUPPORT = replace(rulebook().queues["support"], signed_as={"en": "Acme care", "zh": "客服中心"})


class Desk(Bench):
    """A bench on which answers are signed and arrive."""

    async def answers(self, words: str = "On its way", who: str = "U0MAYA", how: Signature = "agent") -> Entry:
        """An agent's answer."""
        actor = Actor(kind=ActorKind.AGENT, id=who)
        data = signing.noted(how, "support")
        return await self.keeps(words, kind=EntryKind.OUTGOING, actor=actor, seconds=5, data=data)

    async def leaves(self, entry: Entry, part: int = 0, number: str = "70", **about: Any) -> ChatDelivery:
        """A part of it is rendered, and its receipt written as the dispatcher does."""
        row = self.row(DeliveryKind.CHAT_TEXT, entry, id=new_id(), part=part, data=about)
        made = await self.in_the_chat(row)
        values = {
            "outbox_id": row.id,
            "entry_id": entry.id,
            "conversation_id": entry.conversation_id,
            "side": "chat",
            "part": part,
            "place": "",
            "platform_id": number,
            "at": AT.timestamp(),
            "signed": self.renderer.signed(row),
        }

        async def arrived(conn: Connection) -> None:
            await conn.execute(tables.deliveries.insert().values(**values))

        await self.process.db.write(arrived)
        self.renderer.shown(row)
        assert self.renderer.signed(row) is None, "a settled row is forgotten"
        return made


@pytest.fixture
async def desk(make_database: Callable[[str], str]) -> AsyncIterator[Desk]:
    """One conversation, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        made = Desk(process, queues={"support": SUPPORT}, agent_names={"U0LINA": "Lina"})
        await made.opened("hello")
        yield made


async def test_a_name_is_shown_where_it_is_news(desk: Desk) -> None:
    """Once for a person, again for another one; a long answer has it once, and each message is within the limit."""
    words = "one two three four five six seven eight nine ten eleven twelve"
    first = await desk.answers(words)
    count = len(text.split_places(words, signing.limit(LIMIT, first.data)))
    parts = [await desk.leaves(first, part, texts=count, parts=count) for part in range(count)]
    assert parts[0].text.startswith("Maya:\none two")
    assert " ".join(part.text for part in parts) == f"Maya:\n{words}"
    assert all(text.utf16_len(part.text) <= LIMIT for part in parts)
    assert (await desk.leaves(await desk.answers("It rains"))).text == "It rains"
    assert (await desk.leaves(await desk.answers("I help too", "U0LINA"))).text == "Lina:\nI help too"
    again = await desk.leaves(await desk.answers("Me again"))
    assert (again.text, [(one.style.value, one.start, one.length) for one in again.spans]) == (
        "Maya:\nMe again",
        [("bold", 0, 5)],
    )


async def test_a_change_keeps_the_name_that_its_copy_shows(desk: Desk) -> None:
    """The words change under it; where the copy shows none, none is put there."""
    shown, bare = await desk.answers("It costs 20"), await desk.answers("Anything else?")
    await desk.leaves(shown)
    await desk.leaves(bare, number="71")
    for of, message, said in ((shown, "70", "Maya:\nIt costs 25"), (bare, "71", "It costs 25")):
        data = {"edit_of": of.id, **of.data}
        edit = await desk.keeps("It costs 25", kind=EntryKind.NOTE, actor=of.actor, seconds=9, data=data)
        made = await desk.in_the_chat(desk.row(DeliveryKind.CHAT_EDIT, edit, data={"message_id": message}))
        assert made.text == said


async def test_the_team_stands_in_for_a_name_that_nobody_knows(desk: Desk) -> None:
    """In the customer's language; and for whom the company wants it."""
    wanted: tuple[tuple[Signature, str], ...] = (("team", "U0MAYA"), ("agent", "U0GONE"))
    for how, who in wanted:
        name = await desk.renderer._signing.of(await desk.answers("x", who, how), "zh-Hans")
        assert name is not None
        assert (name.key, desk.renderer._signing.label(name, "zh-Hans", 4096)) == ("team:support", "客服中心：")
    assert (await desk.leaves(await desk.answers("Hello", how="team"))).text == "Acme care:\nHello"
    told = {"text": "undo_signed", "user": "U0MAYA", "language": "en", **signing.noted("agent", "support")}
    assert (await desk.renderer._signing.announced(told))["name"] == "Maya"
    pressed = {**told, "user": "U0GONE", "author": "U0MAYA"}
    assert (await desk.renderer._signing.announced(pressed))["name"] == "Maya", "a colleague sent her words"
    gone = {**told, **signing.noted("agent", "gone"), "user": "U0GONE"}
    assert (await desk.renderer._signing.announced(gone))["text"] == "undo"


async def test_an_old_name_is_news_again(desk: Desk) -> None:
    """Who scrolls back a day to see who writes has been told too little."""
    await desk.leaves(await desk.answers("Good evening"))
    name = await desk.renderer._signing.of(await desk.answers("Good morning"), "en")
    assert name is not None
    of = desk.story.conversation.id
    soon = replace(desk.renderer._signing, now=lambda: AT + timedelta(hours=11))
    late = replace(desk.renderer._signing, now=lambda: AT + timedelta(hours=13))
    assert (await soon.is_news(of, name), await late.is_news(of, name)) == (False, True)
    assert await desk.renderer._signing.is_news("another conversation", name)


async def test_captions_and_plain_answers_are_under_the_name_too(desk: Desk) -> None:
    """A file has it in its caption, alone where it has no words; what is sent undressed has it undressed."""
    entry = await desk.answers("*all* good")
    plain = await desk.in_the_chat(desk.row(DeliveryKind.CHAT_TEXT, entry, data={"plain": True}))
    assert (plain.text, plain.spans) == ("Maya:\n*all* good", ())
    row = desk.row(DeliveryKind.CHAT_FILE, entry, data={"files": [], "texts": 0, "caption": True})
    chats = desk.renderer._chats
    for words, said in (("look", "Maya:\nlook"), ("", "Maya:")):
        made = ChatDelivery(id="O", kind=row.kind, address="1", text=words)
        assert (await chats._under_name(made, row, entry, desk.story.identity)).text == said

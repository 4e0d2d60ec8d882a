"""Groups of people: a conversation per topic or per person, and a group that becomes a supergroup."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import world as worlds
from tests.journeys import reading
from tests.world import LINA, MAYA, Phone, World, eventually

Json = dict[str, Any]


@asynccontextmanager
async def grouped(folder: Path, groups: str, **told: Any) -> AsyncIterator[World]:
    """A world whose conversations in groups are as said."""
    async with worlds.world(folder, start=False, **told) as made:
        made.overrides["telegram"]["groups"] = groups
        await made.start()
        yield made


async def test_each_topic_of_a_forum_is_a_conversation(tmp_path: Path) -> None:
    """What is said in two topics stands in two threads, each answer goes to its own, and a notice opens nothing."""
    async with grouped(tmp_path, "topic") as world:
        ann, ben = await world.customer("Ann"), await world.customer("Ben")
        made = await world.control(
            "telegram/groups", title="Shop", members=[ann.chat_id, ben.chat_id], topics=["Orders", "Bills"]
        )
        forum, topics = Phone(world=world, chat_id=made["chat_id"]), made["topics"]
        closing: Json = {"forum_topic_closed": {}}
        await forum.says("Where is my parcel?", user_id=ann.chat_id, topic=topics["Orders"])
        orders = await world.card()
        await forum.says(user_id=ann.chat_id, topic=topics["Orders"], content=closing)
        await forum.says("The bill is wrong", user_id=ben.chat_id, topic=topics["Bills"])
        await forum.says("Mine too", user_id=ann.chat_id, topic=topics["Bills"])
        bills = await world.card(1)
        await bills.says_ours("Mine too")
        await orders.says(MAYA, "It comes tomorrow")
        await bills.says(MAYA, "We mend it")
        answers = await eventually(lambda: _answers(forum, 2), what="both answers")
        assert {(one["text"], one["topic"]) for one in answers} == {
            ("It comes tomorrow", topics["Orders"]),
            ("We mend it", topics["Bills"]),
        }
        assert len(await world.cards()) == 2


async def test_each_person_of_a_group_is_a_customer_and_all_follow_when_it_moves(tmp_path: Path) -> None:
    """Two people, two threads; answers say whom they answer; as a supergroup both go on, in the same threads."""
    async with grouped(tmp_path, "customer") as world:
        ann, ben = await world.customer("Ann"), await world.customer("Ben")
        members = [ann.chat_id, ben.chat_id]
        made = await world.control("telegram/groups", title="Shop", members=members)
        group = Phone(world=world, chat_id=made["chat_id"])
        asked = await group.says("Where is my parcel?", user_id=ann.chat_id)
        first = await world.card()
        await group.says("The bill is wrong", user_id=ben.chat_id)
        second = await world.card(1)
        await second.says_ours("The bill is wrong")
        await first.says(MAYA, "It comes tomorrow")
        (answer,) = await eventually(lambda: _answers(group, 1), what="the answer")
        assert (answer["text"], answer["reply_to"]) == ("It comes tomorrow", asked)
        moved = await world.control("telegram/migrate", chat_id=group.chat_id, user_id=ann.chat_id)
        large = Phone(world=world, chat_id=moved["chat_id"])
        await large.says("And the next one?", user_id=ann.chat_id)
        await first.says_ours("And the next one?")
        await second.says(MAYA, "We mend it")
        assert [one["text"] for one in await eventually(lambda: _answers(large, 1), what="Ben's")] == ["We mend it"]
        assert len(await world.cards()) == 2


async def test_a_person_is_answered_in_the_topic_where_they_wrote(tmp_path: Path) -> None:
    """Not in the group at large: in the topic of the newest message, or of the one that is quoted."""
    async with grouped(tmp_path, "customer") as world:
        ann = await world.customer("Ann")
        made = await world.control("telegram/groups", title="Shop", members=[ann.chat_id], topics=["Orders", "Bills"])
        forum, topics = Phone(world=world, chat_id=made["chat_id"]), made["topics"]
        await forum.says("Where is my parcel?", user_id=ann.chat_id, topic=topics["Orders"])
        card = await world.card()
        await card.says(MAYA, "It comes tomorrow")
        await eventually(lambda: _answers(forum, 1), what="the answer")
        await card.says(MAYA, "With the blue van")
        await eventually(lambda: _answers(forum, 2), what="the second answer")
        await forum.says("The bill is wrong", user_id=ann.chat_id, topic=topics["Bills"])
        await card.says_ours("The bill is wrong")
        await card.says(MAYA, "We mend it")
        await eventually(lambda: _answers(forum, 3), what="the third answer")
        await forum.says("Thank you all", user_id=ann.chat_id)
        await card.says_ours("Thank you all")
        await card.says(MAYA, "Gladly")
        answers = await eventually(lambda: _answers(forum, 4), what="all answers")
        assert {one["text"]: one["topic"] for one in answers} == {
            "It comes tomorrow": topics["Orders"],
            "With the blue van": topics["Orders"],
            "We mend it": topics["Bills"],
            "Gladly": None,
        }


async def test_a_forum_in_chinese(tmp_path: Path) -> None:
    """A topic is called what its people call it, and a message without words that is answered by what it is."""
    async with grouped(tmp_path, "topic", languages=["zh", "en"], desk={"language": "zh"}) as world:
        ann = await world.customer("李静", language="zh")
        made = await world.control("telegram/groups", title="商店", members=[ann.chat_id], topics=["订单", "账单"])
        forum, topic = Phone(world=world, chat_id=made["chat_id"]), made["topics"]["订单"]
        place = {"latitude": 52.520008, "longitude": 13.404954}
        shown = await forum.says(user_id=ann.chat_id, topic=topic, location=place)
        card = await world.card()
        await forum.says("是这里吗？", user_id=ann.chat_id, topic=topic, reply_to=shown)
        await card.says_ours("是这里吗？", "回复这一条：位置")
        forwarded = {"text": "大家看看", "forward_origin": {"type": "telepathy", "date": 1}}
        await forum.says(user_id=ann.chat_id, topic=topic, content=forwarded)
        await card.says_ours("大家看看", "转发的消息，来源未知")
        await card.shows("商店 / 订单")
        await card.says(LINA, "是的，请到这里取货。")
        await eventually(lambda: _answers(forum, 1), what="the answer")
        assert await reading.misread(world, "zh", {}) == {}


async def _answers(phone: Phone, count: int) -> list[Json]:
    found = [message for message in await phone.chat() if message["from"] == "bot" and message["text"]]
    return found if len(found) >= count else []

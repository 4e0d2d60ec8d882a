"""The whole path, in both directions, in every cell of the matrix."""

from __future__ import annotations

from tests.world import MAYA, World, eventually


async def test_a_message_becomes_a_thread_and_the_answer_goes_back(everywhere: World) -> None:
    """A customer's words appear as a triaged card with a thread; the agent's answer arrives exactly as typed."""
    phone = await everywhere.customer("Ann", last_name="Lee")
    await phone.says("My parcel has not arrived, order 123. Where is it?")
    card = await everywhere.card()
    text = await card.text()
    assert "#1001" in text
    assert "Ann Lee" in text
    assert "My parcel has not arrived" in text
    posts = await eventually(card.posts, what="the message in the thread")
    assert "My parcel has not arrived" in posts[0]["text"]

    typed = "Hello <b>Ann</b> & all, it is on_its_way *today*. 您好"
    await card.says(MAYA, typed)
    answers = await eventually(phone.answers, what="the answer on the phone")
    assert answers == [typed]

    async def settled() -> bool:
        return "Waiting for customer" in await card.text() and f"<@{MAYA}>" in await card.text()

    await eventually(settled, what="the card says whose turn it is")
    stored = await everywhere.log(platform="telegram", kind="bot_message")
    assert len(stored) == 1, "the answer was stored once"


async def test_two_customers_are_never_mixed(pairwise: World) -> None:
    """Two conversations run side by side; each answer reaches the customer it was written to, in order."""
    ann, li = await pairwise.customer("Ann"), await pairwise.customer("李雷", "zh")
    await ann.says("I cannot log in to my account")
    await li.says("我的快递三天没动静了，能查一下吗")
    second, first = await pairwise.card(1), await pairwise.card(0)  # the order holds once both are there
    ann_card, li_card = (first, second) if "log in" in await first.text() else (second, first)
    assert "快递" in await li_card.text()
    for number in range(3):
        await ann_card.says(MAYA, f"Ann {number}")
        await li_card.says(MAYA, f"李 {number}")
        await ann.says(f"more from Ann {number}")

    async def all_there() -> bool:
        return len(await ann.answers()) == 3 and len(await li.answers()) == 3

    await eventually(all_there, what="all six answers")
    assert await ann.answers() == [f"Ann {number}" for number in range(3)]
    assert await li.answers() == [f"李 {number}" for number in range(3)]

    async def shown() -> bool:
        return sum("more from Ann" in post["text"] for post in await ann_card.posts()) == 3

    await eventually(shown, what="Ann's further messages in her thread")
    assert not any("Ann" in post["text"] for post in await li_card.posts())


async def test_nothing_is_lost_over_a_restart(pairwise: World) -> None:
    """What was written while we were away, on both sides, arrives once after the start, in order."""
    phone = await pairwise.customer("Ann")
    await phone.says("first, before")
    card = await pairwise.card()
    assert await pairwise.stop() == 0
    for number in range(3):
        await phone.says(f"while away {number}")
    await card.says(MAYA, "written while the bot was away")
    await pairwise.start()

    async def arrived() -> bool:
        posts = [post["text"] for post in await card.posts() if post.get("bot_id")]
        return [text for text in posts if "while away" in text] == [f"while away {n}" for n in range(3)]

    await eventually(arrived, what="the customer's messages in order")
    assert await eventually(phone.answers, what="the agent's answer") == ["written while the bot was away"]

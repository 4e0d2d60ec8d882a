"""Many at once: nothing is lost, nothing doubles, nobody overtakes themselves."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import world as worlds
from tests.world import MAYA, World, eventually

CUSTOMERS, MESSAGES = 12, 5
SAYS = re.compile(r"(-?\d+) says (\d)")


async def test_a_burst_of_sixty_messages(pairwise: World) -> None:
    """Sixty messages of twelve customers, interleaved, are all shown: once, in the right thread, in their order."""
    phones = [await pairwise.customer(f"Customer{place:02}") for place in range(CUSTOMERS)]
    words = [
        {"chat_id": phone.chat_id, "text": f"customer {place} asks {number}: where is my order?"}
        for number in range(MESSAGES)
        for place, phone in enumerate(phones)
    ]
    await pairwise.control("telegram/send_many", messages=words)

    async def shown() -> dict[int, list[str]] | None:
        found: dict[int, list[str]] = {}
        for card in await pairwise.cards():
            texts = [post["text"] for post in await card.posts() if " asks " in post["text"]]
            if texts:
                found[int(texts[0].split()[1])] = texts
        return found if sum(map(len, found.values())) >= CUSTOMERS * MESSAGES else None

    threads = await eventually(shown, what="sixty messages in the threads")
    assert threads == {
        place: [f"customer {place} asks {number}: where is my order?" for number in range(MESSAGES)]
        for place in range(CUSTOMERS)
    }
    cards = await pairwise.cards()
    assert len(cards) == CUSTOMERS
    for card in cards:
        await card.says(MAYA, f"answer in {card.channel}/{card.ts}")

    async def answered() -> bool:
        return all([len(await phone.answers()) == 1 for phone in phones])

    await eventually(answered, what="an answer on every phone")
    posts = await pairwise.log(platform="slack", kind="post")
    counted = Counter(p["data"]["text"] for p in posts if " asks " in p["data"]["text"] and p["data"].get("thread_ts"))
    assert set(counted.values()) == {1}, "Slack stored every message once"
    numbers = sorted([(await card.root())["text"].split()[0] for card in cards])
    assert numbers == [f"#{1001 + place}" for place in range(CUSTOMERS)]


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[World]:
    """A world that keeps to one post a second and channel, with all of one queue in one channel."""
    pace = {"enabled": True, "slack_per_channel_per_second": 1.2}
    async with worlds.world(tmp_path, limits=pace, routing=[{"queue": "support"}], triage_queue="support") as made:
        yield made


async def test_waiting_messages_become_one_post_and_stay_whole(busy: World) -> None:
    """Joined, in order, once each even when Slack's answer is lost, and a later change is seen where they stand."""
    first, ann, bob = [await busy.customer(name) for name in ("Cy", "Ann", "Bob")]
    await first.says("hello")  # its card keeps the channel busy, so that the other two must wait
    ids: dict[int, list[int]] = {}
    for number in range(4):
        if number == 1:
            await busy.card()
            await busy.control("faults", platform="slack", method="chat.postMessage", fault="drop_after", count=2)
        ids[number] = [await phone.says(f"{phone.chat_id} says {number}") for phone in (ann, bob)]
    for number in (1, 3):  # before anything of it is shown: the change waits behind what it changes
        await ann.does("edit", message_id=ids[number][0], text=f"{ann.chat_id} corrects {number}")

    async def shown() -> dict[int, list[str]] | None:
        found: dict[int, list[str]] = {}
        seen: list[set[str]] = []
        for card in await busy.cards():
            on_card, *below = [
                SAYS.findall(json.dumps(post["blocks"])) for post in (await card.root(), *await card.posts())
            ]
            numbers = [number for _, number in on_card]
            # The first of them came with the card; it quotes the newest beside, which may not be posted yet.
            came = [number for place, number in enumerate(numbers) if numbers[: place + 1] == list("0123")[: place + 1]]
            said = [*on_card, *(one for post in below for one in post)]
            if said:
                posted = [number for post in below for _, number in post]
                found[int(said[0][0])] = [*(number for number in came if number not in posted), *posted]
                seen.append({number for _, number in said})
        return found if seen == [set("0123")] * 2 and len(found[bob.chat_id]) >= 4 else None

    threads = await eventually(shown, what="eight messages")
    records = await busy.log(platform="slack", kind="post")
    shown_in = [json.dumps(one["data"]["blocks"]) for one in records]
    posts = [text for text in shown_in if " says " in text and " corrects " not in text]
    assert len(posts) <= 6, "eight messages and two cards"
    (hers,) = [
        card for card in await busy.cards() if str(ann.chat_id) in json.dumps([await card.root(), *await card.posts()])
    ]

    async def mended() -> bool:
        places = [json.dumps(post["blocks"]) for post in (await hers.root(), *await hers.posts())]
        unstruck = "".join(text for text in places if '"strike": true' not in text)
        stand = [f"{ann.chat_id} {word}" in unstruck for word in ("says 0", "corrects 1", "says 2", "corrects 3")]
        return all(stand) and not any(f"{ann.chat_id} says {number}" in unstruck for number in (1, 3))

    await eventually(mended, what="what was changed before it was shown, where its words stand")
    (carried,) = [card for card in await busy.cards() if f"{bob.chat_id} says 0" in await card.text()]
    assert threads[bob.chat_id] == list("0123"), "the last card waited, and carries what had come by then"
    for number in (0, 3):
        await bob.does("edit", message_id=ids[number][1], text=f"{bob.chat_id} corrects {number}")

    async def corrected() -> bool:
        posts = [await carried.root(), *await carried.posts()]
        places = [json.dumps(post["blocks"]) for post in posts]
        first = [text for text in places if "corrects 0" in text and "(edited)" in text]
        last = [text for text in places if "corrects 3" in text and "(edited)" in text]
        return bool(first and last) and "says 1" in "".join(places)

    await eventually(corrected, what="both changes where the words stand")
    await carried.says(MAYA, "Thank you, I am looking")
    await eventually(bob.answers, what="the answer")
    await carried.shows("Waiting for customer", "corrects 0")

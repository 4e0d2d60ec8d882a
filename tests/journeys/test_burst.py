"""Many at once: nothing is lost, nothing doubles, nobody overtakes themselves."""

from __future__ import annotations

from collections import Counter

from tests.world import MAYA, World, eventually

CUSTOMERS, MESSAGES = 12, 5


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

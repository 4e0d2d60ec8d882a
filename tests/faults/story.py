"""What the fault tests tell again and again: a conversation that has begun, a fault, an answer that arrives."""

from __future__ import annotations

from typing import Any

from tests.world import MAYA, PATIENCE_S, Card, Phone, World, eventually

UNCLEAR = "not certain that this answer arrived"


async def begun(world: World, name: str = "Ann", text: str = "Where is my parcel?") -> tuple[Phone, Card]:
    """A customer has written, and the message stands in a thread."""
    phone = await world.customer(name)
    await phone.says(text)

    async def posted() -> Card | None:
        for card in await world.cards():
            root = await card.root()
            if f" {name} " in root["text"] and root.get("replies"):
                return card
        return None

    card: Card = await eventually(posted, what=f"the card of {name} with the message in its thread")
    return phone, card


async def fault(world: World, platform: str, method: str, kind: str, **more: Any) -> None:
    """The platform misbehaves from now on (once, where nothing else is said)."""
    await world.control("faults", platform=platform, method=method, fault=kind, **more)


async def no_more_faults(world: World) -> None:
    """The platforms behave again."""
    await world.client.delete("/control/faults")


async def answers(card: Card, *texts: str) -> None:
    """An agent answers, line by line."""
    for text in texts:
        await card.says(MAYA, text)


async def arrive(phone: Phone, *texts: str, within: float = PATIENCE_S) -> None:
    """Wait until exactly these answers stand on the phone, in this order."""

    async def there() -> bool:
        found = await phone.answers()
        assert len(found) <= len(texts), f"more than was written: {found}"
        return found == list(texts)

    await eventually(there, within=within, what=f"{texts} on the phone")


async def stand(card: Card, *texts: str, within: float = PATIENCE_S) -> None:
    """Wait until exactly these words of the customer stand in the thread, each once, in this order."""

    async def there() -> bool:
        posts = [post["text"] for post in await card.posts() if post.get("bot_id")]
        return [text for text in posts if text in texts] == list(texts)

    await eventually(there, within=within, what=f"{texts} in the thread")


async def requests(world: World, platform: str, method: str) -> int:
    """How often a method was called so far."""
    counts = (await world.look("log/counts"))["requests"][platform]
    return int(counts.get(method, 0))


async def tried_again(world: World, platform: str, method: str, times: int = 3) -> None:
    """Wait until a method was called so many times more: what did not happen by then does not happen."""
    before = await requests(world, platform, method)

    async def called() -> bool:
        return await requests(world, platform, method) >= before + times

    await eventually(called, what=f"{method} {times} times more")


async def waiting(world: World) -> int:
    """How many rows of the outbox are not done."""
    counts = await world.house.stores.outbox.counts()
    return sum(count for state, count in counts.items() if state != "dead")

"""Malformed updates: each is handled or set aside with a reason, the next good one is processed, nothing spins."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tests.faults.story import begun, requests, stand
from tests.world import World, eventually

CHAT = {"id": 510009999, "type": "private", "first_name": "Odd"}
FROM = {"id": 510009999, "is_bot": False, "first_name": "Odd"}
DATE = 1795000000
MOST_A_SECOND = 5  # a hot loop asks hundreds of times


def message(**fields: Any) -> dict[str, Any]:
    """A good message with some fields replaced; None leaves a field out."""
    whole = {"message_id": 1, "date": DATE, "chat": CHAT, "from": FROM, "text": "odd", **fields}
    return {name: value for name, value in whole.items() if value is not None}


ODD: dict[str, dict[str, Any]] = {
    "message is a string": {"message": "text"},
    "message is a list": {"message": [message()]},
    "message is null": {"message": None},
    "message is empty": {"message": {}},
    "date is text": {"message": message(date="yesterday")},
    "date is huge": {"message": message(date=10**18)},
    "date is missing": {"message": message(date=None)},
    "date is negative": {"message": message(date=-5)},
    "from is empty": {"message": message(**{"from": {}})},
    "from is a number": {"message": message(**{"from": 7})},
    "chat is a string": {"message": message(chat="somewhere")},
    "chat is missing": {"message": message(chat=None)},
    "chat has no id": {"message": message(chat={"type": "private"})},
    "chat id is text": {"message": message(chat={"id": "x", "type": "private"})},
    "message id is text": {"message": message(message_id="one")},
    "entities are a number": {"message": message(entities=5)},
    "an entity is out of bounds": {"message": message(entities=[{"type": "bold", "offset": 10**6, "length": -3}])},
    "text is a number": {"message": message(text=12)},
    "a lone surrogate": {"message": message(text="half \ud83d a face", message_id=2)},
    "a NUL": {"message": message(text="nul \x00 byte", message_id=3)},
    "an unknown field": {"message": message(text="unknown field", message_id=4, hologram={"depth": 3})},
    "an unknown kind": {"telepathy": {"id": 1}},
    "photo is a word": {"message": message(text=None, photo="mug.png", message_id=5)},
    "reply to itself, as text": {"message": message(reply_to_message="the one before", message_id=6)},
}


async def test_twenty_four_malformed_updates_stop_nothing(world: World) -> None:
    """A good message before and after each of them appears; nothing is asked for in a hot loop."""
    phone, card = await begun(world, "Ann", "good 0")
    number = 700_100_000
    wanted = ["good 0"]
    for place, update in enumerate(ODD.values(), 1):
        await world.control("telegram/update_id", next=number + 1)
        raw = json.dumps({"update_id": number, **update})  # half a character survives only as an escape
        await world.control("telegram/raw", raw=raw)
        text = f"good {place}"
        wanted.append(text)
        await phone.says(text)
        number += 2
    await stand(card, *wanted)

    async def all_confirmed() -> bool:
        return not (await world.look("telegram/updates"))["updates"]

    await eventually(all_confirmed, what="every update confirmed")
    assert await _polls_a_second(world) <= MOST_A_SECOND, "a long poll of two seconds, not a hot loop"
    dead = await world.house.stores.inbox.dead()
    assert dead, "what cannot be read is set aside"
    assert all(letter.reason for letter in dead)


async def test_updates_without_an_id_are_set_aside_and_polling_goes_on(world: World) -> None:
    """What cannot be confirmed by number does not keep the others from coming, and does not spin."""
    phone, card = await begun(world, "Ann", "good 0")
    for update in ({"message": message()}, {"update_id": "seven", "message": message()}, {"update_id": -1}):
        await world.control("telegram/raw", update=update, times=3)
    await world.control("telegram/raw", raw='{"update_id": 700200000, "mess', times=1)
    await phone.says("good 1")
    await stand(card, "good 0", "good 1")
    assert await _polls_a_second(world) <= MOST_A_SECOND


async def _polls_a_second(world: World) -> float:
    """How often Telegram is asked, over the next two seconds or however long the machine makes of them."""
    began, before = time.monotonic(), await requests(world, "telegram", "getUpdates")
    await asyncio.sleep(2.0)
    asked = await requests(world, "telegram", "getUpdates") - before
    return asked / (time.monotonic() - began)

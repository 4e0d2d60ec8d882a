"""People who press what is not theirs, and who may no longer do what they began."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from storage import tables
from tests.world import LINA, MAYA, Card, Phone, World, eventually


async def begun(world: World, name: str, place: int) -> tuple[Phone, Card]:
    """A customer whose first message stands in its thread."""
    phone = await world.customer(name)
    await phone.says("Where is my parcel?")
    card = await world.card(place)
    await eventually(card.posts, what="the message in the thread")
    return phone, card


async def rows(world: World, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of a table, in the order of its rows."""
    async with world.house.stores.database.read() as conn:
        query = select(*[table.c[name] for name in columns]).order_by(table.c.id)
        return [tuple(row) for row in await conn.execute(query)]


async def test_a_button_settles_nothing_of_another_conversation(world: World) -> None:
    """A button that names one conversation and another one's answer changes neither, and says so."""
    _, hers = await begun(world, "Ann", 0)
    ben, his = await begun(world, "Ben", 1)
    await ben.does("block")
    await his.says(MAYA, "hello Ben")
    failed = await his.says_ours("not delivered")
    value = next(e["value"] for b in failed["blocks"] for e in b.get("elements", []) if e.get("action_id") == "retry")
    ids = [id_ for id_, _ in sorted(await rows(world, tables.conversations, "id", "number"), key=lambda row: row[1])]
    before = await rows(world, tables.conversations, "id", "status", "delivery_state", "version")
    for action in ("mark_arrived", "retry"):
        pressed = {
            "agent_id": MAYA,
            "action": action,
            "conversation": ids[0],
            "value": value.replace(ids[1], ids[0]),
        }
        await _presses(world, hers, pressed)
    await hers.whispered(MAYA, "settled already")
    assert await rows(world, tables.conversations, "id", "status", "delivery_state", "version") == before
    states = [state for kind, state in await rows(world, tables.outbox, "kind", "state") if kind == "chat.text"]
    assert states == ["dead"], "Ben's answer still waits to be dealt with"


async def _presses(world: World, card: Card, pressed: dict[str, str]) -> None:
    """A press as Slack would tell it, put into the inbox by the way everything takes."""
    now = (await world.now()).timestamp()
    payload = {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX"},
        "user": {"id": pressed["agent_id"], "team_id": "T0SANDBOX"},
        "channel": {"id": card.channel},
        "container": {"type": "message", "message_ts": card.ts, "channel_id": card.channel},
        "trigger_id": f"{pressed['action']}",
        "actions": [{"action_id": pressed["action"], "value": pressed["value"], "action_ts": f"{now:.6f}"}],
    }
    await world.house.desk._intake.take("interactive", payload)


async def test_who_becomes_a_guest_changes_nothing_any_more(world: World) -> None:
    """An agent who is made a guest can neither edit nor delete what a customer has read, nor go on duty."""
    ann, card = await begun(world, "Ann", 0)
    ts = await card.says(MAYA, "It costs 20")
    await eventually(ann.answers, what="the answer")
    await world.control("slack/user", id=MAYA, is_restricted=True)
    await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="It is free")
    await card.whispered(MAYA, "changed only here")
    await world.control("slack/delete", user=MAYA, channel=card.channel, ts=ts)
    await world.command(MAYA, "on")
    await card.says(LINA, "Anything else?")

    async def last() -> bool:
        return (await ann.answers())[-1:] == ["Anything else?"]

    await eventually(last, what="another agent's answer")
    assert await ann.answers() == ["It costs 20", "Anything else?"]
    assert not [one for one in await world.ephemerals("C0SUPPORT", MAYA) if "on duty" in one]


async def test_a_styled_note_stays_inside(world: World) -> None:
    """Bold, quoted or with something unseen in its prefix, a note reaches no customer."""
    ann, card = await begun(world, "Ann", 0)
    for note in ("*// bold*", "> // quoted", "/\u200b/ unseen", "`//` code", "_// slanted_"):
        await card.says(MAYA, note)
    await card.says(MAYA, "It comes tomorrow")
    await eventually(ann.answers, what="the answer")
    assert await ann.answers() == ["It comes tomorrow"]

"""Who may speak to customers, and what never reaches them."""

from __future__ import annotations

import pytest

from tests.world import LINA, MAYA, STRANGER, World, eventually

GUEST, PARTNER = "U0GUEST", "U0PARTNER"


async def test_strangers_reach_no_customer(both: World) -> None:
    """Somebody without the role, a guest, and another company are told so alone; the refusal is in the audit log."""
    phone = await both.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await both.card()
    await eventually(card.posts, what="the message in the thread")
    here = next(c for c in (await both.look("slack/channels"))["channels"] if c["id"] == card.channel)["members"]
    if missing := [user for user in (STRANGER, GUEST, PARTNER) if user not in here]:
        await both.control("slack/invite", channel=card.channel, users=missing)
    for user in (STRANGER, GUEST, PARTNER):
        await card.says(user, f"Hello, this is {user}")
        told = await card.whispered(user, "Only agents can answer here")
        assert "Nothing was sent" in told
    await card.presses(STRANGER, "assign_me")
    await card.whispered(STRANGER, "do not have the role")
    await card.says(MAYA, "Hello Ann")
    assert await eventually(phone.answers, what="the agent's answer") == ["Hello Ann"]
    assert "U0STRANGER" not in await card.text()
    refused = await both.audited("refused")
    assert refused == [f"agent:{user}" for user in (STRANGER, GUEST, PARTNER, STRANGER)]


async def test_a_note_stays_inside(both: World) -> None:
    """A line with the note prefix, however typed, reaches no customer; neither does it when it is edited."""
    phone = await both.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await both.card()
    await eventually(card.posts, what="the message in the thread")
    ts = await card.says(MAYA, "// she called twice already")
    for note in ("  // and she is right", "／／ 内部备注", "/／ mixed"):
        await card.says(LINA, note)
    await both.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="she called twice already")
    await card.says(MAYA, "It comes tomorrow")
    await eventually(phone.answers, what="the answer")
    assert await phone.answers() == ["It comes tomorrow"]
    assert await card.reactions(ts) == [], "no check mark: nothing was sent"


@pytest.mark.parametrize("ends", ["taken out of the group", "deactivated"])
async def test_who_stops_being_an_agent_is_refused_at_once(world: World, ends: str) -> None:
    """Roles are asked of Slack: whoever leaves the group can answer no customer any more."""
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.says(MAYA, "one")
    await eventually(phone.answers, what="the answer of an agent")
    if ends == "deactivated":
        await world.control("slack/usergroup", id="S0AGENTS", users=[])
    else:
        await world.control("slack/usergroup", id="S0AGENTS", users=[LINA])
    await card.says(MAYA, "two")
    await card.whispered(MAYA, "Only agents can answer here")
    assert await phone.answers() == ["one"]

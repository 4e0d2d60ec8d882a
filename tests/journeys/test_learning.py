"""What agents correct is learnt: a neighbour at once, a new version without a restart, explained, and checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from classifiers import versions
from tests import world as worlds
from tests.world import JONAS, MAYA, MODEL, World, eventually

ASKED = "the frobnicator of my gizmo makes a funny noise"


async def learning(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    """A world with a model folder of its own, that learns from everybody."""
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("versions", "live.json", ".*"))
    given = {"keep_text": True, "audit_share": 0.0, "train_hour": None, "train_after": None} | settings
    async with worlds.world(tmp_path, classifier={"model_dir": str(folder)}, learning=given) as made:
        yield made


@pytest.fixture
async def teachable(tmp_path: Path) -> AsyncIterator[World]:
    """It trains after eight labels."""
    async for made in learning(tmp_path, train_after=8):
        yield made


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[World]:
    """Everything that it routes is checked."""
    async for made in learning(tmp_path, audit_share=1.0):
        yield made


async def figures(world: World) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{world.address}/metrics")).text


async def test_corrections_become_a_version_that_routes_the_next_message(teachable: World) -> None:
    """Eight corrections, a training in the background, the gate, and the same bot reads the next such message anew."""
    world = teachable
    folder = Path(world.overrides["classifier"]["model_dir"])
    shop = world.folder / "shop"
    assert world.house.triage.classifier.version.startswith("blend-")
    before = world.house.triage.classifier.version
    for place, part in enumerate(("knob", "lid", "leg", "wheel", "screw", "belt", "lamp", "hinge")):
        phone = await world.customer(f"C{place}")
        await phone.says(f"the {part} of my gizmo makes a funny noise")
        card = await world.card(place)
        await card.chooses(MAYA, "relabel", "Complaint")
        await card.shows("*Complaint*")

    async def trained() -> bool:
        return "relaydesk_model_version 1.0" in await figures(world)

    await eventually(trained, within=120, what="a new version answers")
    assert versions.pointer(folder).live == 1
    after = world.house.triage.classifier.version
    assert after != before
    assert not shop.exists()
    phone = await world.customer("Bo")
    await phone.says(ASKED)
    card = await world.card(8)
    await card.shows("*Complaint*")
    assert 'relaydesk_labels_total{kind="intent",source="c' in await figures(world)
    assert "relaydesk_trainings_total" in await figures(world)


async def test_a_confirmed_message_is_evidence_for_the_next(audited: World) -> None:
    """One tap in the thread confirms the topic; the message is a neighbour at once, and "Why?" names it."""
    world = audited
    phone = await world.customer("Ann")
    await phone.says("Where is my order? I ordered last Monday.")
    card = await world.card()
    await card.shows("Order status")
    question = await card.says_ours("Spot check", "Order status")
    await card.presses(MAYA, "confirm", ts=question["ts"])
    await card.says_ours("Topic confirmed", "Order status", "maya")
    await card.presses(MAYA, "confirm", ts=question["ts"])
    await card.whispered(MAYA, "already")

    async def learnt() -> bool:
        return "+1" in world.house.triage.classifier.version

    await eventually(learnt, what="the neighbour is known")
    other = await world.customer("Bo")
    await other.says("Where is my order? I ordered last Tuesday.")
    second = await world.card(1)
    await second.chooses(JONAS, "more", "Why?")
    told = await second.whispered(JONAS, "Nearest:")
    lines = told.split("\n")
    assert len(lines) == 4
    assert "Order status" in lines[0]
    assert "%" in lines[0]
    assert "order" in lines[1]
    assert "Where is my order? I ordered last Monday." in lines[2]
    assert "confirmed" in lines[2]
    assert "blend-" in lines[3]
    posts = json.dumps(await second.posts())
    assert "Nearest:" not in posts, "it is told to one person"


async def test_strangers_get_no_reasons(audited: World) -> None:
    """Neither the question nor the answer is for whoever has no role."""
    world = audited
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    question = await card.says_ours("Spot check")
    await card.presses("U0STRANGER", "confirm", ts=question["ts"])
    await card.whispered("U0STRANGER", "do not have the role")
    assert await world.house.stores.labels.counts() == []

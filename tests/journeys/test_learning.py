"""What agents correct is learnt: a neighbour at once, a new version without a restart, explained, and checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.metrics import REGISTRY
from classifiers import build, encoder, folders, taxonomy, versions
from tests import world as worlds
from tests.classifiers.shop import make_shop
from tests.world import JONAS, MAYA, MODEL, World, eventually

ASKED = "the frobnicator of my gizmo makes a funny noise"


async def learning(tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    """A shop of three topics with a model of its own, that learns from everybody."""
    shop, folder = make_shop(tmp_path / "shop"), tmp_path / "model"
    shutil.copytree(folders.paths(MODEL).encoder, folders.paths(folder).encoder)
    served = encoder.load(folders.paths(folder).encoder, threads=1)
    build.train_heads(folders.paths(folder).heads, taxonomy.read(shop), served)
    given = {"keep_text": True, "audit_share": 0.0, "train_hour": None, "train_after": None} | settings
    async with worlds.world(
        tmp_path,
        classifier={"model_dir": str(folder), "taxonomy": str(shop)},
        routing=[{"name": "the rest", "queue": "support"}],
        queues={
            name: {"channel": "C0SUPPORT"} for name in ("support", "billing", "tech", "triage")
        },  # so that no card moves
        learning=given,
    ) as made:
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


def lived() -> float:
    """Trainings of this process that went live, whichever test they were for."""
    return REGISTRY.get_sample_value("relaydesk_trainings_total", {"outcome": "live"}) or 0.0


def heads(world: World) -> str:
    """The version that answers, without the neighbours it took up since."""
    return world.house.triage.classifier.version.partition("+")[0]


async def figures(world: World) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{world.address}/metrics")).text


async def test_corrections_become_a_version_that_routes_the_next_message(teachable: World) -> None:
    """Eight corrections, a training in the background, the gate, and the same bot reads the next such message anew."""
    world = teachable
    folder = Path(world.overrides["classifier"]["model_dir"])
    before = heads(world)
    so_far = lived()
    for place, part in enumerate(("knob", "lid", "leg", "wheel", "screw", "belt", "lamp", "hinge")):
        phone = await world.customer(f"C{place}")
        await phone.says(f"the {part} of my gizmo makes a funny noise")
        card = await world.card(place)
        await card.chooses(MAYA, "change", "money")
        await card.shows("*money*")

    def trained() -> bool:
        return heads(world) != before

    await eventually(trained, within=120, what="a new version answers")
    assert versions.pointer(folder).live == 1
    assert "relaydesk_model_version 1.0" in await figures(world)
    phone = await world.customer("Bo")
    await phone.says(ASKED)
    card = await world.card(8)
    await card.shows("*money*")
    assert 'relaydesk_labels_total{kind="intent",source="c' in await figures(world)

    def counted() -> bool:
        return lived() == so_far + 1

    await eventually(counted, what="the training is counted")


async def test_a_confirmed_message_is_evidence_for_the_next(audited: World) -> None:
    """One tap in the thread confirms the topic; the message is a neighbour at once, and "Why?" names it."""
    world = audited
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel? It should have come on Monday.")
    card = await world.card()
    await card.shows("*parcel*")
    question = await card.says_ours("Spot check", "parcel")
    await card.presses(MAYA, "confirm", ts=question["ts"])
    await card.says_ours("Topic confirmed", "parcel", "Maya")
    await card.presses(MAYA, "confirm", ts=question["ts"])
    await card.whispered(MAYA, "already")

    async def learnt() -> bool:
        return "+1" in world.house.triage.classifier.version

    await eventually(learnt, what="the neighbour is known")
    other = await world.customer("Bo")
    await other.says("Where is my parcel? It should have come on Tuesday.")
    second = await world.card(1)
    await second.chooses(JONAS, "more", "Why?")
    told = await second.whispered(JONAS, "Nearest:")
    lines = told.split("\n")
    assert len(lines) == 4
    assert "parcel" in lines[0]
    assert "%" in lines[0]
    assert "parcel" in lines[1]
    assert "Where is my parcel? It should have come on Monday." in lines[2]
    assert "confirmed" in lines[2]
    assert "blend-" in lines[3]
    posts = json.dumps(await second.posts())
    assert "Nearest:" not in posts, "it is told to one person"


async def test_strangers_get_no_reasons(audited: World) -> None:
    """Neither the question nor the answer is for whoever has no role."""
    world = audited
    phone = await world.customer("Ann")
    await phone.says("where is my parcel")
    card = await world.card()
    question = await card.says_ours("Spot check")
    await card.presses("U0STRANGER", "confirm", ts=question["ts"])
    await card.whispered("U0STRANGER", "do not have the role")
    assert await world.house.stores.labels.counts() == []

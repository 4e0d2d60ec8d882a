"""What each stage of the path costs, one after the other, and what it costs when the database is full.

Intake, worker and dispatcher run one at a time over the same messages, so that all CPU spent belongs to one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import kit
from bot import app, life, logs, settings, times
from bot.app import House
from bot.ids import new_id
from bot.worker import LANES_PER_BATCH
from classifiers import folders
from classifiers.encoder import load as load_encoder
from domain.assessment import Text
from domain.changes import Changes
from domain.model import Conversation, Customer, Identity, Status, Thread
from storage import flush
from storage.engines import Connection

MESSAGES = 600
CUSTOMERS = 100
CLASSIFIED = 1000
BATCH = 32
ROUNDS = 5
FEW, MANY = 1_000, 100_000
SEED_BATCH = 500


async def measure(folder: Path, scale: float) -> dict[str, Any]:
    """`encoder_only_per_s`, `cpu_ms_per_message` by stage, `cost_ratio_100k`."""
    logs.configure("warning", json=True)
    figures: dict[str, Any] = {}
    async with kit.process("-m", "sandbox", "--port", "0") as (_, sandbox):
        judge = kit.Judge(sandbox["url"])
        found = settings.load(
            kit.ROOT / "config.yaml", environment={}, overrides=kit.overrides(sandbox["url"], folder / "stages")
        )
        async with app.build(found) as house:
            life.settle_down()  # as the product does when it is ready
            figures["encoder_only_per_s"] = encoder_only(house, int(CLASSIFIED * scale))
            chats = await judge.customers(CUSTOMERS)
            await _round(house, judge, chats, 0, CUSTOMERS)  # everybody has a conversation
            count = max(CUSTOMERS, int(MESSAGES * scale))
            stages = await _round(house, judge, chats, CUSTOMERS, count)
            figures["cpu_ms_per_message"] = {name: round(spent * 1000 / count, 2) for name, spent in stages.items()}
            figures |= await _growth(house, judge, 1_000_000, scale)
    return figures


def encoder_only(house: House, count: int) -> float:
    """Texts per second that the encoder alone reads, in batches of 32: the physical limit of this classifier."""
    model = folders.paths(house.settings.classifier.model_dir)
    encoder = load_encoder(model.encoder, threads=house.settings.classifier.threads)
    texts = [kit.text(n * 8) for n in range(count)]  # English: what the encoder reads
    encoder.encode(texts[:BATCH])
    started = time.perf_counter()
    for first in range(0, count, BATCH):
        encoder.encode(texts[first : first + BATCH])
    return round(count / (time.perf_counter() - started), 1)


async def _round(house: House, judge: kit.Judge, chats: list[int], number: int, count: int) -> dict[str, float]:
    """CPU seconds of each stage over `count` messages."""
    numbers = range(number, number + count)
    await judge.say([(chats[n % len(chats)], kit.text(n)) for n in numbers])
    channel = house.channels[house.settings.telegram.name]

    async def stored() -> bool:
        async with house.stores.database.read() as conn:
            waiting = await conn.exec_driver_sql("SELECT count(*) FROM inbox WHERE state = 'new'")
            return int(waiting.scalar_one()) >= count

    spent = {"intake": await _cpu(_until(channel.run(house.accept), stored))}
    texts = [Text(key=str(n), text=kit.text(n) + " .") for n in numbers]  # not what the worker will ask: no cache
    spent["classify"] = await _cpu(_classify(house, texts))
    spent["decide"] = max(0.0, await _cpu(_work(house)) - spent["classify"])

    async def sent() -> bool:
        return not await house.stores.outbox.counts()

    spent["send"] = await _cpu(_until(house.dispatcher.run(), sent))
    return spent


async def _classify(house: House, texts: list[Text]) -> None:
    for first in range(0, len(texts), LANES_PER_BATCH):
        await house.triage.assess(texts[first : first + LANES_PER_BATCH])


async def _work(house: House) -> None:
    worker = house.workers[0]
    while claims := await house.stores.inbox.claim(worker.owner, times.real(), limit=LANES_PER_BATCH):
        await worker.work(claims)


async def _until(running: Awaitable[None], done: Callable[[], Awaitable[bool]]) -> None:
    task = asyncio.ensure_future(running)
    while not await done():
        if task.done():
            task.result()
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _cpu(work: Awaitable[None]) -> float:
    before = time.process_time()
    await work
    return time.process_time() - before


async def _growth(house: House, judge: kit.Judge, number: int, scale: float) -> dict[str, Any]:
    """Cost per message with many conversations in the database over that with few: medians of several rounds.

    Each measurement has customers of its own, so that their conversations are equally long.
    """
    many = max(FEW * 2, int(MANY * scale))
    await _seed(house, FEW)
    few_cost = await _cost(house, judge, number)
    started = time.perf_counter()
    await _seed(house, many - FEW)
    seeded_s = time.perf_counter() - started
    many_cost = await _cost(house, judge, number + 500_000)
    return {
        "cost_ratio_100k": round(many_cost / few_cost, 3),
        "cost_conversations": [FEW, many],
        "seeded_per_s": round((many - FEW) / seeded_s, 1),
    }


async def _cost(house: House, judge: kit.Judge, number: int) -> float:
    chats = await judge.customers(CUSTOMERS)
    await _round(house, judge, chats, number, CUSTOMERS)
    costs = []
    for turn in range(ROUNDS):
        spent = await _round(house, judge, chats, number + (turn + 1) * CUSTOMERS * 2, CUSTOMERS * 2)
        costs.append(sum(spent.values()) - spent["classify"])
    return sorted(costs)[len(costs) // 2]


async def _seed(house: House, count: int) -> None:
    """Open conversations as the worker would write them, without sending anything."""
    queue = house.rules.queues[house.rules.default_queue]
    policy = house.rules.policy_rules[-1].policy
    for first in range(0, count, SEED_BATCH):
        now = times.real()
        decisions = []
        for place in range(first, min(first + SEED_BATCH, count)):
            customer = Customer(id=new_id(), name=f"Seed {place}", language="en", created_at=now)
            identity = Identity(
                id=new_id(), customer_id=customer.id, channel="telegram", address=new_id(), name=customer.name
            )
            conversation = Conversation(
                id=new_id(),
                number=0,
                customer_id=customer.id,
                identity_id=identity.id,
                channel="telegram",
                lane=new_id(),
                thread=Thread(channel=queue.slack_channel),
                status=Status.OPEN,
                queue=queue.name,
                policy=policy,
                opened_at=now - timedelta(hours=1),
                unanswered_since=now - timedelta(hours=1),
                version=-1,
            )
            changes = Changes(reason="seed", customer=customer, identity=identity, conversation=conversation)
            decisions.append(flush.Decision(id=new_id(), changes=replace(changes, clocks=())))
        prepared = await house.stores.record.prepare(decisions, now)
        await house.stores.database.write(partial(_flush, prepared, house.stores.record.audit_key))


async def _flush(prepared: flush.Prepared, audit_key: bytes, conn: Connection) -> None:
    await flush.write(conn, prepared, audit_key)

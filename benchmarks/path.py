"""The whole path, measured: a customer's message until Slack has accepted its card or its post in the thread.

The sandbox is a process of its own on the same machine and counts apart; platform limits are off, every text occurs
once. `python -m benchmarks.path --json` prints one JSON object; docs/benchmarks.md explains each figure.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import kit, stages

CUSTOMERS = 200
SUSTAINED = 3000
WARM_UP = 100
PACED_PER_S = 20
PACED_S = 40
WAIT_S = 240.0
TOKEN_FILE = "sandbox.telegram.routes"


async def main() -> None:
    """Measure everything and print it."""
    options = kit.arguments("The path from Telegram to Slack.").parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="relaydesk-bench-") as folder:
        figures |= await product(Path(folder), options.scale)
        figures["bare_bot_per_s"] = await bare_bot(options.scale)
        figures |= await stages.measure(Path(folder), options.scale)
    figures["ratio_encoder"] = round(figures["messages_per_s"] / figures["encoder_only_per_s"], 3)
    figures["ratio_bare_bot"] = round(figures["messages_per_s"] / figures["bare_bot_per_s"], 3)
    kit.show(figures, as_json=options.json)


async def product(folder: Path, scale: float) -> dict[str, Any]:
    """Throughput, latency at a steady pace, memory and cold start of the product."""
    async with kit.process("-m", "sandbox", "--port", "0") as (sandbox_pid, sandbox):
        judge = kit.Judge(sandbox["url"])
        settings = json.dumps(kit.overrides(sandbox["url"], folder))
        async with kit.process("-m", "benchmarks.path_bot", settings) as (pid, ready):
            chats = await judge.customers(CUSTOMERS)
            number = await _send(judge, chats, 0, max(CUSTOMERS, WARM_UP))
            await judge.until_posted(2 * CUSTOMERS, limit_s=WAIT_S)  # a card and a first post each
            usage, other = kit.Usage(pid), kit.Usage(sandbox_pid)
            before = await judge.posted()
            count = int(SUSTAINED * scale)
            started = time.monotonic()
            number = await _send(judge, chats, number, count)
            ended = await judge.until_posted(before + count, limit_s=WAIT_S)
            busy, theirs = usage.since(), other.since()
            await asyncio.sleep(2.0)  # card updates drain
            with kit.Disk(folder, PACED_PER_S) as disk:
                latencies = await _paced(judge, chats, number, scale)
            return {
                "messages_per_s": round(count / (ended - started), 1),
                "p50_ms": round(kit.quantile(latencies, 0.50) * 1000, 1),
                "p99_ms": round(kit.quantile(latencies, 0.99) * 1000, 1),
                "disk_p50_ms": round(kit.quantile(disk.waits_s, 0.50) * 1000, 1),
                "disk_p99_ms": round(kit.quantile(disk.waits_s, 0.99) * 1000, 1),
                "disk_max_ms": round(max(disk.waits_s) * 1000, 1),
                "peak_rss_mb": round(usage.peak_mb(), 1),
                "ready_s": ready["ready_s"],
                "product_cpu_ms_per_message": round(busy * 1000 / count, 2),
                "sandbox_cpu_ms_per_message": round(theirs * 1000 / count, 2),
            }


async def _send(judge: kit.Judge, chats: list[int], number: int, count: int) -> int:
    """Customers take turns writing; returns the next number."""
    for first in range(number, number + count, 100):
        last = min(first + 100, number + count)
        await judge.say([(chats[n % len(chats)], kit.text(n)) for n in range(first, last)])
    return number + count


async def _paced(judge: kit.Judge, chats: list[int], number: int, scale: float) -> list[float]:
    """Seconds from a message to its post, at a steady pace."""
    mark = (await judge.log(kind="post"))[-1]["seq"]
    first, count = number, int(PACED_PER_S * PACED_S * scale)
    started = time.monotonic()
    for turn in range(count):
        await asyncio.sleep(max(0.0, started + turn / PACED_PER_S - time.monotonic()))
        await judge.say([(chats[(first + turn) % len(chats)], kit.text(first + turn))])
    await asyncio.sleep(1.0)
    said = {f"{n:07d}": n for n in range(first, first + count)}
    sent = _times(await judge.log(kind="customer_message", after=mark), said)
    shown = _times(await judge.log(kind="post", after=mark), said)
    missing = sent.keys() - shown.keys()
    if missing:
        raise SystemExit(f"{len(missing)} of {count} paced messages were not posted")
    return [shown[n] - sent[n] for n in sent]


def _times(records: list[kit.Json], said: dict[str, int]) -> dict[int, float]:
    found: dict[int, float] = {}
    for record in records:
        text = str(record["data"].get("text", ""))
        for piece in text.replace("，", " ").split():
            digits = "".join(c for c in piece if c.isdigit())
            if digits in said:
                found.setdefault(said[digits], float(record["at_real"]))
    return found


async def bare_bot(scale: float) -> float:
    """Messages per second of a bot that only forwards."""
    async with kit.process("-m", "sandbox", "--port", "0") as (_, sandbox):
        judge = kit.Judge(sandbox["url"])
        async with kit.process("-m", "benchmarks.bare_bot", sandbox["url"]):
            chats = await judge.customers(CUSTOMERS)
            number = await _send(judge, chats, 0, WARM_UP)
            await judge.until_posted(WARM_UP, limit_s=WAIT_S)
            count = int(SUSTAINED * scale)
            started = time.monotonic()
            await _send(judge, chats, number, count)
            ended = await judge.until_posted(WARM_UP + count, limit_s=WAIT_S)
            return round(count / (ended - started), 1)


if __name__ == "__main__":
    asyncio.run(main())

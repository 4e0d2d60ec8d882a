"""A burst, measured against Slack's real limit: one post a second and channel, and everybody writes at once.

Beside the product runs a bot that posts the same cards and messages in the order in which they came, one post each.
Both have a sandbox of their own with the platforms' limits switched on. `python -m benchmarks.burst --json` prints one
JSON object; docs/benchmarks.md explains each figure.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import kit

CUSTOMERS = 300
MESSAGES = 1000
SECONDS = 60.0
URGENT_EVERY = 20  # every twentieth customer writes about something urgent
CHANNELS = ("C0SUPPORT", "C0BILLING", "C0TECH")
WAIT_S = 900.0
LOOK_S = 1.0
_NUMBER = re.compile(r"(?<!\d)\d{7}(?!\d)")
_URGENT = "My account was hacked and somebody is ordering with my card right now, see order {n}"


@dataclass(kw_only=True)
class Burst:
    """What was said when, and where it was first seen whole. Times are the sandbox's real ones, in seconds."""

    urgent: set[str] = field(default_factory=set)
    said: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)
    posts: int = 0
    _mark: int = 0

    async def look(self, judge: kit.Judge) -> None:
        """Read on in the judge's log."""
        for record in await judge.log(after=self._mark):
            self._mark = max(self._mark, int(record["seq"]))
            kind, at, data = record["kind"], float(record["at_real"]), record["data"]
            if kind == "customer_message":
                self.said.update(dict.fromkeys(_NUMBER.findall(str(data.get("text"))), at))
            elif kind == "post" and data.get("channel") in CHANNELS:
                self.posts += 1
                for number in _NUMBER.findall(json.dumps([data.get("blocks"), data.get("text")], ensure_ascii=False)):
                    self.shown.setdefault(number, at)

    def urgent_p99(self) -> float:
        """Seconds within which 99 of 100 urgent messages were in Slack."""
        return round(kit.quantile([self.shown[n] - self.said[n] for n in self.urgent], 0.99), 2)

    def all_visible(self) -> float:
        """Seconds from the first message to the last post."""
        return round(max(self.shown.values()) - min(self.said.values()), 1)


async def main() -> None:
    """Measure the product and the bot beside it, at the same time, and print it."""
    options = kit.arguments("A burst against Slack's limit of posts.").parse_args()
    with tempfile.TemporaryDirectory(prefix="relaydesk-bench-") as folder:
        ours, theirs = await asyncio.gather(
            _measure(product=True, folder=Path(folder), scale=options.scale),
            _measure(product=False, folder=Path(folder), scale=options.scale),
        )
    kit.show(_figures(ours, theirs), as_json=options.json)


def _figures(ours: Burst, theirs: Burst) -> dict[str, Any]:
    return {
        "burst_messages": len(ours.said),
        "urgent_messages": len(ours.urgent),
        "urgent_p99_s": ours.urgent_p99(),
        "posts_per_message": round(ours.posts / len(ours.said), 3),
        "all_visible_s": ours.all_visible(),
        "fifo_urgent_p99_s": theirs.urgent_p99(),
        "fifo_posts_per_message": round(theirs.posts / len(theirs.said), 3),
        "fifo_all_visible_s": theirs.all_visible(),
    }


async def _measure(*, product: bool, folder: Path, scale: float) -> Burst:
    async with AsyncExitStack() as stack:
        _, sandbox = await stack.enter_async_context(kit.process("-m", "sandbox", "--port", "0", "--limits", "on"))
        judge = kit.Judge(sandbox["url"])
        if product:
            settings = json.dumps(_settings(sandbox["url"], folder))
            await stack.enter_async_context(kit.process("-m", "benchmarks.path_bot", settings))
        else:
            await stack.enter_async_context(kit.process("-m", "benchmarks.burst_peer", sandbox["url"], *CHANNELS))
        chats = await judge.customers(max(1, int(CUSTOMERS * scale)))
        return await _run(judge, chats, int(MESSAGES * scale), SECONDS * scale)


async def _run(judge: kit.Judge, chats: list[int], count: int, seconds: float) -> Burst:
    """Customers take turns writing, evenly over the time; then wait until everything is in Slack."""
    burst = Burst()
    started = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + seconds * number / count - time.monotonic()))
        who = number % len(chats)
        if is_urgent := who % URGENT_EVERY == 0:
            burst.urgent.add(f"{number:07d}")
        said = _URGENT.format(n=f"{number:07d}") if is_urgent else kit.text(number)
        await judge.say([(chats[who], said)])
    limit = time.monotonic() + WAIT_S
    while len(burst.shown) < count:
        if time.monotonic() > limit:
            raise SystemExit(f"only {len(burst.shown)} of {count} messages in Slack within {WAIT_S:g} s")
        await asyncio.sleep(LOOK_S)
        await burst.look(judge)
    return burst


def _settings(url: str, folder: Path) -> kit.Json:
    """The product as it is delivered, with one queue in three channels and what it knows to be urgent treated so."""
    everything = {"channel": CHANNELS[0], "more_channels": list(CHANNELS[1:])}
    return kit.overrides(url, folder) | {
        "limits": {"enabled": True},
        "queues": {"support": everything, "triage": everything},
        "routing": [
            {"name": "fraud", "when": {"intent": "security_fraud"}, "queue": "support", "priority": "urgent"},
            {"name": "rest", "queue": "support"},
        ],
    }


if __name__ == "__main__":
    asyncio.run(main())

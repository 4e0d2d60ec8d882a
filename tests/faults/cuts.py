"""The platforms misbehave at random, from a seed: each fault alone at first, then several at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.world import Json, World

LONG_S = 5.0  # longer than a hurried product waits for an answer, and than Slack waits for an acknowledgement
SEND_TIMEOUT = "4s"
SETTLED_AFTER_S = 3 * LONG_S
"""So long an agent waits before looking whether an answer arrived: a request under way may still be stored."""
ALONE_S = 2.5
MIXED = (2, 4)
PAUSE_S = (0.2, 1.0)
LATE_ACK_S = 0.02
ACTS = ("late acknowledgements", "update ids jump back", "lost, and cut", "every websocket cut")
"""What is done to the sandbox by other means than a rule."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A fault at a place. `most` is how often at once; `seconds` and `error` as the sandbox takes them."""

    platform: str
    method: str
    fault: str
    most: int = 3
    seconds: float | None = None
    error: str | None = None

    def wish(self, rng: random.Random) -> Json:
        """The rule, as the sandbox takes it."""
        made: Json = {"platform": self.platform, "method": self.method, "fault": self.fault}
        made["count"] = rng.randint(1, self.most)
        return made | {name: value for name in ("seconds", "error") if (value := getattr(self, name)) is not None}


def _requests(platform: str, method: str) -> tuple[Cut, ...]:
    plain = ("drop_before", "drop_after", "429_no_header", "500", "500_after", "html", "html_after", "truncated")
    return (
        *(Cut(platform=platform, method=method, fault=fault) for fault in plain),
        Cut(platform=platform, method=method, fault="401", most=1),
        Cut(platform=platform, method=method, fault="429", seconds=0.5, most=8),
        Cut(platform=platform, method=method, fault="delay", seconds=LONG_S, most=1),
        Cut(platform=platform, method=method, fault="delay_after", seconds=LONG_S, most=1),
    )


def cuts(telegram: str, slack: str) -> tuple[Cut | str, ...]:
    """Every fault of these ways of running; a word is something that is not a rule of the sandbox."""
    made: list[Cut | str] = [*_requests("telegram", "sendMessage"), *_requests("slack", "chat.postMessage")]
    made += [
        Cut(platform="slack", method=method, fault=fault)
        for method in ("chat.update", "conversations.replies")
        for fault in ("500", "429", "drop_after")
    ]
    made += [Cut(platform="slack", method="events_api", fault=fault) for fault in ("no_ack", "duplicate", "reorder")]
    made += [Cut(platform="slack", method="interactive", fault="duplicate"), "late acknowledgements"]
    if telegram == "polling":
        made += [
            Cut(platform="telegram", method="getUpdates", fault=fault)
            for fault in (
                *("drop_before", "drop_after", "500", "html", "truncated", "429", "429_no_header"),
                *("duplicate", "reorder", "lose"),
            )
        ]
        made += [Cut(platform="telegram", method="getUpdates", fault=fault, most=1) for fault in ("401", "409")]
        made += [Cut(platform="telegram", method="getUpdates", fault="delay", seconds=LONG_S, most=1)]
    else:
        made += [
            Cut(platform="telegram", method="webhook", fault=fault) for fault in ("duplicate", "reorder", "no_ack")
        ]
    made.append("update ids jump back")
    if slack == "socket":
        made += [
            Cut(platform="slack", method="events_api", fault="disconnect", error="refresh_requested", most=1),
            Cut(platform="slack", method="events_api", fault="cut", most=2),
            Cut(platform="slack", method="events_api", fault="half_open", most=1),
            Cut(platform="slack", method="ticket", fault="refuse_ticket"),
            "lost, and cut",
            "every websocket cut",
        ]
    return tuple(made)


@dataclass(kw_only=True)
class Cutter:
    """Adds faults and takes them away until it is stopped, and counts those that are no rules of the sandbox."""

    world: World
    rng: random.Random
    cuts: tuple[Cut | str, ...]
    alone: bool = True
    acts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Misbehave until cancelled."""
        if self.alone:
            for cut in self.rng.sample(self.cuts, len(self.cuts)):
                await self._begin(cut)
                await asyncio.sleep(self.rng.uniform(ALONE_S / 2, ALONE_S))
                await self._over()
        while True:
            for cut in self.rng.sample(self.cuts, self.rng.randint(*MIXED)):
                await self._begin(cut)
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))
            if self.rng.random() < 0.2:
                await self._over()

    async def end(self) -> Counter[str]:
        """Behave again; how often each fault was really acted out."""
        await self._over()
        counts = self.acts.copy()
        for record in await self.world.log(kind="fault"):
            counts[f"{record['platform']} {record['data']['fault']}"] += 1
        return counts

    async def _over(self) -> None:
        await self.world.client.delete("/control/faults")
        await self.world.control("slack/settings", ack_timeout_s=3.0)

    async def _begin(self, cut: Cut | str) -> None:
        if isinstance(cut, Cut):
            await self.world.control("faults", **cut.wish(self.rng))
            return
        if cut == "late acknowledgements":
            await self.world.control("slack/settings", ack_timeout_s=LATE_ACK_S)
        elif cut == "update ids jump back":
            wish = {"next": self.rng.randrange(1_000, 600_000_000), "idle": True}
            answer = await self.world.client.post("/control/telegram/update_id", json=wish)
            if answer.status_code == HTTPStatus.CONFLICT:
                return
        else:
            if cut == "lost, and cut":
                lost = await self.world.control("faults", platform="slack", method="events_api", fault="lose", count=1)
                await asyncio.sleep(0.3)
                # what is lost later would be lost without a sign, which is fetched within minutes and behind the rest
                await self.world.client.delete(f"/control/faults/{lost['id']}")
            await self.world.control("slack/disconnect", reason="cut")
        self.acts[cut] += 1

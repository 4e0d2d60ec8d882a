"""A sample of odd inputs through a running desk, over real sockets: after each of them the next good message passes.

    python -m tests.faults.running --inputs 400 --seed 7 --telegram webhook --slack http

Telegram's updates come in by polling or by the webhook, Slack's envelopes over a websocket or by HTTP, with good
signatures: what strangers send is another test's matter. Half of them speak of the very chat and thread that the good
ones use, so that they wait in the same lane.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from bot.settings_secrets import SANDBOX
from tests import world as worlds
from tests.faults import recorded, story
from tests.faults.mutate import Mutator, copied, dumped
from tests.faults.targets_base import ANSWERS, FORM
from tests.faults.targets_base import recorded as payloads

PASSES_WITHIN_S: Final = 150.0  # a row that cannot be decided is tried five times, in half a minute at least
FIRST_UPDATE: Final = 700_100_000
FIRST_MESSAGE: Final = 600_000_000  # a number that a chat has given once never comes again: good messages keep theirs
SAME_LANE: Final = 0.5
WHOLE_FRAME: Final = 0.15  # of Slack's frames are odd in what is around the payload
MOST_FAULTS: Final = 5
SIGNING_SECRET: Final = SANDBOX["slack_signing_secret"].encode()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does."""

    seed: int
    inputs: int
    telegram: str = "polling"
    slack: str = "socket"


@dataclass(kw_only=True)
class Tally:
    """What came of it. `answered`: how often each way in gave each status, where it gives one."""

    plan: Plan
    inputs: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    good: int = 0
    slowest_s: float = 0.0
    dead: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def row(self, name: str, commit: str) -> recorded.Row:
        """What is written down of it."""
        return recorded.Row(
            campaign="fuzz",
            run=name,
            seed=self.plan.seed,
            commit=commit,
            ways={"way": "a running desk", "telegram": self.plan.telegram, "slack": self.plan.slack},
            faults={f"{way}, running": count for way, count in sorted(self.inputs.items())},
            seconds=round(self.seconds, 1),
            messages=self.good,
            unexplained=len(self.faults),
            failures=tuple(self.faults),
            more={
                "answered": dict(sorted(self.answered.items())),
                "slowest_s": round(self.slowest_s, 1),
                "set_aside": self.dead,
            },
        )


class Odd:
    """Sends odd inputs into a running desk, as the platforms would."""

    def __init__(self, world: worlds.World, card: worlds.Card, phone: worlds.Phone, tally: Tally) -> None:
        self._world, self._card, self._phone, self._tally = world, card, phone, tally
        self._rng = random.Random(tally.plan.seed)
        telegram = [*payloads("telegram"), *map(self._of_our_chat, payloads("telegram"))]
        slack = [*payloads("slack"), *map(self._of_our_thread, payloads("slack"))]
        self._telegram = Mutator(rng=self._rng, corpus=telegram)
        self._slack = Mutator(rng=self._rng, corpus=slack)
        self._number = FIRST_UPDATE
        self.last = b""  # what was sent last

    @property
    def rng(self) -> random.Random:
        """What decides everything here."""
        return self._rng

    def _of_our_chat(self, update: Any) -> Any:
        if "my_chat_member" in update:  # it would say that our customer has blocked us, and we would believe it
            return update
        chats = {str(part["chat"]["id"]) for part in update.values() if isinstance(part, dict) and "chat" in part}
        raw = json.dumps(update)
        for chat in chats:
            raw = raw.replace(chat, str(self._phone.chat_id))
        return json.loads(raw, object_hook=_far_away)

    def _of_our_thread(self, payload: Any) -> Any:
        changed = copied(payload)
        event = changed.get("event")
        if isinstance(event, dict) and event.get("type") == "message":
            event |= {"channel": self._card.channel, "thread_ts": self._card.ts}
        return changed

    async def telegram(self) -> None:
        """An update that Telegram would never send."""
        value, raw = self._telegram.made()
        self.last = raw
        self._number += 10
        if isinstance(value, dict) and isinstance(value.get("update_id"), int):  # else each would be a known one
            value["update_id"] = self._number
            raw = dumped(value, ascii_only=True)
        self._tally.inputs["telegram"] += 1
        if self._tally.plan.telegram == "webhook":
            headers = {"X-Telegram-Bot-Api-Secret-Token": SANDBOX["telegram_webhook_secret"]}
            await self._posts("/telegram/telegram", raw, headers | {"Content-Type": "application/json"})
            return
        await self._world.control("telegram/update_id", next=self._number + 1)
        await self._control("telegram/raw", raw=raw.decode("utf-8", "surrogateescape"), times=2)

    async def slack(self) -> None:
        """An event or an interaction that Slack would never send."""
        value, raw = self._slack.made()
        self.last = raw
        if isinstance(value, dict) and isinstance(value.get("event_id"), str):
            self._number += 1
            value["event_id"] = f"Ev{self._number}"
            raw = dumped(value, ascii_only=True)
        kind = _kind(value)
        self._tally.inputs[f"slack {kind}"] += 1
        if self._tally.plan.slack == "socket":
            await self._control("slack/raw", frame=self._frame(kind, raw).decode("utf-8", "surrogateescape"))
            return
        body, form = raw, kind != "events_api"
        if form:
            body = urlencode({"payload": raw.decode("utf-8", "replace")}).encode()
        stamp = str(int(time.time()))
        # Slack's own signer wants text, and these are bytes.
        signature = hmac.new(SIGNING_SECRET, f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
        await self._posts("/slack/events", body, headers | {"Content-Type": FORM if form else "application/json"})

    def _frame(self, kind: str, raw: bytes) -> bytes:
        self._number += 1
        head = f'{{"envelope_id":"odd-{self._number}","type":"{kind}","accepts_response_payload":true,"payload":'
        frame = head.encode() + raw + b"}"
        return self._slack.bytes_of(frame) if self._rng.random() < WHOLE_FRAME else frame

    async def _control(self, path: str, **body: object) -> None:
        """As the world's, for texts with halves of characters, which only escapes can hold."""
        answer = await self._world.client.post(f"/control/{path}", content=json.dumps(body))
        if not answer.json().get("ok", True):
            raise AssertionError(f"{path}: {answer.text}")

    async def _posts(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        async with httpx.AsyncClient(timeout=PASSES_WITHIN_S, trust_env=False) as client:
            answer = await client.post(f"{self._world.address}{path}", content=body, headers=headers)
        self._tally.answered[f"{path} {answer.status_code}"] += 1
        if answer.status_code not in ANSWERS:
            self._tally.faults.append(f"{path} answered {answer.status_code}: {body[:300]!r}")


def _far_away(part: dict[str, Any]) -> dict[str, Any]:
    if isinstance(part.get("message_id"), int):
        part["message_id"] += FIRST_MESSAGE
    return part


def _kind(value: Any) -> str:
    if not isinstance(value, dict) or value.get("type") == "event_callback" or "event" in value:
        return "events_api"
    return "slash_commands" if "command" in value else "interactive"


async def run(plan: Plan, folder: Path) -> Tally:
    """Carry a plan out in a folder of its own."""
    tally, began = Tally(plan=plan), time.monotonic()
    async with worlds.world(folder, telegram=plan.telegram, slack=plan.slack) as world:
        phone, card = await story.begun(world, "Ann")
        odd = Odd(world, card, phone, tally)
        for number in range(plan.inputs):
            before = time.monotonic()
            from_telegram = odd.rng.random() < 0.5
            await (odd.telegram() if from_telegram else odd.slack())
            try:
                # An odd input may close a conversation, as a good one may: what is answered is the message just seen.
                there = await _message_passes(world, phone, number)
                if not from_telegram:
                    await _answer_passes(world, there, number)
                tally.good += 1
            except AssertionError as error:
                tally.faults.append(f"after input {number}: {error}: {odd.last[:2000]!r}")
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - before)
            if len(tally.faults) >= MOST_FAULTS:
                break
        assert world.task is not None
        if world.task.done():
            tally.faults.append(f"the desk ended: {world.task.exception()!r}")
        else:
            letters = await world.house.stores.inbox.dead(10_000)
            tally.dead = len(letters)
            tally.faults += [f"set aside without a reason: {one.kind}" for one in letters if not one.reason]
    tally.seconds = time.monotonic() - began
    return tally


async def _message_passes(world: worlds.World, phone: worlds.Phone, number: int) -> worlds.Card:
    """A good message of the customer stands in a thread, once; the card above it."""
    text = f"good {number}, are you there?"
    after = (await world.look("log", limit=1))["last_seq"]
    await phone.says(text)

    async def stands() -> list[worlds.Json]:
        posts = [post["data"] for post in await world.log(platform="slack", kind="post", after=after)]
        return [post for post in posts if text in post["text"].splitlines()]

    [found, *more] = await worlds.eventually(stands, within=PASSES_WITHIN_S, what=f"message {number} in the thread")
    assert not more, f"message {number} stands {len(more) + 1} times"
    return worlds.Card(world=world, channel=found["channel"], ts=found["thread_ts"] or found["ts"])


async def _answer_passes(world: worlds.World, card: worlds.Card, number: int) -> None:
    """A good answer of an agent arrives on the phone, once."""
    text = f"answer {number}"
    after = (await world.look("log", limit=1))["last_seq"]
    await card.says(worlds.MAYA, text)

    async def arrives() -> int:
        sent = await world.log(platform="telegram", kind="bot_message", after=after)
        return sum(one["data"]["text"] == text for one in sent)

    found = await worlds.eventually(arrives, within=PASSES_WITHIN_S, what=f"answer {number} on the phone")
    assert found == 1, f"answer {number} arrived {found} times"


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.running", description="Odd inputs, a running desk.")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--inputs", type=int, default=400)
    made.add_argument("--telegram", choices=("polling", "webhook"), default="polling")
    made.add_argument("--slack", choices=("socket", "http"), default="socket")
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; exit code 1 when a fault was found."""
    wish = parser().parse_args(arguments)
    plan = Plan(seed=wish.seed, inputs=wish.inputs, telegram=wish.telegram, slack=wish.slack)
    with tempfile.TemporaryDirectory(prefix="running-") as folder:
        tally = asyncio.run(run(plan, Path(folder)))
    row = tally.row(wish.record or "fuzz", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(row, wish.into)
    sys.stdout.write(json.dumps({**row.faults, **row.more, "good_after": tally.good}) + "\n")
    sys.stdout.write("\n".join(row.failures) + ("\n" if row.failures else "held\n"))
    return int(bool(row.failures))


if __name__ == "__main__":
    sys.exit(main())

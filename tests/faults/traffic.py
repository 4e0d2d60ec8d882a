"""People who write without a pause while the bot is killed, and who remember what they wrote."""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults import parcels
from tests.faults.books import Books
from tests.world import LINA, MAYA, Card, Phone, World

SENTENCES = (
    "where is my parcel",
    "the invoice is wrong",
    "I cannot log in",
    "please cancel my order",
    "the app crashes when I open it",
    "do you ship to Spain",
    "我的快递到哪里了",
    "how do I change my address",
)
PAUSE_S = (0.02, 0.12)
SETTLE_EVERY_S = 0.3
PRESS_AGAIN_S = 4.0  # a press that found nobody is lost at Slack, and a person presses again
UNCLEAR = "not certain that this answer arrived"
NUMBER = re.compile(r"#\d+")


@dataclass(kw_only=True)
class Customer:
    """A customer, and what was written by them and to them."""

    name: str
    phone: Phone
    said: list[str] = field(default_factory=list)
    message_ids: list[int] = field(default_factory=list)  # of those that may be edited: no files' captions
    edits: list[str] = field(default_factory=list)
    card: Card | None = None
    answers: list[str] = field(default_factory=list)
    answer_ts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    clicks: int = 0
    handed: list[str] = field(default_factory=list)  # the notes with which colleagues gave their conversation away
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)  # nobody sends two things at the very same time


@dataclass(kw_only=True)
class Traffic:
    """Writes, answers, clicks and edits at random, from a seed."""

    world: World
    books: Books
    rng: random.Random
    customers: list[Customer]
    allowed: int = 0  # so many messages and answers may be sent in all, before the writers pause
    sent: int = 0
    updates: dict[str, int] = field(default_factory=dict)  # the update in which each message is delivered
    settled: dict[str, str] = field(default_factory=dict)  # post -> what the agent pressed
    refused: dict[str, int] = field(default_factory=dict)  # how often nobody took what was pressed, and why
    whispers_allowed: int = 0
    settled_after_s: float = 0.0  # so long an agent waits before looking whether an answer has arrived
    is_locked_out_at_times: bool = False  # the platforms refuse our token now and then
    is_idle: bool = False  # nobody writes any more, and nobody is about to
    pause_s: tuple[float, float] = PAUSE_S
    parcels: dict[str, parcels.Parcels] = field(default_factory=dict)  # the files of each customer, by their name
    by_command: bool = False  # agents type commands, too
    acknowledged: set[str] = field(default_factory=set)  # the notes of those that Slack got an answer to
    _noticed_at: dict[str, float] = field(default_factory=dict)
    _pressed_at: dict[str, float] = field(default_factory=dict)
    _seen: int = 0
    _unclear: dict[str, tuple[Customer, str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Act until cancelled; while nothing more is to be written the agents go on settling."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._settle())

    async def _write(self) -> None:
        while True:
            self.is_idle = not self.is_writing
            if self.is_idle:
                await asyncio.sleep(0.05)
                continue
            await self.look()
            customer = self.rng.choice(self.customers)
            await self._act(customer, self.rng.random())
            await asyncio.sleep(self.rng.uniform(*self.pause_s))

    async def _act(self, customer: Customer, chance: float) -> None:
        if customer.card is None or chance < 0.5:
            await self.says(customer)
        elif chance < 0.8:
            await self.answers(customer, by=self.rng.choice((MAYA, LINA)))
        elif chance < 0.86:
            await self._notes(customer)
        elif chance < 0.93:
            await self._edits(customer)
        elif chance < 0.97 and self.by_command:
            await self._hands_over(customer)
        else:
            await self._clicks(customer)

    async def says(self, customer: Customer, **file: str) -> None:
        """The customer writes, or sends a file with words."""
        words = self.rng.choice(SENTENCES)
        async with customer.one_by_one:
            text = f"{customer.name} says {len(customer.said)}: {words}"
            customer.said.append(text)
            said = {"caption": text, **file} if file else {"text": text}
            sent = await self.world.control("telegram/send", chat_id=customer.phone.chat_id, **said)
        if not file:
            customer.message_ids.append(sent["message_id"])
        self.updates[text] = sent["update_id"]
        self.sent += 1

    async def answers(self, customer: Customer, *, by: str, **content: Any) -> None:
        """An agent writes to the customer, with files where `content` has some."""
        assert customer.card is not None
        async with customer.one_by_one:
            text = f"answer {len(customer.answers)} for {customer.name}"
            customer.answers.append(text)
            customer.answer_ts.append(await customer.card.says(by, text, **content))
        self.sent += 1

    async def _notes(self, customer: Customer) -> None:
        assert customer.card is not None
        text = f"note {len(customer.notes)} about {customer.name}"
        customer.notes.append(text)
        await customer.card.says(LINA, f"// {text}")

    async def _edits(self, customer: Customer) -> None:
        if not customer.message_ids:
            return
        number = self.rng.randrange(len(customer.message_ids))
        text = f"{customer.name} corrects {len(customer.edits)}: it was message {number}"
        customer.edits.append(text)
        await customer.phone.does("edit", message_id=customer.message_ids[number], text=text)

    async def _clicks(self, customer: Customer) -> None:
        assert customer.card is not None
        blocks = (await customer.card.root())["blocks"]
        elements = [e for block in blocks if block["type"] == "actions" for e in block["elements"]]
        menu = next(e for e in elements if e["action_id"] == "change")
        options = [option for group in menu["option_groups"] for option in group["options"]]
        priorities = [option["value"] for option in options if "|priority=" in option["value"]]
        customer.clicks += 1
        self.whispers_allowed += 1
        await self._press(customer.card, "change", value=self.rng.choice(priorities))

    async def _hands_over(self, customer: Customer) -> None:
        """An agent gives the conversation to a colleague by a command, with a note. Slack offers it once only."""
        assert customer.card is not None
        number = NUMBER.search((await customer.card.root())["text"])
        assert number is not None
        note = f"handed over {len(customer.handed)}: {customer.name}"
        colleague = (MAYA, LINA)[len(customer.handed) % 2]
        customer.handed.append(note)
        self.whispers_allowed += 1
        try:
            await self.world.command(MAYA, f"handover {number[0]} <@{colleague}> {note}")
        except (AssertionError, httpx.HTTPError):
            return
        self.acknowledged.add(note)

    async def _press(self, card: Card, action: str, **content: Any) -> None:
        """Press, whether anybody is there to notice or not."""
        try:
            await card.presses(MAYA, action, **content)
        except (AssertionError, httpx.HTTPError) as error:
            why = f"{action}: {type(error).__name__}: {str(error)[:200]}"
            self.refused[why] = self.refused.get(why, 0) + 1

    # ---- what an agent sees ----------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Notice new cards, and answers of which nobody knows whether they arrived."""
        records = await self.world.log(platform="slack", kind="post", after=self._seen)
        for record in records:
            self._seen = record["seq"]
            data = record["data"]
            if data["user"] != "U0SANDBOT":
                continue
            card = Card(world=self.world, channel=data["channel"], ts=data["thread_ts"] or data["ts"])
            if data["thread_ts"] is None:
                for customer in self.customers:
                    if f" {customer.name} " in data["text"] and customer.card is None:
                        customer.card = card
            elif UNCLEAR in data["text"]:
                owner = next(c for c in self.customers if c.card is not None and c.card.ts == card.ts)
                about = _outbox_id(data["blocks"])
                for older in [post for post, (_, of) in self._unclear.items() if of == about]:
                    del self._unclear[older]  # it was settled, and asked anew: its line has no buttons any more
                self._unclear[data["ts"]] = (owner, about)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_EVERY_S)
            await self.look()
            for post, (customer, outbox_id) in list(self._unclear.items()):
                await self._settle_one(post, customer, outbox_id)

    async def _settle_one(self, post: str, customer: Customer, outbox_id: str) -> None:
        """Look into the chat, as an agent can who sees the customer's phone, and press what is true."""
        now = asyncio.get_running_loop().time()
        if now - self._noticed_at.setdefault(post, now) < self.settled_after_s:
            return
        if now - self._pressed_at.get(outbox_id, -PRESS_AGAIN_S) < PRESS_AGAIN_S:
            return
        state, ts = await self.books.delivery(outbox_id)
        if state != "unclear":
            del self._unclear[post]
            return
        text = customer.answers[customer.answer_ts.index(ts)]
        action = "mark_arrived" if text in await customer.phone.answers() else "retry"
        self._pressed_at[outbox_id] = now
        self.settled[post] = action
        self.whispers_allowed += 1
        assert customer.card is not None
        await self._press(customer.card, action, ts=post)

    @property
    def is_writing(self) -> bool:
        """True while more is to be written."""
        return self.sent < self.allowed

    @property
    def questions(self) -> dict[str, str]:
        """The questions that nobody has settled yet: their post, and the delivery that they are about."""
        return {post: outbox_id for post, (_, outbox_id) in self._unclear.items()}

    @property
    def unsettled(self) -> int:
        """How many unclear answers nobody has settled yet."""
        return len(self._unclear)


def _outbox_id(blocks: list[dict[str, Any]]) -> str:
    for block in blocks:
        if str(block.get("block_id", "")).startswith("settle:"):
            return str(block["block_id"]).split(":")[1]
    raise AssertionError(f"an unclear answer without buttons: {json.dumps(blocks)[:400]}")

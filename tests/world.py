"""A small world for whole stories: a sandbox process, the real bot in this process, and people who act in both."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from bot import app, life, settings
from domain.changes import DeliveryKind
from storage import rings, tables
from tests import nursery, patience, ports, secrecy, templates

ROOT = Path(__file__).parent.parent
MODEL = Path(os.environ.get("RELAYDESK_MODEL_DIR", ROOT / ".cache" / "model"))
PATIENCE_S = patience.LONG_S
SLACK_PATIENCE_S = 20.0  # not the three seconds of the real one, in which a busy machine may not let anybody answer
START_PATIENCE_S = 120.0  # loading a model on a machine that does five other things
Json = dict[str, Any]
eventually = patience.eventually

MAYA, LINA, JONAS, STRANGER = "U0MAYA", "U0LINA", "U0JONAS", "U0STRANGER"


@asynccontextmanager
async def sandbox(*arguments: str) -> AsyncIterator[str]:
    """A sandbox process on a free port; gives its address."""
    process = await asyncio.to_thread(nursery.sandbox, "--port", "0", *arguments, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield str(json.loads(line)["url"])
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        process.close()


@dataclass(kw_only=True)
class Phone:
    """A customer's phone."""

    world: World
    chat_id: int

    async def says(self, text: str = "", **content: Any) -> int:
        """Write (or send a photo, a document, ...); the message's id."""
        body = {"chat_id": self.chat_id, **({"text": text} if text else {}), **content}
        return int((await self.world.control("telegram/send", **body))["message_id"])

    async def does(self, verb: str, **content: Any) -> Json:
        """Edit, block, unblock, react, press: what the control interface offers."""
        return await self.world.control(f"telegram/{verb}", chat_id=self.chat_id, **content)

    async def chat(self) -> list[Json]:
        """Everything in the chat, as the customer sees it."""
        found = await self.world.look(f"telegram/chat/{self.chat_id}")
        return list(found["chat"]["messages"] if "messages" in found["chat"] else found["messages"])

    async def answers(self) -> list[str]:
        """What the company wrote, oldest first."""
        return [m["text"] or m["caption"] or "" for m in await self.chat() if m["from"] == "bot" and not m["deleted"]]


@dataclass(kw_only=True)
class Card:
    """A conversation as it stands in Slack: its card and the posts under it."""

    world: World
    channel: str
    ts: str

    async def root(self) -> Json:
        """The card with its replies, as it is now."""
        found: Json = (await self.world.look(f"slack/thread/{self.channel}/{self.ts}"))["message"]
        return found

    async def posts(self) -> list[Json]:
        """The posts in the thread, oldest first."""
        return list((await self.root()).get("replies", []))

    async def text(self) -> str:
        """The card's blocks as one text, for looking for words in it."""
        return json.dumps((await self.root())["blocks"], ensure_ascii=False)

    async def shows(self, *words: str, within: float = PATIENCE_S) -> str:
        """Wait until all these words stand on the card; its text then."""

        async def look() -> str | None:
            text = await self.text()
            return text if all(word in text for word in words) else None

        return str(await eventually(look, within=within, what=f"{words} on the card"))

    async def ours(self) -> list[str]:
        """What the product wrote in the thread, oldest first: each post's blocks as one text."""
        return [json.dumps(p["blocks"], ensure_ascii=False) for p in await self.posts() if p.get("bot_id")]

    async def says_ours(self, *words: str, within: float = PATIENCE_S) -> Json:
        """Wait until a post of the product in the thread holds all these words; the newest such post."""

        async def look() -> Json | None:
            posts = [p for p in await self.posts() if p.get("bot_id")]
            return next((p for p in reversed(posts) if all(w in said(p) for w in words)), None)

        found: Json = await eventually(look, within=within, what=f"{words} in the thread")
        return found

    async def whispered(self, user: str, words: str) -> str:
        """Wait until this person alone has been told something with these words in it."""

        async def look() -> str | None:
            told = await self.world.ephemerals(self.channel, user)
            return next((one for one in reversed(told) if words in one), None)

        return str(await eventually(look, what=f"{words!r} whispered to {user}"))

    async def presses_whispered(self, user: str, action_id: str, *words: str) -> Json:
        """Somebody presses a button in what only they were told, once they were told all these words."""

        async def look() -> Json | None:
            page = await self.world.look(f"slack/channel/{self.channel}")
            told = [one for one in page["ephemerals"].get(user, []) if all(w in one.get("text", "") for w in words)]
            return told[-1] if told else None

        told = await eventually(look, what=f"{words} whispered to {user}")
        return await self.presses(user, action_id, ts=told["ts"])

    async def chooses(self, user: str, menu: str, label: str) -> Json:
        """Somebody picks the option of a menu of the card that begins with this label.

        A card that changed between the look and the press is looked at again, as a person would.
        """

        async def picked() -> Json | None:
            try:
                return await self._choose(user, menu, label)
            except AssertionError as error:
                if "invalid_choice" in str(error):
                    return None
                raise

        pressed: Json = await eventually(picked, what=f"{label} in {menu}")
        return pressed

    async def _choose(self, user: str, menu: str, label: str) -> Json:
        element = next(
            e for b in (await self.root())["blocks"] for e in b.get("elements", []) if e.get("action_id") == menu
        )
        groups = element.get("option_groups") or [element]
        options = [option for group in groups for option in group["options"]]
        value = next(option["value"] for option in options if option["text"]["text"].startswith(label))
        return await self.presses(user, menu, value=value)

    async def reactions(self, ts: str) -> list[str]:
        """The product's echoes on a post of the thread."""
        post = next(p for p in await self.posts() if p["ts"] == ts)
        return sorted(reaction["name"] for reaction in post.get("reactions", []))

    async def says(self, user: str, text: str, **content: Any) -> str:
        """Somebody writes in the thread; the post's ts."""
        done = await self.world.control(
            "slack/post", user=user, channel=self.channel, thread_ts=self.ts, text=text, **content
        )
        return str(done["ts"])

    async def presses(self, user: str, action_id: str, *, ts: str | None = None, **content: Any) -> Json:
        """Somebody presses a button of the card, or of the post `ts`."""
        return await self.world.control(
            "slack/press", user=user, channel=self.channel, ts=ts or self.ts, action_id=action_id, **content
        )


@dataclass(kw_only=True)
class World:
    """The sandbox, the bot (while it runs), and the way to act on both."""

    url: str
    folder: Path
    overrides: Json
    client: httpx.AsyncClient
    events_url: str | None = None
    address: str = ""
    task: asyncio.Task[int] | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    house: app.House = field(init=False, repr=False)  # while it runs
    ear: secrecy.Ear = field(default_factory=secrecy.Ear, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)  # from the next start on

    def settings(self) -> settings.Settings:
        """The shipped configuration against this sandbox."""
        return settings.load(ROOT / "config.yaml", environment=self.environment, overrides=self.overrides)

    async def start(self, *, listening: bool = True) -> str:
        """Start the bot and wait until it listens to both platforms; its web address.

        Without `listening` only Slack is waited for: another process may be the one that polls.
        """
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        found = self.settings()

        async def run() -> int:
            async with app.build(found) as house:
                self.house = house
                return await life.serve(house, self.stopped, ready=ready.set_result)

        self.stopped.clear()
        self.task = asyncio.create_task(run())
        waits: set[asyncio.Future[Any]] = {self.task, ready}
        done, _ = await asyncio.wait(waits, timeout=START_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if self.task in done:
            self.task.result()
        self.address = await asyncio.wait_for(ready, START_PATIENCE_S)
        if self.events_url is not None:  # Slack asks the address whether it is ours before it uses it
            await self.control("slack/settings", events_url=self.events_url)
            self.events_url = None
        await eventually(
            lambda: self.house.desk.last_success_age() < 30 and (not listening or self._polled()),
            what="both platforms heard",
        )
        return self.address

    def _polled(self) -> bool:
        return all(channel.last_success_age() < 30 for channel in self.house.channels.values())

    async def stop(self) -> int:
        """Stop the bot as SIGTERM would; its exit code."""
        assert self.task is not None
        self.stopped.set()
        code = await asyncio.wait_for(self.task, PATIENCE_S)
        self.task = None
        return code

    async def control(self, path: str, **body: Any) -> Json:
        """A request to the control interface; its refusals are errors."""
        self.ear.told(body)
        answer = await self.client.post(f"/control/{path}", json=body)
        found: Json = answer.json()
        if not found.get("ok", True):
            raise AssertionError(f"{path}: {found}")
        return found

    async def look(self, path: str, **query: Any) -> Json:
        """What the control interface shows."""
        answer = await self.client.get(f"/control/{path}", params=query)
        found: Json = answer.json()
        return found

    async def log(self, **query: Any) -> list[Json]:
        """The judge's log."""
        return list((await self.look("log", **query))["records"])

    async def command(self, user: str, text: str, channel: str = "C0SUPPORT") -> Json:
        """Somebody types our slash command."""
        return await self.control("slack/command", user=user, channel=channel, command="/relaydesk", text=text)

    async def overhear(self) -> None:
        """Tell the ear what people wrote and who they are, as far as the sandbox is still there to say it."""
        with suppress(httpx.HTTPError):
            for record in await self.log():
                whose, data = record["platform"], record["data"]
                if whose == "telegram" and "message" in record["kind"]:
                    self.ear.told(data)
                    self.ear.address(int(record["key"].partition(":")[0]))
                elif whose == "slack" and record["kind"] == "post" and data.get("via") == "person":
                    self.ear.told({"text": data.get("text")})

    async def now(self) -> datetime:
        """Product time."""
        answer = await self.client.get("/clock")
        return datetime.fromtimestamp(answer.json()["now"], UTC)

    async def advance(self, **span: float) -> None:
        """Let product time jump forward, and wait until the bot has noticed."""
        await self.control("clock", advance_s=timedelta(**span).total_seconds())
        there = await self.now()
        await eventually(lambda: self.house.clock.now() >= there, what="the bot knows the time")

    async def advance_to(self, moment: datetime) -> None:
        """Let product time jump to a moment in the future."""
        await self.advance(seconds=(moment - await self.now()).total_seconds())

    async def swept(self) -> None:
        """Wait until the sweep has looked once more and every alert has left: what is not there will not come."""
        sweep, began = self.house.sweep, time.monotonic()
        # A look that had begun before the clock was advanced says nothing: the next one begins, and then one more.
        for _ in range(2):
            sweep._woken.set()
            await eventually(lambda: not sweep._woken.is_set(), what="the sweep looks again")
        await eventually(lambda: sweep.last_success_age() < time.monotonic() - began, what="it has looked")
        await self.sent(DeliveryKind.DESK_ALERT, DeliveryKind.HOOK_ALERT)

    async def sent(self, *kinds: DeliveryKind) -> None:
        """Wait until nothing of these kinds is still to leave."""
        waiting = select(tables.outbox.c.id).where(
            tables.outbox.c.kind.in_([kind.value for kind in kinds]), tables.outbox.c.state.in_(("todo", "sending"))
        )

        async def none() -> bool:
            async with self.house.stores.database.read() as conn:
                return (await conn.execute(waiting)).first() is None

        await eventually(none, what=f"{', '.join(kinds)} left")

    async def audited(self, action: str) -> list[str]:
        """Who did something of this kind, by the audit log."""
        async with self.house.stores.database.read() as conn:
            query = select(tables.audit.c.actor).where(tables.audit.c.action == action).order_by(tables.audit.c.seq)
            return [str(actor) for actor in (await conn.execute(query)).scalars()]

    async def customer(self, first_name: str = "Ann", language: str = "en", **fields: Any) -> Phone:
        """A new customer."""
        made = await self.control("telegram/customers", first_name=first_name, language_code=language, **fields)
        return Phone(world=self, chat_id=made["chat_id"])

    async def cards(self) -> list[Card]:
        """All cards in all channels, in the order in which they were posted."""
        found = []
        for channel in (await self.look("slack/channels"))["channels"]:
            page = await self.look(f"slack/channel/{channel['id']}")
            found += [
                Card(world=self, channel=channel["id"], ts=m["ts"])
                for m in page["messages"]
                if m.get("bot_id") and m.get("blocks") and m.get("text", "").startswith("#")
            ]
        return sorted(found, key=lambda card: float(card.ts))

    async def card(self, place: int = 0) -> Card:
        """The card that was posted at this place in the order; waits for it."""
        cards = await eventually(lambda: self._at_least(place + 1), what=f"{place + 1} cards")
        return cards[place]  # type: ignore[no-any-return]

    async def card_in(self, channel: str) -> Card:
        """The newest card of a channel that is still used; waits for it."""

        async def look() -> Card | None:
            return next((one for one in reversed(await self.cards()) if one.channel == channel), None)

        found: Card = await eventually(look, what=f"a card in {channel}")
        return found

    async def _at_least(self, count: int) -> list[Card]:
        cards = await self.cards()
        return cards if len(cards) >= count else []

    async def ephemerals(self, channel: str, user: str) -> list[str]:
        """What only this person is told in a channel, the windows that opened for them last."""
        page = await self.look(f"slack/channel/{channel}")
        beside = [str(body.get("text", "")) for body in page["ephemerals"].get(user, [])]
        windows = (view for view in page["views"].get(user, []) if view["type"] == "modal")
        return beside + [
            "\n".join(block["text"]["text"] for block in view["blocks"] if "text" in block) for view in windows
        ]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    """Nested overrides put together."""
    out = dict(below)
    for name, value in above.items():
        out[name] = merged(out[name], value) if isinstance(value, Mapping) and name in out else value
    return out


def said(post: Json) -> str:
    """Everything a post shows, as one text."""
    return json.dumps([post.get("blocks"), post.get("files"), post.get("text")], ensure_ascii=False)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    telegram: str = "polling",
    slack: str = "socket",
    database: str | None = None,
    keystore: str | None = None,
    start: bool = True,
    **overrides: Any,
) -> AsyncIterator[World]:
    """A sandbox and a bot against it. `telegram` is polling or webhook, `slack` socket or http."""
    async with AsyncExitStack() as stack:
        ear = stack.enter_context(secrecy.listening())
        url = await stack.enter_async_context(sandbox())
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, verify=False, trust_env=False)
        )
        port = stack.enter_context(ports.kept())
        chosen: Json = {
            "data_dir": str(folder / "data"),
            "keys": {"master_file": str(folder / "keys" / "master.key")},
            "telegram": {"base_url": f"{url}/telegram", "mode": telegram, "poll_timeout": "2s"},
            "slack": {"base_url": f"{url}/slack/api/", "mode": slack},
            "clock": {"source": f"{url}/clock"},
            "classifier": {"model_dir": str(MODEL)},
            "learning": {"audit_share": 0.0, "train_hour": None, "train_after": None},  # stories that ask for it say so
            "limits": {"enabled": False},
            "automatic": {"acknowledge": "never"},
            # A busy machine shows messages late, and stories let time jump: those about such questions ask for them.
            "desk": {"undo": "0s", "ask_unread": False, "ask_late": None},
            "privacy": {"notice": False},  # stories about it say so; the others look at what people wrote
            "web": {"port": port},
        }
        if telegram == "webhook":
            chosen["telegram"]["webhook_url"] = f"http://127.0.0.1:{port}/telegram/telegram"
        if database is not None:
            chosen["database"] = {"url": database}
            chosen["keystore"] = {"url": keystore}
        ring = rings.create_master_file(folder / "keys" / "master.key")
        passwords = re.findall(r"://[^/@\s]*?:([^/@\s]+)@", f"{database} {keystore}")
        for secret in (*re.findall(r":(\S+)", ring.text()), *passwords):
            ear.secret(secret)
        made = World(url=url, folder=folder, overrides=merged(chosen, overrides), client=client, ear=ear)
        if slack == "http":
            made.events_url = f"http://127.0.0.1:{port}/slack/events"
        if start:
            patient = {"ack_timeout_s": SLACK_PATIENCE_S, "trigger_lifetime_s": SLACK_PATIENCE_S}
            await made.control("slack/settings", **patient)
            await templates.seed(database or f"sqlite:///{made.overrides['data_dir']}/relaydesk.db")
            await made.start()
        try:
            yield made
        finally:
            await made.overhear()
            if made.task is not None:
                await made.stop()
        ear.check(folder)

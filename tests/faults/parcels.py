"""Files on their way through a campaign: sent while the bot is killed, held against what arrived and what is kept."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from bot import opening, times
from bot.settings import Settings
from storage import attachments as keeping
from storage.attachments import Attachments
from storage.tables import attachment_pieces, attachments
from tests.world import MAYA

if TYPE_CHECKING:
    from tests.faults.oracle import Verdict
    from tests.faults.traffic import Customer, Traffic
    from tests.world import World

BYTES = 5 * keeping.PIECE_BYTES - 7
"""Enough to be kept in several transactions and sent in several pieces."""
MIME = "application/octet-stream"


@dataclass(kw_only=True)
class Parcels:
    """What was sent in both directions, by name: its digest."""

    received: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)

    @property
    def digests(self) -> list[str]:
        """Of all files, in any order."""
        return sorted([*self.received.values(), *self.sent.values()])


async def exchange(traffic: Traffic) -> None:
    """A customer sends a file with words, and an agent answers with one, where there is a thread already."""
    customer = traffic.rng.choice(traffic.customers)
    name, content = _made(traffic, f"from-{traffic.customers.index(customer)}-{len(customer.said)}.bin")
    traffic.parcels.setdefault(customer.name, Parcels()).received[name] = _digest(content)
    await traffic.says(customer, document=base64.b64encode(content).decode(), filename=name, mime=MIME)
    await traffic.look()
    threads = [one for one in traffic.customers if one.card is not None]
    if threads:
        customer = traffic.rng.choice(threads)
        name, content = _made(traffic, f"for-{traffic.customers.index(customer)}-{len(customer.answers)}.bin")
        traffic.parcels.setdefault(customer.name, Parcels()).sent[name] = _digest(content)
        file = {"base64": base64.b64encode(content).decode(), "name": name, "mime": MIME}
        await traffic.answers(customer, by=MAYA, files=[file])


async def judge(verdict: Verdict, world: World, traffic: Traffic) -> None:
    """Each file stands once where it belongs, byte for byte."""
    for customer in traffic.customers:
        wanted = traffic.parcels.get(customer.name, Parcels())
        for where, names, found in (
            ("thread", wanted.received, await _in_thread(world, customer)),
            ("chat", wanted.sent, await _in_chat(world, customer)),
        ):
            what = f"files in the {where} of {customer.name}"
            verdict.compare(what, list(names), [name for name, _ in found])
            verdict.record += [f"{what}: {name} is another" for name, digest in found if names.get(name) != digest]


async def kept(verdict: Verdict, traffic: Traffic, read: Settings) -> None:
    """Each file is kept once and whole, and what the kills left of others is swept away."""
    async with opening.open_stores(read) as opened:
        later = Attachments(opened.database, opened.keys, lambda: times.real() + timedelta(days=2), largest=None)
        await later.sweep()
        async with opened.database.read() as conn:
            blobs = (await conn.execute(select(func.count(attachment_pieces.c.blob.distinct())))).scalar_one()
        found = await _kept_in(opened)
    wanted = sorted(digest for one in traffic.parcels.values() for digest in one.digests)
    if sorted(found) != wanted:
        verdict.record.append(f"{len(found)} files are kept of {len(wanted)}, or others")
    if blobs != len(found):
        verdict.record.append(f"{blobs} blobs for {len(found)} files")


async def in_record(read: Settings) -> list[str]:
    """The digest of every file that is kept."""
    async with opening.open_stores(read) as opened:
        return await _kept_in(opened)


async def _kept_in(opened: opening.Stores) -> list[str]:
    async with opened.database.read() as conn:
        rows = (await conn.execute(select(attachments.c.entry_id, attachments.c.part))).all()
    entries = await opened.record.entries([row.entry_id for row in rows])
    found = []
    for row in rows:
        file = await opened.attachments.find(entries[row.entry_id], row.part)
        assert file is not None
        digest = hashlib.sha256()
        async for piece in file.open():
            digest.update(piece)
        found.append(digest.hexdigest())
    return found


def _made(traffic: Traffic, name: str) -> tuple[str, bytes]:
    return name, traffic.rng.randbytes(BYTES)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def _in_thread(world: World, customer: Customer) -> list[tuple[str, str]]:
    posts = await customer.card.posts() if customer.card is not None else []
    shown = [file for post in posts if post.get("bot_id") for file in post.get("files", [])]
    return [(str(one["title"]), await _bytes_of(world, f"/control/slack/file/{one['id']}")) for one in shown]


async def _in_chat(world: World, customer: Customer) -> list[tuple[str, str]]:
    files: list[dict[str, Any]] = [m["file"] for m in await customer.phone.chat() if m["from"] == "bot" and m["file"]]
    return [(str(one["name"]), await _bytes_of(world, str(one["url"]))) for one in files]


async def _bytes_of(world: World, url: str) -> str:
    return _digest((await world.client.get(url)).content)

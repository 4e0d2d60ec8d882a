"""Files at the limits of the platforms, both ways, over real sockets: every byte, their order, albums, and the memory.

    python -m tests.faults.freight --seed 7 --only "out video"

Every kind goes alone, as two and as ten, exactly at the limit and one byte over it, mixed, and with sizes that are
announced wrongly or not at all (`loads.cells`). What arrived is read back and held against what was sent, byte for byte
by its digest, and so is what is kept, sealed, in the record. While a cell is carried the kernel notes the most memory
that the desk held at once (VmHWM): it must not grow with the size of a file or with their number. Caches that have a
limit are so small here that they are soon full (`nursery._narrow`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain import signs
from tests import world as worlds
from tests.faults import campaign, lives, loads, oracle, parcels, recorded
from tests.faults.books import Books
from tests.faults.loads import Cell, Limits, Parcel
from tests.world import MAYA, Card, Phone, World, eventually, said

WAYS = {"engine": "sqlite", "telegram": "polling", "slack": "socket"}
LONG_S = 900.0
LOOK_EVERY_S = 0.2
MEBIBYTE = 1 << 20
GROWS_BY_BYTES = 32 * MEBIBYTE
"""So much more than before may be held at once while files are carried, however many and large they are."""
SHOWN_FROM_BYTES = 40_000_000
"""What takes so long that the agent must see that it is on its way."""
SEEN_FROM_BYTES = 200_000_000
"""What goes up at once for so long that the customer must see that it comes: one file is there within the half second
after which that is shown.
"""
TOO_LARGE = "too large"
NOT_SENT = "was not delivered"


@dataclass(kw_only=True)
class Carried:
    """How one cell went. `grew_bytes`: the most memory while it was carried, less that before."""

    cell: Cell
    seconds: float
    grew_bytes: int = 0
    shown_waiting: bool = False
    shown_uploading: bool = False

    def row(self) -> dict[str, Any]:
        """As it is written down."""
        found = {"s": round(self.seconds, 1), "mb": round(self.cell.bytes / 1e6, 1), "files": len(self.cell.parcels)}
        return {**found, "grew_mb": round(self.grew_bytes / 1e6, 1)}


@dataclass(kw_only=True)
class Desk:
    """Where cells are carried: a world with one customer and their thread. `pid` of the desk, where it is another's."""

    world: World
    phone: Phone
    card: Card
    limits: Limits
    verdict: oracle.Verdict
    pid: int | None = None
    refused: int = 0  # files that must have been given up on their way to Telegram
    seen: set[object] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    groups: itertools.count[int] = field(default_factory=itertools.count)

    async def carry(self, cell: Cell) -> Carried:
        """Send the files of a cell, wait until all has become of them what must, and judge it."""
        await self.world.control("telegram/largest_request", **({} if cell.takes is None else {"bytes": cell.takes}))
        before = _memory(self.pid, reset=True)
        began = time.monotonic()
        carried = Carried(cell=cell, seconds=0.0)
        try:
            await (self._in(cell) if cell.way == "in" else self._out(cell, carried))
        except AssertionError as error:
            self.verdict.lost.append(f"{cell.name}: {error}")
        carried.seconds = time.monotonic() - began
        carried.grew_bytes = max(0, _memory(self.pid) - before)
        if carried.grew_bytes > GROWS_BY_BYTES:
            self.verdict.storms.append(f"{cell.name}: {carried.grew_bytes / 1e6:.0f} MB of memory more than before")
        self.kept += [parcel.digest for parcel in cell.parcels if not parcel.refused]
        return carried

    # ---- from the customer ----------------------------------------------------------------------------------

    async def _in(self, cell: Cell) -> None:
        many = cell.what in ("photo", "video", "audio", "document", "mixed", "announced") and len(cell.parcels) > 1
        album = {"media_group_id": f"g{next(self.groups)}"} if many else {}
        for place, parcel in enumerate(cell.parcels):
            file = parcel.described("data", "filename", "file_size")
            words = cell.words if place == 0 else ""
            await self.phone.says("", **{parcel.kind: file, "caption": words, **album})
            self.verdict.messages += 1

        async def all_there() -> list[Any]:
            posts = await self._new_posts()
            files = sum(len(post.get("files", [])) for post in posts)
            named = sum(TOO_LARGE in said(post) for post in posts)
            return posts if files + named >= len(cell.parcels) else []

        posts = await eventually(all_there, within=LONG_S, every=LOOK_EVERY_S, what=f"{cell.name} in the thread")
        shown: list[str] = []
        for post in posts:
            for file in post.get("files", []):
                digest = await self._digest(f"/control/slack/file/{file['id']}")
                shown += [f"{file['title']} {digest}"]
            shown += [f"{parcel.shown_in_slack} named" for parcel in _named_in(said(post), cell)]
        wanted = [f"{p.shown_in_slack} {'named' if p.refused else p.digest}" for p in cell.parcels]
        self._compare(cell, wanted, shown)
        if cell.words and sum(cell.words in said(post) for post in posts) != 1:
            self.verdict.record.append(f"{cell.name}: its words do not stand there once")
        self.seen |= {post["ts"] for post in posts}

    async def _new_posts(self) -> list[Any]:
        return [post for post in await self.card.posts() if post.get("bot_id") and post["ts"] not in self.seen]

    # ---- from the agent -------------------------------------------------------------------------------------

    async def _out(self, cell: Cell, carried: Carried) -> None:
        files = [parcel.described("base64", "name", "size") for parcel in cell.parcels]
        ts = await self.card.says(MAYA, cell.words, files=files)
        self.verdict.answers += len(files)
        refused = sum(parcel.refused for parcel in cell.parcels)

        async def settled() -> bool:
            reactions = await self.card.reactions(ts)
            carried.shown_waiting |= signs.WAITING in reactions
            page = await self.world.look(f"telegram/chat/{self.phone.chat_id}")
            carried.shown_uploading |= str(page.get("action") or "").startswith("upload")
            arrived = sum(m["file"] is not None for m in await self._new_messages())
            lines = sum(NOT_SENT in said(post) for post in await self._new_posts())
            done = {signs.SENT, signs.FAILED} & set(reactions)
            return arrived + lines >= len(files) and bool(done)

        await eventually(settled, within=LONG_S, every=LOOK_EVERY_S, what=f"{cell.name} on the phone")
        messages, posts = await self._new_messages(), await self._new_posts()
        shown = [
            f"{m['file']['kind']} {m['file']['name']} {await self._digest(m['file']['url'])}"
            for m in messages
            if m["file"] is not None
        ]
        groups = cell.groups(self.limits)
        arriving = [parcel for group in groups for parcel in group]
        wanted = [f"{loads.shown_as(p, self.limits)} {p.name} {p.digest}" for p in arriving]
        self._compare(cell, wanted, shown)
        together = itertools.groupby(m["media_group_id"] or m["message_id"] for m in messages if m["file"])
        found, sizes = [len(list(some)) for _, some in together], [len(group) for group in groups]
        if found != sizes:
            self.verdict.misplaced.append(f"{cell.name}: albums of {found}, not of {sizes}")
        words = [m["caption"] or m["text"] for m in messages if m["caption"] or m["text"]]
        if words != [cell.words] * bool(cell.words):
            self.verdict.record.append(f"{cell.name}: its words did not arrive once")
        lines = [said(post) for post in posts if NOT_SENT in said(post)]
        named = [sum(p.name in line and TOO_LARGE in line for line in lines) for p in cell.parcels if p.refused]
        if named != [1] * refused or len(lines) != refused:
            self.verdict.record.append(f"{cell.name}: {refused} files were refused, {len(lines)} lines say so: {named}")
        is_ok = set(await self.card.reactions(ts)) == {signs.FAILED if refused else signs.SENT}
        if not is_ok:
            self.verdict.left_over.append(f"{cell.name}: {await self.card.reactions(ts)} stand on the answer")
        if cell.bytes > SHOWN_FROM_BYTES and not carried.shown_waiting:
            self.verdict.left_over.append(f"{cell.name}: no hourglass while it was on its way")
        at_once = max((sum(parcel.size for parcel in group) for group in groups), default=0)
        if at_once > SEEN_FROM_BYTES and not carried.shown_uploading:
            self.verdict.left_over.append(f"{cell.name}: the customer did not see that it comes")
        self.refused += refused
        self.seen |= {post["ts"] for post in posts} | {m["message_id"] for m in messages}

    async def came(self) -> list[str]:
        """The names of the files that arrived, either way, since the last cell was judged; none of them is new then."""
        messages, posts = await self._new_messages(), await self._new_posts()
        self.seen |= {post["ts"] for post in posts} | {m["message_id"] for m in messages}
        shown = [str(m["file"]["name"]) for m in messages if m["file"]]
        return shown + [str(file["title"]) for post in posts for file in post.get("files", [])]

    async def _new_messages(self) -> list[Any]:
        return [m for m in await self.phone.chat() if m["from"] == "bot" and m["message_id"] not in self.seen]

    # ---- both -----------------------------------------------------------------------------------------------

    def _compare(self, cell: Cell, wanted: Sequence[str], shown: Sequence[str]) -> None:
        """Each once, in order, whole. Files without a name are told apart by their bytes, refused ones by nothing."""
        short, found = _short(wanted), _short(shown)
        if short == found:
            return
        self.verdict.compare(cell.name, list(dict.fromkeys(short)), list(dict.fromkeys(found)))
        if Counter(short) != Counter(found):  # some have one name, and are counted
            self.verdict.record.append(f"{cell.name}: {found}, not {short}")

    async def _digest(self, url: str) -> str:
        found = hashlib.sha256()
        async with self.world.client.stream("GET", url, timeout=LONG_S) as answer:
            async for piece in answer.aiter_bytes():
                found.update(piece)
        return found.hexdigest()


async def opened(world: World, limits: Limits, verdict: oracle.Verdict, pid: int | None = None) -> Desk:
    """A customer who has written, and their thread."""
    phone = await world.customer("Ann")
    await phone.says("May I send you some files?")
    card = await world.card()
    await card.says_ours("May I send")
    seen = {post["ts"] for post in await card.posts()}
    return Desk(world=world, phone=phone, card=card, limits=limits, verdict=verdict, pid=pid, seen=seen)


def _named_in(line: str, cell: Cell) -> list[Parcel]:
    """The file that a line is about; of several that have one name the first."""
    return [p for p in cell.parcels if TOO_LARGE in line and p.refused and p.shown_in_slack in line][:1]


def _short(words: Sequence[str]) -> list[str]:
    """Digests as short as a person reads them."""
    return [" ".join([*one.split()[:-1], one.split()[-1][:8]]) for one in words]


def _memory(pid: int | None, *, reset: bool = False) -> int:
    """The most memory that a process held since the last `reset`, in bytes; 0 where nobody asks."""
    if pid is None:
        return 0
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


# ---- a run -----------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Report:
    """What came of it. `ways` say how the desk was run, and which cells were asked for."""

    seed: int
    ways: dict[str, str] = field(default_factory=lambda: dict(WAYS))
    carried: list[Carried] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)

    def row(self, name: str, commit: str) -> recorded.Row:
        """What is written down of it: of each way and kind, the cells."""
        return recorded.Row(
            campaign="freight",
            run=name,
            seed=self.seed,
            commit=commit,
            ways=self.ways,
            faults=dict(sorted(Counter(one.cell.size for one in self.carried).items())),
            seconds=round(self.seconds, 1),
            starts=self.starts,
            **self.verdict.counts(),
            more={"cells": {one.cell.name: one.row() for one in self.carried}},
        )


async def run(report: Report, limits: Limits, folder: Path | None = None) -> Report:
    """Every cell whose name begins with what was asked for; each way and kind over an empty desk."""
    began = time.monotonic()
    wanted = [cell for cell in loads.cells(report.seed, limits) if cell.name.startswith(report.ways.get("only", ""))]
    for (way, what), some in itertools.groupby(wanted, key=lambda cell: (cell.way, cell.what)):
        sys.stderr.write(f"{way} {what}\n")
        with tempfile.TemporaryDirectory(prefix="freight-", dir=folder) as home:
            await _over_an_empty_desk(report, limits, list(some), Path(home))
    report.seconds = time.monotonic() - began
    return report


async def _over_an_empty_desk(report: Report, limits: Limits, cells: Sequence[Cell], home: Path) -> None:
    async with AsyncExitStack() as stack:
        databases: tuple[str | None, str | None] = (None, None)
        if report.ways["engine"] == "postgres":
            databases = stack.enter_context(campaign.postgres())
        world = await stack.enter_async_context(
            worlds.world(
                home,
                start=False,
                telegram=report.ways["telegram"],
                slack=report.ways["slack"],
                database=databases[0],
                keystore=databases[1],
            )
        )
        nursery = await stack.enter_async_context(lives.nursery(world))
        life = await nursery.start(inside=home / "inside.jsonl")
        if not await life.ready(world.client):
            raise AssertionError("the desk did not start")
        report.starts += 1
        if world.events_url is not None:
            await world.control("slack/settings", events_url=world.events_url)
        books = Books.of(world.settings().database_url)
        desk = await opened(world, limits, report.verdict, life.pid)
        for cell in cells:
            carried = await desk.carry(cell)
            report.carried.append(carried)
            sys.stderr.write(f"  {cell.name}: {json.dumps(carried.row())}\n")
        try:
            await quiet(books)
            await judge_record(desk, books)
        finally:
            await books.close()
        life.kill(signal.SIGTERM)
        if await life.over(30.0) != 0:
            report.verdict.left_over.append(f"{cells[0].way} {cells[0].what}: it did not stop cleanly")


async def quiet(books: Books) -> None:
    """Wait until nothing waits any more."""

    async def nothing() -> bool:
        return not any(await books.waiting())

    await eventually(nothing, within=LONG_S, every=LOOK_EVERY_S, what="everything has left")


async def judge_record(desk: Desk, books: Books) -> None:
    """What arrived is kept, sealed, once and whole, and nothing else is; only what had to be was given up."""
    found = sorted(await parcels.in_record(desk.world.settings()))
    wanted = sorted(desk.kept)
    if found != wanted:
        missing, more = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        desk.verdict.record.append(f"kept: {missing.total()} files are missing, {more.total()} are too many")
    desk.verdict.doubled += [f"late, once more: {name}" for name in await desk.came()]
    dead = await books.dead()
    if len(dead) != desk.refused:
        desk.verdict.left_over.append(f"{desk.refused} files had to be given up: {dead}")


def _folder(name: str) -> Path:
    """A folder that is there, by its whole path: the desk, its keys and its configuration are told of it apart."""
    found = Path(name).expanduser().resolve()
    found.mkdir(parents=True, exist_ok=True)
    return found


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.freight", description="Files at the limits.")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--only", default="", help='cells that begin like this: "out video"')
    made.add_argument("--engine", choices=("sqlite", "postgres"), default=WAYS["engine"])
    made.add_argument("--telegram", choices=("polling", "webhook"), default=WAYS["telegram"])
    made.add_argument("--slack", choices=("socket", "http"), default=WAYS["slack"])
    made.add_argument("--folder", type=_folder, help="where the record is kept meanwhile: 2 GB at most")
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; exit code 1 when a file was lost, doubled, changed or misplaced, or memory grew."""
    wish = parser().parse_args(arguments)
    report = Report(seed=wish.seed, ways={name: getattr(wish, name) for name in WAYS})
    if wish.only:
        report.ways["only"] = wish.only
    asyncio.run(run(report, Limits(), wish.folder))
    row = report.row(wish.record or "freight", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(row, wish.into)
    sys.stdout.write("\n".join(row.failures) + ("\n" if row.failures else "held\n"))
    return int(bool(row.failures))


if __name__ == "__main__":
    sys.exit(main())

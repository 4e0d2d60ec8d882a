"""`relaydesk keys`: the ring of master keys: look at it, rotate it, drop what is no longer needed."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    progress,
    say,
    show_json,
    table,
)
from domain.errors import RefusedToStart

if TYPE_CHECKING:
    from pathlib import Path

    from bot.settings import Settings
    from storage.rings import MasterRing

app = typer.Typer(help="Look at the master keys, and rotate them.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="The key file has been copied away; do not ask.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The master key's id, such as k-1f0c5b7e.")]


@app.callback()
def keys() -> None:
    """Look at the master keys, and rotate them."""


@app.command("list")
@guarded
def list_keys(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show each master key by its id, and how many keys it wraps. Never the keys."""
    from bot import opening, settings

    read = settings.load(path)
    ring = opening.read_ring(read)
    wraps = asyncio.run(_wraps(read))
    rows = [
        {
            "id": one,
            "wraps": wraps.get(one, 0),
            "state": "seals" if one == ring.active else "still needed" if wraps.get(one) else "for old backups only",
        }
        for one in ring.keys
    ]
    if as_json:
        show_json(rows)
        return
    table("id", "keys under it", "", rows=[[str(value) for value in row.values()] for row in rows], right=(1,))


@app.command()
@guarded
def rotate(path: ConfigFile = DEFAULT_CONFIG, yes: Yes = False) -> None:
    """Make a new master key and move every key under it. The bot goes on meanwhile; a stopped rotation goes on."""
    from bot import crashpoints, opening, settings
    from bot.cli import checks, stores
    from storage import rings

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    read = settings.load(path)
    is_file = read.secrets.master_key is None
    ring = opening.read_ring(read)
    if not _left(asyncio.run(_wraps(read)), ring):
        if not is_file:
            raise RefusedToStart(
                "every key is under the first master key already. To rotate a ring that is kept in the environment, "
                "put the line that `relaydesk keys new` prints before the others, restart every process, and come back"
            )
        ring = rings.add_master_key(read.keys.master_file)
        say(f"Put a new master key {ring.active} into {read.keys.master_file}; the older ones are still in it.")
    else:
        say(f"Going on: some keys are not yet under {ring.active}.")
    if is_file and not yes and not checks.is_copied(read.keys.master_file, set(ring.keys)):
        say(f"Copy {read.keys.master_file} to a safe place now: from here on the record cannot be read without it.")
        if not typer.confirm("Have you copied it?", default=False):
            complain("relaydesk: nothing was moved; copy the file and run `relaydesk keys rotate` again")
            raise typer.Exit(FAILED)
        checks.confirm_copied(read.keys.master_file)

    async def work() -> int:
        async with stores.existing(read) as opened:
            whole = await opened.keys.outdated()
            await stores.audited(opened, "keys.rotate", f"key:{ring.active}", f"{whole} keys")
            with progress("Moving keys") as advance:
                moved = 0

                def done(count: int) -> None:
                    nonlocal moved
                    moved += count
                    advance(moved / max(whole, moved))
                    crashpoints.reach("in_rotate")

                count = await opened.keys.rewrap(done)
            await stores.audited(opened, "keys.rotated", f"key:{ring.active}", f"{count} keys")
            return count

    say(f"{asyncio.run(work())} keys are under {ring.active} now.")
    if len(ring.keys) > 1:
        advise(
            "Older master keys are needed for older backups of the key store. "
            "When those are gone: relaydesk keys drop ID"
        )


@app.command()
@guarded
def new() -> None:
    """Print a new master key as a line for RELAYDESK_MASTER_KEY. It is secret: redirect it where it belongs."""
    from storage.rings import MasterRing

    typer.echo(MasterRing.generate().text().strip())


@app.command()
@guarded
def drop(key: KeyId, path: ConfigFile = DEFAULT_CONFIG, yes: Yes = False) -> None:
    """Take a master key out of the file. Refused while it wraps a key; backups under it are lost with it."""
    from bot import opening, settings
    from storage import rings

    read = settings.load(path)
    if read.secrets.master_key is not None:
        raise RefusedToStart("the master keys come from the environment: take the line out there, and restart")
    ring = opening.read_ring(read)
    if key not in ring.keys:
        raise RefusedToStart(f"{read.keys.master_file} has no master key {key}; there are {', '.join(ring.keys)}")
    if key == ring.active or asyncio.run(_wraps(read)).get(key):
        raise RefusedToStart(f"the master key {key} is needed; run `relaydesk keys rotate` first")
    if not yes and not typer.confirm(f"Backups made under {key} can never be read again. Drop it?", default=False):
        raise typer.Exit(FAILED)
    asyncio.run(_note_drop(read, key))
    kept = {one: value for one, value in ring.keys.items() if one != key}
    rings.write_master_file(read.keys.master_file, rings.MasterRing(keys=kept, active=ring.active))
    _forget_copy(read.keys.master_file, kept)
    say(f"Dropped {key}. Replace your copies of {read.keys.master_file}, too: they still hold it.")


def _left(wraps: dict[str, int], ring: MasterRing) -> bool:
    """Whether a rotation is under way: some keys, or the right to make some, are under another key than the first."""
    return any(one != ring.active for one in wraps)


async def _note_drop(read: Settings, key: str) -> None:
    from bot.cli import stores

    async with stores.existing(read) as opened:
        await stores.audited(opened, "keys.drop", f"key:{key}")


async def _wraps(read: Settings) -> dict[str, int]:
    from bot.cli import stores

    async with stores.existing(read) as opened:
        return await opened.keys.by_master_key()


def _forget_copy(master_file: Path, kept: dict[str, bytes]) -> None:
    """The note about copies names the keys that are left."""
    from bot.cli import checks

    note = checks.copied_note(master_file)
    if note.is_file():
        still = set(note.read_text(encoding="utf-8").split()) & set(kept)
        note.write_text("\n".join(sorted(still)) + "\n", encoding="utf-8")

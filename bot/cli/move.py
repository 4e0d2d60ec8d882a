"""`relaydesk db move`: from the SQLite files to PostgreSQL, with the bot stopped."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, ConfigFile, advise, guarded, progress, say
from domain.errors import RefusedToStart

if TYPE_CHECKING:
    from bot.settings import Settings

Folder = Annotated[
    Path | None,
    typer.Option("--from", metavar="FOLDER", help="Where relaydesk.db and keys.db are; data_dir by default."),
]


@dataclass(frozen=True, kw_only=True)
class _Store:
    """One store: which, its file, and the address that it is moved to."""

    kind: str
    file: Path
    target: str

    @property
    def aside(self) -> Path:
        """Where the file is kept afterwards."""
        return self.file.with_name(self.file.name + ".moved")

    @property
    def is_here(self) -> bool:
        """Whether the file was not set aside yet."""
        return self.file.is_file()


@guarded
def move(path: ConfigFile = DEFAULT_CONFIG, folder: Folder = None) -> None:
    """Move record and key store from their SQLite files to the PostgreSQL databases that the settings name.

    The bot must be stopped. Every row is read back from both sides before the files are set aside. Stopped or killed,
    run it again: it goes on where it was.
    """
    from bot import settings

    read = settings.load(path)
    asyncio.run(_move(read, folder.resolve() if folder is not None else read.data_dir))


async def _move(read: Settings, folder: Path) -> None:
    from bot import crashpoints, opening
    from bot.cli import stores
    from storage import moving

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    record = _Store(kind=moving.RECORD, file=folder / "relaydesk.db", target=read.database_url)
    keys = _Store(kind=moving.KEYS, file=folder / "keys.db", target=read.keystore_url)
    # The record first: its mark keeps everything from starting. A key store that stays a file stays where it is.
    all_of_them = [record] if keys.target.startswith("sqlite") else [record, keys]
    _refuse(record, all_of_them)
    async with opening.lock(folder):
        with stores.explained():
            if is_moved := record.is_here:
                # Set aside first and moved already, where an earlier run was killed just then.
                at = f"sqlite:///{keys.file}" if keys in all_of_them and keys.is_here else keys.target
                await opening.upgrade_whole(read, f"sqlite:///{record.file}", at)
                for one in all_of_them:
                    await _one(one)
                await opening.check_pair(read)
                for one in reversed(all_of_them):
                    _set_aside(one)
            for one in reversed(all_of_them):
                await moving.finish(one.target)
        if is_moved:
            await stores.audited_where_there(read, "db.move", "record")
    say(f"Done. The files are kept in {folder} as *.moved: destroy them once the first backup was made.")
    advise("Now: relaydesk db rebuild --check, then relaydesk run.")


def _refuse(record: _Store, all_of_them: list[_Store]) -> None:
    """Raise RefusedToStart where there is nothing to move, or no place to move it to."""
    if record.target.startswith("sqlite"):
        raise RefusedToStart(
            "database.url names no PostgreSQL: set RELAYDESK_DATABASE_URL and RELAYDESK_KEYSTORE_URL to two empty "
            "databases, and run this again"
        )
    for one in all_of_them:
        if not one.is_here and not one.aside.is_file():
            raise RefusedToStart(f"there is no {one.file}: name its folder with --from")


async def _one(one: _Store) -> None:
    from bot import crashpoints
    from storage import moving

    if not one.is_here:  # moved and set aside already, by a run that was broken off
        return
    source = f"sqlite:///{one.file}"
    with progress(f"Moving the {'record' if one.kind == moving.RECORD else 'key store'}") as told:
        moved = await moving.move(one.kind, source, one.target, told=told, reached=lambda: crashpoints.reach("in_move"))
    say(f"{one.file.name}: {sum(moved.rows.values()):,} rows of {len(moved.rows)} tables, the same on both sides.")


def _set_aside(one: _Store) -> None:
    """Keep a file under another name, so that nothing starts over it again. Its journals are empty and go."""
    if one.is_here:
        one.file.rename(one.aside)
    for suffix in ("-wal", "-shm"):
        one.file.with_name(one.file.name + suffix).unlink(missing_ok=True)

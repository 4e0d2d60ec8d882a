"""`relaydesk backup`: make one, list them, prove them, put one back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    say,
    show_json,
    table,
)
from domain.errors import RefusedToStart

if TYPE_CHECKING:
    from bot.settings import Settings
    from storage import restore as restoring
    from storage.backup import Copy, Proof, Stores

app = typer.Typer(help="Make, list, verify and restore backups.", no_args_is_help=True)

Set = Annotated[str, typer.Argument(metavar="SET", help="As `backup list` names it; `latest` for the newest.")]
From = Annotated[
    list[Path] | None, typer.Option("--from", metavar="FOLDER", help="Look here instead; may be repeated.")
]
GIVE_WAY = 15
"""How far a scheduled backup steps back behind the bot (nice)."""


@app.callback()
def backup() -> None:
    """Make, list, verify and restore backups."""


@app.command(short_help="Make a backup now, and prove it by restoring it.")
@guarded
def now(
    path: ConfigFile = DEFAULT_CONFIG,
    gently: Annotated[bool, typer.Option("--gently", help="Give way to everything else on this machine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a backup now, put it into every directory, and prove it by restoring it into a temporary place."""
    from bot import backups, crashpoints, settings, times
    from bot.cli import stores
    from storage import backup as copies

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    read = settings.load(path)
    places = backups.places(read)
    if not places.record:
        raise RefusedToStart(_nowhere(read))
    if gently:
        os.nice(GIVE_WAY)

    async def work() -> tuple[list[Copy], list[str], Proof, list[Path]]:
        async with stores.existing(read) as opened:
            at, scratch = times.real(), read.data_dir / "scratch"
            made, troubles = await copies.make(
                _stores(read), places, scratch, at, lambda _step: crashpoints.reach("in_backup")
            )
            record, keys = copies.chosen(made, made[0].set)
            proof = await copies.verify(_stores(read), record, keys, scratch)
            await copies.note_verified(opened.database, times.real())
            gone = await asyncio.to_thread(copies.retire, places, at)
            with stores.recording(f"the backup {made[0].set} is made and proved"):
                await stores.audited(opened, "backup", f"backup:{made[0].set}", f"{proof.opened} messages opened")
            return made, troubles, proof, gone

    made, troubles, proof, gone = asyncio.run(work())
    if as_json:
        files = [{"path": str(copy.path), "kind": copy.kind, "bytes": copy.size} for copy in made]
        shown = {"set": proof.set, "files": files, "rows": proof.rows, "opened": proof.opened, "failed": troubles}
        show_json({**shown, "removed": [str(one) for one in gone]})
    else:
        for copy in made:
            say(f"{copy.path}  {_size(copy.size)}")
        say(f"Proved by restoring it: {proof.rows} rows as they were, {proof.opened} messages opened.")
        if gone:
            say(f"{len(gone)} older files were removed.")
    for trouble in troubles:
        complain(f"relaydesk: not written: {trouble}")
    if troubles:
        raise typer.Exit(FAILED)


@app.command("list")
@guarded
def list_backups(path: ConfigFile = DEFAULT_CONFIG, places: From = None, as_json: AsJson = False) -> None:
    """List the backups in the configured directories, newest first."""
    from bot import backups, settings

    read = settings.load(path)
    found = _found(read, places)
    rows: list[dict[str, Any]] = [
        {
            "set": copy.set,
            "made": copy.at,
            "what": "record" if copy.kind == "record" else "key store",
            "size": copy.size,
            "key": copy.header["ring"],
            "place": str(copy.path.parent),
        }
        for copy in found
    ]
    if as_json:
        show_json(rows)
        return
    if not rows and places is None and not backups.places(read).record:
        say(_nowhere(read))
        return
    if not rows:
        advise("There are no backups here yet. Make one with: relaydesk backup now")
        return
    cells = [
        [*(str(row[key]) for key in ("set", "what")), _size(row["size"]), row["key"], row["place"]] for row in rows
    ]
    table("set", "what", "size", "master key", "place", rows=cells, right=(2,))


@app.command(short_help="Prove a backup by restoring it into a temporary place.")
@guarded
def verify(
    name: Set = "latest", path: ConfigFile = DEFAULT_CONFIG, places: From = None, as_json: AsJson = False
) -> None:
    """Prove a backup: restore it into a temporary place, check it, count every table, open a sample of messages."""
    from bot import settings, times
    from bot.cli import stores
    from storage import backup as copies

    read = settings.load(path)
    record, keys = copies.chosen(_found(read, places), name)
    proof = asyncio.run(copies.verify(_stores(read), record, keys, read.data_dir / "scratch"))

    async def note() -> None:
        async with stores.existing(read) as opened:
            if places is None:
                await copies.note_verified(opened.database, times.real())
            await stores.audited(opened, "backup.verify", f"backup:{proof.set}", f"{proof.opened} messages opened")

    if _is_there(read):
        with stores.recording(f"{proof.set} can be restored"):
            asyncio.run(note())
    if as_json:
        show_json({"set": proof.set, "rows": proof.rows, "opened": proof.opened, "erased": proof.erased})
        return
    say(f"{proof.set} can be restored: {proof.rows} rows as they were, {proof.opened} messages opened.")


@app.command()
@guarded
def restore(
    name: Set,
    path: ConfigFile = DEFAULT_CONFIG,
    places: From = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Put it there (SQLite) and leave ours alone.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Set aside what is there. Nothing is deleted.")] = False,
) -> None:
    """Put a backup back, proved first. Refused while a bot runs; what is there is only set aside with --replace."""
    from ulid import ULID

    from bot import crashpoints, opening, settings, times
    from bot.cli import stores as cli_stores
    from storage import backup as copies
    from storage import restore as restoring

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    read = settings.load(path)
    found = _found(read, places)
    record, keys = copies.chosen(found, name)
    stores = _stores(read) if into is None else _elsewhere(_stores(read), into.resolve())
    folder = read.data_dir if into is None else into.resolve()

    async def work() -> tuple[restoring.Outcome, str]:
        async with opening.lock(folder):
            done = await restoring.restore(
                stores,
                record,
                keys,
                folder=folder,
                others=found,
                replace=replace,
                now=times.real(),
                new_id=lambda: str(ULID()),
                reached=lambda _step: crashpoints.reach("in_restore"),
            )
            try:
                with cli_stores.recording(f"{done.proof.set} is restored"):
                    await _note(stores, done, "here" if into is None else "to another folder")
            except cli_stores.NotRecorded as error:
                return done, str(error)
            return done, ""

    outcome, trouble = asyncio.run(work())
    _tell(outcome, folder)  # also where the trail could not be told: it says where the former files are
    if trouble:
        complain(f"relaydesk: {trouble}")
        raise typer.Exit(FAILED)


async def _note(put: Stores, done: restoring.Outcome, where: str) -> None:
    """The trail that was restored says so: what was done since the backup is not in it."""
    from bot import times
    from bot.cli.stores import os_user
    from storage import audit
    from storage.database import Database
    from storage.keys import KeyStore

    async with Database.open(put.database_url, readers=1) as database:
        keys = await KeyStore.open(put.keystore_url, put.ring, create=False)
        try:
            key, detail = keys.purpose("audit"), f"{where}, {done.tombstones} erased again"
            acted = {"actor": f"os:{os_user()}", "action": "backup.restore", "object": f"backup:{done.proof.set}"}
            await database.write(lambda conn: audit.record(conn, key, at=times.real(), detail=detail, **acted))
        finally:
            await keys.close()


def _tell(outcome: restoring.Outcome, folder: Path) -> None:
    proof = outcome.proof
    say(f"Restored {proof.set} to {folder}: {proof.rows} rows, {proof.opened} messages of a sample opened.")
    if outcome.tombstones:
        say(f"{outcome.tombstones} customers who were erased after this backup are erased here, too.")
    for former in outcome.aside:
        say(f"What was there before: {former}")
    if outcome.aside:
        say("Remove that when you are content, the key store within 30 days: it holds keys that were destroyed since.")
    say("A bot that is started over it sends what was waiting to be sent then, and makes the search index again.")


def _nowhere(read: Settings) -> str:
    return f"{read.path}: backup.record_to and backup.keys_to name no directories; name some, apart from each other"


def _stores(read: Settings) -> Stores:
    from bot import opening
    from storage.backup import Stores

    return Stores(database_url=read.database_url, keystore_url=read.keystore_url, ring=opening.read_ring(read))


def _elsewhere(stores: Stores, folder: Path) -> Stores:
    from storage.backup import Stores

    return Stores(
        database_url=f"sqlite:///{folder / 'relaydesk.db'}",
        keystore_url=f"sqlite:///{folder / 'keys.db'}",
        ring=stores.ring,
    )


def _found(read: Settings, places: list[Path] | None) -> list[Copy]:
    from storage import backup as copies

    return copies.found([*places] if places else [*read.backup.record_to, *read.backup.keys_to])


def _is_there(read: Settings) -> bool:
    """Whether there is a record to write into; a backup is verified on other machines, too."""
    from bot.cli import stores

    try:
        stores.must_exist(read)
    except RefusedToStart:
        return False
    return True


def _size(count: int) -> str:
    return f"{count / 1024**2:.1f} MiB" if count >= 1024**2 else f"{count / 1024:.0f} KiB"

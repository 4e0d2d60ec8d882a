"""The stores as the command line opens them: beside a running bot, never making what is not there."""

from __future__ import annotations

import os
import pwd
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from domain.errors import RefusedToStart, RelaydeskError

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings
    from storage.engines import Connection


def must_exist(settings: Settings) -> None:
    """Raise RefusedToStart with the way out where there is no record yet."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        from pathlib import Path

        file = Path(url.database or "")
        if not file.is_file():
            raise RefusedToStart(f"there is no record yet at {file}: start `relaydesk run` once, or check data_dir")


@asynccontextmanager
async def existing(settings: Settings) -> AsyncIterator[Stores]:
    """Record and key store of exactly this release's schema. Raises RefusedToStart with the fix."""
    from bot import opening
    from storage import migrate

    found, fitting = await schema(settings)
    if found != fitting:
        raise RefusedToStart(
            f"the database is at schema {found or 'none'}, this release wants {migrate.wanted()}: "
            "run `relaydesk db upgrade`, on SQLite with the bot stopped"
        )
    with explained():
        async with opening.open_stores(settings, create=False) as stores:
            yield stores


async def audited(stores: Stores, action: str, thing: str, detail: str = "", *, digest: str = "") -> None:
    """Write into the audit trail that the operating system's user did this. Done before anything is shown.

    What a read was of is looked up; `digest` says it where the record does not.
    """
    await audited_all(stores, action, [thing], detail, digest=digest)


async def audited_all(
    stores: Stores, action: str, things: Sequence[str], detail: str = "", *, digest: str = ""
) -> None:
    """The same for several at once."""
    from bot import times
    from storage import audit, digests

    key, at, actor = stores.record.audit_key, times.real(), f"os:{os_user()}"

    subjects = {thing: digests.subject(action, thing, detail) for thing in things}
    read = {one for one in subjects.values() if one is not None}
    known = await stores.database.query(lambda conn: digests.of(conn, read)) if read else {}

    async def work(conn: Connection) -> None:
        for thing in things:
            of = known.get(subjects[thing] or "", digest)
            await audit.record(conn, key, at=at, actor=actor, action=action, object=thing, detail=detail, digest=of)

    await stores.database.write(work)


async def audited_where_there(settings: Settings, action: str, thing: str) -> None:
    """As `audited`, for what is done beside the record: nothing where there is none yet. Raises RefusedToStart."""
    try:
        must_exist(settings)
    except RefusedToStart:
        return
    async with existing(settings) as opened:
        await audited(opened, action, thing)


class NotRecorded(RelaydeskError):
    """Something was done, and the audit trail could not be told."""


@contextmanager
def recording(done: str) -> Iterator[None]:
    """Around the record of what is done already: where it fails, NotRecorded says both."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RelaydeskError, SQLAlchemyError, OSError) as error:
        cause = str(error) if isinstance(error, RelaydeskError) else _cause(getattr(error, "orig", None) or error)
        raise NotRecorded(f"{done}, but that is not written into the audit trail: {cause}") from None


def os_user() -> str:
    """Who is at the keyboard, by the user id of this process: no variable can pretend to be somebody else."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


async def schema(settings: Settings) -> tuple[str | None, str]:
    """The schema version of the record and the one it should have: the same where this release can work with it.

    Changes nothing. Raises RefusedToStart.
    """
    from storage import migrate
    from storage.database import Database

    must_exist(settings)
    with explained():
        async with Database.open(settings.database_url, readers=1) as database:
            return await migrate.standing(database)


@contextmanager
def explained() -> Iterator[None]:
    """A database that cannot be used becomes one line; its own words could hold statements and values."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise RefusedToStart(_cause(getattr(error, "orig", None) or error)) from None


_SQLITE = {
    "SQLITE_BUSY": "another program has it locked; stop that",
    "SQLITE_CANTOPEN": "a file of it cannot be opened; look at the rights of the data folder",
    "SQLITE_CORRUPT": "it is damaged; put your backup in its place",
    "SQLITE_FULL": "the disk is full; make room",
    "SQLITE_IOERR": "the disk cannot be read or written; make room, and look at the disk",
    "SQLITE_NOTADB": "its file is damaged or is no database; put your backup in its place",
    "SQLITE_READONLY": "it cannot be written; look at the rights of the data folder",
}


def _cause(error: BaseException) -> str:
    """What is wrong and what helps, without the error's own words."""
    code = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
    if code in _SQLITE:
        return f"the database cannot be used: {_SQLITE[code]}"
    if isinstance(error, ssl.SSLError):
        return (
            "the database's server cannot be verified: give the address by the name in its certificate, and your own "
            "authorities as sslrootcert=FILE in it"
        )
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return "the database's server speaks no TLS: a server on another host must (or set database.tls: elsewhere)"
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        return (
            f"the database's server cannot be reached ({type(error).__name__}): is it running, and are the addresses "
            "in RELAYDESK_DATABASE_URL and RELAYDESK_KEYSTORE_URL right?"
        )
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} cannot be used ({error.strerror}): look at data_dir, its rights and its disk"
    return f"the database cannot be used ({type(error).__name__}): is it running, and is it not locked?"

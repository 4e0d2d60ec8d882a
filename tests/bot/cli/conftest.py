"""What the command line's tests share: a runner, a configuration in a folder of its own, a sandbox, open stores."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import typer
import typer.main
import typer.testing
import yaml
from typer.testing import CliRunner, Result

from bot import opening, settings, settings_file
from bot.cli import main
from bot.opening import Stores
from storage import rings
from tests import embedded, templates
from tests.bot.desk.kit import sandbox_process

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
_built = functools.cache(typer.main.get_command)  # a process builds its commands once; a runner does at each call


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set up logging and read the environment: both are put back."""
    for name in ("RELAYDESK_CONFIG", "RELAYDESK_TELEGRAM_TOKEN", "RELAYDESK_SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(typer.testing, "_get_command", _built)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")  # no test asks a model hub that it did not start
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@dataclass(kw_only=True)
class Place:
    """A configuration in a folder of its own, and the command line over it."""

    folder: Path

    @property
    def path(self) -> Path:
        """The configuration file."""
        return self.folder / "config.yaml"

    def change(self, **sections: object) -> None:
        """Change sections of the file; None removes one."""
        data: dict[str, Any] = settings_file.read(self.path)
        for name, value in sections.items():
            if value is None:
                data.pop(name, None)
            elif isinstance(value, dict) and isinstance(data.get(name), dict):
                data[name] = data[name] | value
            else:
                data[name] = value
        self.path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")

    def make_key(self) -> None:
        """The master key, as `init` makes it."""
        rings.create_master_file(self.folder / "keys" / "master.key")

    def run(self, *words: str, typed: str = "") -> Result:
        """A command over this configuration."""
        return CliRunner().invoke(main.app, [*words, "--config", str(self.path)], input=typed)

    def with_stores(self, work: Callable[[Stores], Awaitable[T]]) -> T:
        """Do something with the stores, made where they are not."""

        async def opened() -> T:
            read = settings.load(self.path, environment={})
            await templates.seed(read.database_url)
            async with opening.open_stores(read) as stores:
                return await work(stores)

        return asyncio.run(opened())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The shipped configuration, copied; the model is the repository's."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    text = text.replace("model_dir: .cache/model", f"model_dir: {ROOT}/.cache/model")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return Place(folder=tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def either(place: Place, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same over either engine, with PostgreSQL's own programs at hand."""
    if request.param == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres_database")
        place.change(database={"url": make()}, keystore={"url": make()})
        monkeypatch.setenv("PATH", f"{embedded.programs()}{os.pathsep}{os.environ['PATH']}")
    return place


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """A sandbox process for all tests of this worker."""
    with sandbox_process() as url:
        yield url


@pytest.fixture
def connected(place: Place, sandbox_url: str) -> Place:
    """The shipped configuration at a running sandbox, with its master key."""
    text = place.path.read_text(encoding="utf-8").replace("http://127.0.0.1:8400", sandbox_url)
    place.path.write_text(text, encoding="utf-8")
    place.make_key()
    return place

"""What the targets of the fuzzing share."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bot.desk.payloads import Own

T = TypeVar("T")
CORPUS = Path(__file__).parent / "corpus"
SHIPPED = Path(__file__).parents[2] / "config.yaml"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = "fuzzed-secret"
FORM = "application/x-www-form-urlencoded"
ANSWERS = {200, 201, 400, 401, 404, 405, 413}
OWN = Own(team_id="T0SANDBOX", bot_user_id="U0SANDBOT", bot_id="B0SANDBOX")


class Target(Protocol):
    """One way in."""

    def seeds(self) -> list[Any]:
        """Good inputs: JSON values, or bytes for what is no JSON."""
        ...

    def take(self, raw: bytes) -> str:
        """Try one; a word for what became of it, the same for inputs that took the same way; "no ..." if refused."""
        ...

    def good(self) -> None:
        """A good input still gets through; AssertionError if not."""
        ...

    def close(self) -> None:
        """Give back what was held."""
        ...


@cache
def good_one(name: str) -> bytes:
    """The first of the recorded payloads: a good input, which is asked for again and again."""
    return json.dumps(recorded(name)[0]).encode()


def recorded(name: str) -> list[Any]:
    """Payloads that the sandbox really sent, one a line."""
    return [json.loads(line) for line in (CORPUS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


class Held:
    """A target that holds nothing, or a loop and a folder until it is closed."""

    _loop: asyncio.AbstractEventLoop | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something asynchronous to its end."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(work)

    def file(self, name: str, raw: bytes) -> Path:
        """A file with these bytes."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        path = Path(self._folder.name) / name
        path.write_bytes(raw)
        return path

    def close(self) -> None:
        """Give back both."""
        if self._loop is not None:
            self._loop.close()
        if self._folder is not None:
            self._folder.cleanup()

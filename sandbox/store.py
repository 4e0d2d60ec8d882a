"""The state file: what the platforms know survives a restart of the sandbox.

Two files. `FILE` is a snapshot of both platforms and the clock, replaced atomically. `FILE.log` is the
judge's log, appended to. Both are written when something has changed, at most about once a second, and at
the end. A sandbox that is killed may forget its last second; the platforms it plays do not crash in front
of their users.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sandbox.state import Sandbox

INTERVAL_S = 1.0
SHARE_OF_TIME = 20
"""A snapshot is followed by a pause this many times as long: saving takes at most a twentieth of the time."""
VERSION = 1


class StateFileError(Exception):
    """The state file cannot be read: move it away to start afresh, or start the version that wrote it."""


class Store:
    """Loads at the start, saves while running."""

    def __init__(self, desk: Sandbox, path: Path) -> None:
        self._desk = desk
        self._path = path
        self._log_path = path.with_name(path.name + ".log")
        self._unwritten = b""
        self._afresh = False
        desk.log.keep_touched = True

    def load(self) -> None:
        """Take up what the last run saved, if anything. StateFileError if the file is not one of ours."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            return
        try:
            saved: dict[str, Any] = json.loads(self._path.read_bytes())
            if saved["version"] != VERSION:
                raise StateFileError(f"{self._path}: written by version {saved['version']} of this file format")
            self._desk.clock.load(saved["clock"])
            for name, side in self._desk.sides.items():
                if name in saved["sides"]:
                    side.load(saved["sides"][name])
            self._desk.log.load(self._log_path)
        except (ValueError, KeyError, TypeError) as error:
            raise StateFileError(f"{self._path}: not a readable state file ({error})") from error

    async def keep(self) -> None:
        """Save whenever something has changed, until the sandbox closes, and once more then."""
        pause_s = INTERVAL_S
        while not self._desk.closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._desk.closing.wait(), pause_s)
            if self._desk.dirty:
                started = time.monotonic()
                await self._try()
                pause_s = max(INTERVAL_S, SHARE_OF_TIME * (time.monotonic() - started))

    async def _try(self) -> None:
        """Save; a disk that refuses is said on standard error and tried again."""
        try:
            await self.save()
        except OSError as error:
            self._desk.dirty = True
            sys.stderr.write(f"sandbox: state not saved: {error}\n")

    async def save(self) -> None:
        """Write both files now. OSError if the disk refuses; nothing is lost then, the next call writes it."""
        desk = self._desk
        desk.dirty = False
        snapshot = json.dumps(
            {
                "version": VERSION,
                "clock": desk.clock.dump(),
                "sides": {name: side.dump() for name, side in desk.sides.items()},
            }
        ).encode()
        if desk.log.take_restarted():
            self._afresh, self._unwritten = True, b""
        self._unwritten += desk.log.take_touched()
        lines, afresh = self._unwritten, self._afresh
        await asyncio.to_thread(self._write, snapshot, lines, afresh)
        self._unwritten, self._afresh = b"", False

    def _write(self, snapshot: bytes, lines: bytes, afresh: bool) -> None:
        with self._log_path.open("wb" if afresh else "ab") as log:
            log.write(lines)
            log.flush()
            os.fsync(log.fileno())
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(snapshot)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

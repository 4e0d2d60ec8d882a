"""Several processes of the bot at once, each with its roles: imports everything once, then forks them.

`python -m tests.faults.fleet CONFIG '[{"roles": ["intake"], "port": 8480, "log": "intake.log"}, ...]'` prints
`{"pids": [...]}` and ends them all when its input ends. Each does what `relaydesk run --role ...` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import onnxruntime  # noqa: F401  # the slow imports are what no member must wait for
import tokenizers  # noqa: F401

from tests import ports as addresses
from tests import world as worlds
from tests.faults import lives, nursery

READY_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Member:
    """One process of a fleet."""

    pid: int
    web: str
    roles: tuple[str, ...]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def ready(self, client: httpx.AsyncClient) -> bool:
        """Whether it says that it is ready."""
        try:
            return (await client.get(f"{self.web}/readyz")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def leads(self, client: httpx.AsyncClient, name: str) -> bool:
        """Whether it is the one that does this, by its own metrics."""
        try:
            page = (await client.get(f"{self.web}/metrics")).text
        except httpx.HTTPError:
            return False
        return f'relaydesk_leads{{name="{name}"}} 1.0' in page


@asynccontextmanager
async def fleet(world: worlds.World, members: Sequence[Sequence[str]]) -> AsyncIterator[list[Member]]:
    """Processes with these roles over the world's databases, all of them ready."""
    with ExitStack() as kept:
        ports = [kept.enter_context(addresses.kept()) for _ in members]
        async with _fleet(world, members, ports) as made:
            yield made


@asynccontextmanager
async def _fleet(
    world: worlds.World, members: Sequence[Sequence[str]], ports: Sequence[int]
) -> AsyncIterator[list[Member]]:
    wishes = [
        {"roles": list(roles), "port": port, "log": str(world.folder / f"member-{place}.log")}
        for place, (roles, port) in enumerate(zip(members, ports, strict=True))
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAYDESK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.fleet", str(lives.write_config(world)), json.dumps(wishes),
        cwd=worlds.ROOT, env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        pids = json.loads(await asyncio.wait_for(process.stdout.readline(), READY_S))["pids"]
        made = [
            Member(pid=pid, web=f"http://127.0.0.1:{port}", roles=tuple(roles))
            for pid, port, roles in zip(pids, ports, members, strict=True)
        ]

        async def all_ready() -> bool:
            return all([await member.ready(world.client) for member in made])

        await worlds.eventually(all_ready, within=READY_S, what="every process is ready")
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def main(config: Path, wishes: Sequence[worlds.Json]) -> None:
    """Start all, and end them when the input ends."""
    pids = []
    for wish in wishes:
        pid = os.fork()
        if pid == 0:
            os.environ["RELAYDESK_WEB__PORT"] = str(wish["port"])
            code = 1
            try:
                code = nursery.live(config, None, Path(wish["log"]), wish["roles"])
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    sys.stdout.write(json.dumps({"pids": pids}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number is signal.SIGTERM:
            _wait(pids, 5.0)
    _wait(pids, 5.0)


def _wait(pids: list[int], seconds: float) -> None:
    def reap() -> None:
        for pid in list(pids):
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    continue
            pids.remove(pid)

    async def until_over() -> None:
        while pids:
            reap()
            await asyncio.sleep(0.05)

    async def limited() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(until_over(), seconds)

    asyncio.run(limited())


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

"""What benchmarks share: a sandbox process, a bot process, unique texts, and figures of a process."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from storage import rings

ROOT = Path(__file__).parent.parent
MODEL = Path(os.environ.get("RELAYDESK_MODEL_DIR", ROOT / ".cache" / "model"))
Json = dict[str, Any]

_OPENINGS = (
    "My parcel {n} has not arrived yet",
    "I was charged twice for invoice {n}",
    "I cannot log in since this morning, ticket {n}",
    "How do I change the address of order {n}",
    "The app crashes when I open item {n}",
    "I would like to return article {n}",
    "快递{n}三天没动静了，能查一下吗",
    "订单{n}可以开发票吗",
)


def text(number: int) -> str:
    """A customer's text that occurs once: no cache hits, and findable in the judge's log by its number."""
    return _OPENINGS[number % len(_OPENINGS)].format(n=f"{number:07d}")


class Disk:
    """What the disk alone does meanwhile: 4 KB appended and synchronised, at a steady pace, in a thread of its own."""

    def __init__(self, folder: Path, per_s: float) -> None:
        self._path = folder / "disk.probe"
        self._pause_s = 1 / per_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self.waits_s: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._stopped.wait(self._pause_s):
                file.write(bytes(4096))
                started = time.perf_counter()
                os.fdatasync(file.fileno())
                self.waits_s.append(time.perf_counter() - started)


@asynccontextmanager
async def process(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[tuple[int, Json]]:
    """A Python process that prints one JSON line when it is ready; gives its pid and that line."""
    started = subprocess.Popen(  # noqa: ASYNC220  # started once, before anything else runs in this loop
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert started.stdout is not None
    try:
        line = await asyncio.to_thread(started.stdout.readline)
        if not line:
            raise SystemExit(f"{arguments} ended before it was ready")
        yield started.pid, json.loads(line)
    finally:
        started.terminate()
        await asyncio.to_thread(started.wait)
        started.stdout.close()


def overrides(url: str, folder: Path) -> Json:
    """Settings of a bot against a sandbox at `url`, platform limits off."""
    master = folder / "keys" / "master.key"
    if not master.exists():
        rings.create_master_file(master)
    return {
        "data_dir": str(folder / "data"),
        "keys": {"master_file": str(master)},
        "telegram": {"base_url": f"{url}/telegram"},
        "slack": {"base_url": f"{url}/slack/api/"},
        "clock": {"source": f"{url}/clock"},
        "classifier": {"model_dir": str(MODEL)},
        "learning": {"audit_share": 0.0, "train_hour": None},  # the same work for every message
        "limits": {"enabled": False},
        "automatic": {"acknowledge": "never"},
        "desk": {"undo": "0s"},
        "privacy": {"notice": False},
        "web": {"port": 0},
        "log": {"level": "warning"},
    }


class Judge:
    """The sandbox's control interface, for benchmarks."""

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(base_url=f"{url}/control", timeout=60)

    async def post(self, path: str, body: Json) -> Json:
        """A request; its answer."""
        return dict((await self.client.post(path, json=body)).raise_for_status().json())

    async def customers(self, count: int) -> list[int]:
        """The chats of new customers."""
        made = []
        for number in range(count):
            done = await self.post("/telegram/customers", {"first_name": f"Customer {number}", "language_code": "en"})
            made.append(int(done["chat_id"]))
        return made

    async def say(self, messages: list[tuple[int, str]]) -> None:
        """Customers write, in one request."""
        await self.post(
            "/telegram/send_many", {"messages": [{"chat_id": chat, "text": said} for chat, said in messages]}
        )

    async def log(self, **query: Any) -> list[Json]:
        """The judge's log."""
        return list((await self.client.get("/log", params=query)).json()["records"])

    async def posted(self) -> int:
        """How many posts Slack has stored."""
        counts = (await self.client.get("/log/counts")).json()
        return int(counts["records"].get("slack", {}).get("post", 0))

    async def until_posted(self, count: int, *, limit_s: float) -> float:
        """Wait until Slack has stored this many posts; the time (monotonic) when it had."""
        end = time.monotonic() + limit_s
        while await self.posted() < count:
            if time.monotonic() > end:
                raise SystemExit(f"only {await self.posted()} of {count} posts within {limit_s:g} s")
            await asyncio.sleep(0.05)
        return time.monotonic()


class Usage:
    """CPU and memory of one process and its children."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._cpu = self.cpu_s()

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system."""
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def since(self) -> float:
        """CPU seconds since this was made or last asked."""
        before, self._cpu = self._cpu, self.cpu_s()
        return self._cpu - before

    def peak_mb(self) -> float:
        """The most memory it ever held, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def arguments(about: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size, for a quick look")
    return parser


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the figures: one JSON object, or a line each."""
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")

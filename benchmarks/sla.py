"""A million running clocks, measured: how late alerts are, what a sweep and a new deadline cost, what memory holds.

`python -m benchmarks.sla --json` prints one JSON object; `--scale 0.1` takes a tenth of the clocks and of the minute.
docs/benchmarks.md explains each figure.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import kit, sla_seed
from bot import logs, opening, settings, settings_rulebook, times
from bot.clock import Sweep
from classifiers import taxonomy
from domain import sla
from domain.calendar import Calendar
from domain.changes import ClockRow
from domain.rulebook import Rulebook
from domain.sla import EventKind, SlaEvent
from storage import flush, loading, sealing
from storage.engines import Connection

CLOCKS = 1_000_000
ALERTS = 10_000
MINUTE_S = 60.0
LEAD = timedelta(seconds=8)  # until the first alert: the sweep has settled by then
GRACE_S = 30.0
BEFORE = timedelta(hours=3)  # the warning of a first answer within four hours
ROUNDS, PER_ROUND = 60, 32
FEW, MANY = 10_000, 100_000
EVENTS = 200
COMPUTED = 200
RUN_S = 4.0
STARTED = time.perf_counter()


class Watched(Sweep):
    """The sweep, remembering what each batch came to."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.late_s: list[float] = []
        self.took_s: list[float] = []

    def measured(self, late_s: Sequence[float], took_s: float) -> None:
        """Keep it."""
        self.late_s += late_s
        self.took_s.append(took_s)


def configured(folder: Path) -> settings.Settings:
    """The shipped configuration over a folder of its own; its teams never close, so that any minute will do."""
    chosen = kit.overrides("http://127.0.0.1:1", folder) | {"clock": {"source": None}}
    chosen["sla"] = {"policies": {"standard": {"calendar": "always"}}}
    return settings.load(kit.ROOT / "config.yaml", environment={}, overrides=chosen, dotenv=False)


def rulebook(read: settings.Settings) -> Rulebook:
    """The company's rules, without a model."""
    return settings_rulebook.build(read, taxonomy.read().labels)


def swept(stores: opening.Stores, rules: Rulebook) -> Watched:
    """A sweep over these stores, in real time."""
    return Watched(
        database=stores.database, clocks=stores.clocks, record=stores.record, rules=rules, clock=times.Timekeeper()
    )


async def main() -> None:
    """Measure everything and print it."""
    options = kit.arguments("A million running clocks.").parse_args()
    logs.configure("warning", json=True)
    count, alerts = int(CLOCKS * options.scale), max(100, int(ALERTS * options.scale))
    figures: dict[str, Any] = {}
    figures["clocks"] = count
    figures["alerts"] = alerts
    with tempfile.TemporaryDirectory(prefix="relaydesk-sla-") as name:
        empty, full = Path(name) / "empty", Path(name) / "full"
        for folder in (empty, full):
            async with opening.open_stores(configured(folder)) as stores:
                await sla_seed.asked(stores, rulebook(configured(folder)), [times.real()])
        started = time.perf_counter()
        sla_seed.ballast(full / "data" / "relaydesk.db", count, times.real())
        figures["seeded_s"] = round(time.perf_counter() - started, 1)
        figures |= await due_in_a_minute(full, alerts, MINUTE_S * options.scale)
        figures["reschedule_us"] = await reschedule(full)
        figures |= standing(empty, full, count)
    figures["compute_us"] = compute()
    figures |= beside(figures, options.scale)
    kit.show(figures, as_json=options.json)


async def due_in_a_minute(folder: Path, alerts: int, span_s: float) -> dict[str, Any]:
    """`lateness_p99_s` and `sweep_p99_ms`: alerts of as many conversations fall due evenly within the span."""
    read = configured(folder)
    rules = rulebook(read)
    async with opening.open_stores(read) as stores:
        sweep = swept(stores, rules)
        first = times.real() + LEAD + timedelta(seconds=alerts / 500)  # writing them takes its time, too
        moments = [first - BEFORE + timedelta(seconds=span_s * place / alerts) for place in range(alerts)]
        await sla_seed.asked(stores, rules, moments)
        gc.collect()
        gc.freeze()
        running = asyncio.create_task(sweep.run())
        end = time.monotonic() + (first - times.real()).total_seconds() + span_s + GRACE_S
        while len(sweep.late_s) < alerts and time.monotonic() < end:  # noqa: ASYNC110  # the sweep itself tells nobody
            await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if len(sweep.late_s) < alerts:
        raise SystemExit(f"only {len(sweep.late_s)} of {alerts} alerts were given")
    return {
        "lateness_p50_s": round(kit.quantile(sweep.late_s, 0.50), 4),
        "lateness_p99_s": round(kit.quantile(sweep.late_s, 0.99), 4),
        "lateness_max_s": round(max(sweep.late_s), 4),
        "sweep_p50_ms": round(kit.quantile(sweep.took_s, 0.50) * 1000, 2),
        "sweep_p99_ms": round(kit.quantile(sweep.took_s, 0.99) * 1000, 2),
    }


async def reschedule(folder: Path) -> float:
    """Microseconds that one clock's new deadline adds to the transaction of the message that moves it; a median."""
    async with opening.open_stores(configured(folder)) as stores:
        many = (await _scalar(stores, "SELECT count(*) FROM conversations")) - 1
        rng = random.Random(7)
        costs = []
        for _ in range(ROUNDS):
            places = rng.sample(range(many), PER_ROUND)
            ids = [sla_seed.ident("C", place) for place in places if place < many]

            async def work(conn: Connection, ids: list[str] = ids) -> float:
                found: dict[str, list[ClockRow]] = {}
                for row in await conn.execute(loading.CLOCKS, {"b_ids": ids}):
                    found.setdefault(row.conversation_id, []).append(sealing.clock_of(row))
                moved = {
                    of: [sealing.clock_row(_later(clock)) for clock in clocks] for of, clocks in sorted(found.items())
                }
                started = time.perf_counter()
                await flush.reschedule(conn, moved)
                return (time.perf_counter() - started) / sum(len(rows) for rows in moved.values())

            costs.append(await stores.database.write(work))
    return round(kit.quantile(costs, 0.5) * 1e6, 1)


def _later(clock: ClockRow) -> ClockRow:
    hour = timedelta(hours=1)
    assert clock.due_at is not None  # every seeded clock runs
    assert clock.next_alert_at is not None
    return replace(clock, due_at=clock.due_at + hour, next_alert_at=clock.next_alert_at + hour)


async def _scalar(stores: opening.Stores, statement: str) -> int:
    async with stores.database.read() as conn:
        return int((await conn.exec_driver_sql(statement)).scalar_one())


def standing(empty: Path, full: Path, count: int) -> dict[str, Any]:
    """`memory_mb_per_million` and `start_s`: processes that sweep an empty database and the full one."""
    without, with_ = _process(empty), _process(full)
    held = (with_["mb"] - without["mb"]) * 1_000_000 / count
    return {
        "memory_mb_per_million": round(max(0.0, held), 1),
        "start_s": with_["start_s"],
        "start_empty_s": without["start_s"],
    }


def _process(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.sla", "process", str(folder)]
    done = subprocess.run(command, cwd=kit.ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


async def process(folder: Path) -> None:
    """One process of `standing`: sweep for a few seconds, then tell how soon it was there and what it holds."""
    read = configured(folder)
    async with opening.open_stores(read, create=False) as stores:
        sweep = swept(stores, rulebook(read))
        running = asyncio.create_task(sweep.run())
        while sweep.last_success_age() == float("inf"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        start_s = time.perf_counter() - STARTED + _imported_s()
        await asyncio.sleep(RUN_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        gc.collect()
        held = psutil.Process().memory_info().rss / 2**20
    print(json.dumps({"mb": round(held, 1), "start_s": round(start_s, 3)}))


def _imported_s() -> float:
    """How long this process ran before this file's own clock started: Python itself and the imports."""
    now = datetime.now(UTC).timestamp()
    return max(0.0, now - psutil.Process(os.getpid()).create_time() - (time.perf_counter() - STARTED))


def compute() -> float:
    """Microseconds to compute the clocks of a conversation of 200 events over a year of business days; a median."""
    calendar = Calendar.build(
        name="office", tz="Europe/Berlin", hours={"mon-fri": ["09:00-12:30", "13:00-18:00"]}, country="DE"
    )
    read = settings.load(kit.ROOT / "config.yaml", environment={}, dotenv=False)
    policy = read.sla.policies["standard"].build("standard")
    began = datetime(2025, 1, 2, 9, tzinfo=UTC)
    events = [SlaEvent(id="0", at=began, kind=EventKind.CUSTOMER_MESSAGE)]
    for place in range(1, EVENTS):
        at = began + timedelta(days=365) * place / EVENTS
        status = "waiting_customer" if place % 2 else "open"
        events.append(SlaEvent(id=str(place), at=at, kind=EventKind.STATUS, value=status, seq=place))
    now = began + timedelta(days=366)
    took = []
    for _ in range(COMPUTED):
        started = time.perf_counter()
        sla.evaluate(events, policy, calendar, now)
        took.append(time.perf_counter() - started)
    return round(kit.quantile(took, 0.5) * 1e6, 1)


def beside(ours: dict[str, Any], scale: float) -> dict[str, Any]:
    """APScheduler with a job for each conversation, at 10,000 and 100,000; `ratio_reschedule` and `ratio_memory`."""
    found: dict[str, dict[str, float]] = {}
    for count in (int(FEW * scale), int(MANY * scale)):
        for kind in ("memory", "sqlite"):
            command = [sys.executable, "-m", "benchmarks.sla_peer", kind, str(count)]
            done = subprocess.run(command, cwd=kit.ROOT, capture_output=True, text=True, check=True)
            found[f"{kind}_{count}"] = json.loads(done.stdout.splitlines()[-1])
    largest = int(MANY * scale)
    theirs = found[f"memory_{largest}"]["mb"] * 1_000_000 / largest
    return {
        "apscheduler": found,
        "ratio_reschedule": round(found[f"sqlite_{largest}"]["reschedule_us"] / ours["reschedule_us"], 1),
        "ratio_memory": round(theirs / max(1.0, ours["memory_mb_per_million"]), 1),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["process"]:
        asyncio.run(process(Path(sys.argv[2])))
    else:
        asyncio.run(main())

"""The usual way beside ours: APScheduler with one job for each conversation, in a process of its own.

`python -m benchmarks.sla_peer memory|sqlite COUNT` prints a JSON line: `reschedule_us`, and `mb` in memory.
"""

from __future__ import annotations

import gc
import json
import pickle
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

RESCHEDULED = 300
START = datetime.now(UTC) + timedelta(days=1)


def alert(conversation: str) -> None:
    """What a job would do."""
    print(conversation)


def main() -> None:
    """Fill a job store, move some of its jobs, tell what that took."""
    kind, count = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="relaydesk-peer-") as folder:
        process = psutil.Process()
        gc.collect()
        before = process.memory_info().rss
        store = MemoryJobStore() if kind == "memory" else SQLAlchemyJobStore(f"sqlite:///{Path(folder) / 'jobs.db'}")
        scheduler = BackgroundScheduler(timezone=UTC, jobstores={"default": store})
        scheduler.start(paused=True)
        if isinstance(store, SQLAlchemyJobStore):
            _fill(store, scheduler, count)
        else:
            for place in range(count):
                when = START + timedelta(seconds=place)
                scheduler.add_job(alert, "date", run_date=when, args=[str(place)], id=str(place))
        gc.collect()
        held = process.memory_info().rss - before
        chosen = random.Random(7).sample(range(count), min(RESCHEDULED, count))
        started = time.perf_counter()
        for place in chosen:
            scheduler.reschedule_job(str(place), trigger="date", run_date=START + timedelta(seconds=place + 3600))
        took = time.perf_counter() - started
        scheduler.shutdown(wait=False)
    print(json.dumps({"reschedule_us": round(took * 1e6 / len(chosen), 1), "mb": round(held / 2**20, 1)}))


def _fill(store: SQLAlchemyJobStore, scheduler: BackgroundScheduler, count: int) -> None:
    """Put the rows in at once that `add_job` would write one commit after the other."""
    rows = []
    for place in range(count):
        when = START + timedelta(seconds=place)
        job = Job(
            scheduler,
            id=str(place),
            func=alert,
            args=(str(place),),
            kwargs={},
            trigger=DateTrigger(when, UTC),
            name="alert",
            executor="default",
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
            next_run_time=when,
        )
        state = pickle.dumps(job.__getstate__(), store.pickle_protocol)
        rows.append({"id": job.id, "next_run_time": when.timestamp(), "job_state": state})
    with store.engine.begin() as connection:
        connection.execute(store.jobs_t.insert(), rows)


if __name__ == "__main__":
    main()

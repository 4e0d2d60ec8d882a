"""Is the process alive, and is it ready: what is asked, how, and within which time.

Alive means that the event loop turns: a supervisor that asks for more would restart us on a platform's bad day.
Ready means that a message that came in now would be stored, read and shown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final, TypeVar

import structlog

from bot import metrics
from domain.ports import Probe

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

PATIENCE_S: Final = 3.0
"""How long one check may take; a database that answers later than this is not ready."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """Something that must have been heard from lately: seconds since it was, and how many are too many."""

    age_s: Callable[[], float]
    limit_s: float
    fix: str = "run `relaydesk doctor`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What the process can be asked. Calls are cheap, and may fail: a failure is an answer.

    `database` raises when it cannot be reached; `migrations` gives (found, wanted); `model` names the loaded classifier
    or None; `heard` holds channel, desk and sweep by name; `beat` says how many seconds ago whoever sweeps the clocks,
    in whatever process, left its heartbeat, and `beat_limit_s` how many are too many; `draining` is True once a stop
    has begun. `measure` brings the gauges of what waits up to date; it is called when somebody reads the metrics, not
    before.
    """

    database: Callable[[], Awaitable[object]]
    migrations: Callable[[], Awaitable[tuple[str | None, str]]]
    model: Callable[[], str | None]
    heard: Mapping[str, Listening] = field(default_factory=dict)
    beat: Callable[[], Awaitable[float]] | None = None
    beat_limit_s: float = 15.0
    draining: Callable[[], bool] = lambda: False
    measure: Callable[[], Awaitable[None]] | None = None


async def readiness(vitals: Vitals, patience_s: float = PATIENCE_S) -> Sequence[Probe]:
    """Every check with what was found, in a fixed order; never raises, never takes much longer than `patience_s`."""

    def beating(name: str, age: float) -> Probe:
        fix = "is a process running that sweeps? see `sweep.failed` in its log"
        return _recent(name, Listening(age_s=lambda: age, limit_s=vitals.beat_limit_s, fix=fix))

    asked = [
        _asked("database", vitals.database, _reachable, patience_s),
        _asked("migrations", vitals.migrations, _current, patience_s),
    ]
    if vitals.beat is not None:
        asked.append(_asked("heartbeat", vitals.beat, beating, patience_s))
    database, migrations, *beats = await asyncio.gather(*asked)
    model = vitals.model()
    checks = [
        database,
        migrations,
        Probe(name="model", ok=True, found=model)
        if model
        else Probe(name="model", ok=False, found="not loaded", fix="run `relaydesk model prepare`"),
    ]
    checks += [*beats, *(_recent(name, listening) for name, listening in vitals.heard.items())]
    if vitals.draining():
        checks.append(Probe(name="running", ok=False, found="stopping"))
    return checks


async def _asked(
    name: str, ask: Callable[[], Awaitable[_T]], read: Callable[[str, _T], Probe], patience_s: float
) -> Probe:
    try:
        async with asyncio.timeout(patience_s):
            return read(name, await ask())
    except TimeoutError:
        return Probe(name=name, ok=False, found=f"no answer within {patience_s:g} s", fix="run `relaydesk doctor`")
    except Exception as error:  # noqa: BLE001 -- whatever went wrong is the answer; its text may name hosts or rows
        log.warning("ready.check_failed", check=name, error=type(error).__name__)
        return Probe(name=name, ok=False, found=type(error).__name__, fix="run `relaydesk doctor`")


async def measured(vitals: Vitals, patience_s: float = PATIENCE_S) -> None:
    """Bring the gauges up to date; where that fails the page is served with what is known."""
    for name, listening in vitals.heard.items():
        metrics.heard_age_seconds.labels(platform=name).set(listening.age_s())
    metrics.build.clear()
    metrics.build.labels(version=version("relaydesk"), model=vitals.model() or "none").set(1)
    if vitals.measure is None:
        return
    try:
        async with asyncio.timeout(patience_s):
            await vitals.measure()
    except Exception as error:  # noqa: BLE001 -- metrics matter most when something is broken
        log.warning("metrics.not_measured", error=type(error).__name__)


def _reachable(name: str, _answer: object) -> Probe:
    return Probe(name=name, ok=True, found="reachable")


def _current(name: str, versions: tuple[str | None, str]) -> Probe:
    found, wanted = versions
    if found == wanted:
        return Probe(name=name, ok=True, found=found)
    return Probe(name=name, ok=False, found=f"{found or 'none'}, wanted {wanted}", fix="run `relaydesk db upgrade`")


def _recent(name: str, listening: Listening) -> Probe:
    age = listening.age_s()
    if age <= listening.limit_s:
        return Probe(name=name, ok=True, found=f"heard from {age:.0f} s ago")
    found = "not heard from yet" if math.isinf(age) else f"not heard from for {age:.0f} s"
    return Probe(name=name, ok=False, found=f"{found} (limit {listening.limit_s:.0f} s)", fix=listening.fix)

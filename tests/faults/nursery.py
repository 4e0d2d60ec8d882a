"""Starts the bot many times quickly: imports everything once, then forks a fresh process for each life.

`python -m tests.faults.nursery CONFIG` reads one JSON line per wish from its standard input and answers with two:
`{"born": 123}` and, when that process has ended, `{"pid": 123, "status": 0}` (negative: the signal that ended it).
With `"inside": "looks.jsonl"` a life writes down what its memory is made of; its caches are so small that they are soon
full.
A life `{"crash_at", "log"}` does what `relaydesk run` does: load the settings, run until stopped; with `roles` what
`relaydesk run --role ...` does, with `port` at an address of its own. An errand
`{"crash_at", "log", "command": ["keys", "rotate"]}` does what `relaydesk keys rotate` does, beside it. With
`"hurried": true` the product waits less for people and distant servers, which a campaign would spend idle.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import sys
import traceback
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # the slow imports are what a life must not wait for
import tokenizers  # noqa: F401

from bot import dispatcher, duties, life, logs, reconciler, settings, verdicts
from bot.channels import telegram  # noqa: F401  # the same
from bot.cli import main as cli
from bot.desk import client
from classifiers import batching
from storage import engines
from tests.faults import cuts, inside, later

LOOK_EVERY_S = 0.02


def live(config: Path, crash_at: str | None, log: Path, roles: Sequence[str] = ()) -> int:
    """One life of the bot, in a process of its own; returns its exit code."""
    _begin(crash_at, log)
    logs.configure("debug", json=True)
    return asyncio.run(life.run(settings.load(config), does=duties.parse(roles)))


def errand(config: Path, crash_at: str | None, log: Path, command: Sequence[str]) -> int:
    """One command, in a process of its own; returns its exit code."""
    _begin(crash_at, log)
    if command[0] == later.UPGRADE:
        return asyncio.run(later.upgrade(settings.load(config), log.parent))
    try:
        cli.app([*command, "--config", str(config)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _begin(crash_at: str | None, log: Path) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.pop("RELAYDESK_CRASH_AT", None)
    if crash_at:
        os.environ["RELAYDESK_CRASH_AT"] = crash_at


def _hurry() -> None:
    dispatcher.PARKED_RETRY_S = 1.0
    client.CALL_TIMEOUT_S = 4.0
    verdicts.STILL_GOING = timedelta(seconds=3 * cuts.LONG_S)  # what takes so long takes longer on a loaded machine
    reconciler.LOOKS_A_MINUTE *= 20  # people write twenty times as fast here


def _narrow() -> None:
    """Caches that have a limit reach it within minutes: what grows after that has none."""
    engines.CACHE_KIB = 512  # of each connection, not 32 MiB
    batching.REMEMBERED = 128  # not 4,096


def main(config: Path) -> None:
    """Give birth to one life after another until the input ends."""
    settings.load(config)  # imports the calendars of the countries
    gc.collect()
    gc.freeze()  # what was imported is not looked through again in each life
    for wish in _wishes():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if wish.get("hurried"):
                    _hurry()
                if "inside" in wish:
                    _narrow()
                    inside.watch(Path(wish["inside"]))
                crash_at, log = wish["crash_at"], Path(wish["log"])
                command = wish.get("command")
                if "port" in wish:
                    os.environ["RELAYDESK_WEB__PORT"] = str(wish["port"])
                roles = wish.get("roles", ())
                code = errand(config, crash_at, log, command) if command else live(config, crash_at, log, roles)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _tell(born=pid)


def _wishes() -> Iterator[dict[str, Any]]:
    """What is asked for, as it comes; whoever ends meanwhile is told of."""
    left = b""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK_EVERY_S)
        _reap()
        if not ready:
            continue
        got = os.read(0, 65536)
        if not got:
            return
        *lines, left = (left + got).split(b"\n")
        yield from map(json.loads, lines)


def _reap() -> None:
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(pid=ended[0], status=os.waitstatus_to_exitcode(ended[1]))
    except ChildProcessError:
        return


def _tell(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

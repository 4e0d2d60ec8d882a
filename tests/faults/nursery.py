"""Starts the bot many times quickly: imports everything once, then forks a fresh process for each life.

`python -m tests.faults.nursery CONFIG` reads one JSON line per life from its standard input, `{"crash_at", "log"}`, and
answers with two: `{"pid": 123}` and, when that process has ended, `{"status": 0}` (negative: the signal that ended it).
A life does what `relaydesk run` does: load the settings, run until stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import onnxruntime  # noqa: F401  # the slow imports are what a life must not wait for
import tokenizers  # noqa: F401

from bot import duties, life, logs, settings


def live(config: Path, crash_at: str | None, log: Path, roles: Sequence[str] = ()) -> int:
    """One life of the bot, in a process of its own; returns its exit code."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.pop("RELAYDESK_CRASH_AT", None)
    if crash_at:
        os.environ["RELAYDESK_CRASH_AT"] = crash_at
    logs.configure("info", json=True)
    return asyncio.run(life.run(settings.load(config), does=duties.parse(roles)))


def main(config: Path) -> None:
    """Give birth to one life after another until the input ends."""
    for line in sys.stdin:
        wish = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = live(config, wish["crash_at"], Path(wish["log"]))
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(json.dumps({"pid": pid}) + "\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

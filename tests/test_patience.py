"""What a machine did besides is not held against the product, and nothing else is left out."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import patience
from tests.patience import Waits

ON_ONE_PROCESSOR = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
OTHER = """
print("ready", flush=True)
while True:
    pass
"""
WORKER = """
import sys, threading, time

def work():
    began = time.monotonic()
    while time.thread_time() < 0.2:
        pass
    print(time.monotonic() - began, flush=True)

print("ready", flush=True)
sys.stdin.readline()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_waits_at_the_same_time_count_once() -> None:
    """Ten processes that wait for the same second leave out one second, however their waits overlap."""
    waits = Waits(100.0, dict.fromkeys(range(10), 5.0))
    waits.told(101.0, dict.fromkeys(range(10), 6.0))
    assert waits.seconds(103.0) == pytest.approx(1.0)
    waits.told(102.0, {0: 7.5})
    assert waits.seconds(103.0) == pytest.approx(2.0), "one of them had begun to wait when the others still did"


def test_waits_in_turn_add_up() -> None:
    """A test waits for a processor, then the process that it asked does."""
    waits = Waits(100.0, {1: 0.0, 2: 0.0})
    waits.told(101.0, {1: 0.5, 2: 0.0})
    waits.told(103.0, {1: 0.5, 2: 1.0})
    assert waits.seconds(104.0) == pytest.approx(1.5)


def test_only_waits_of_the_time_that_is_measured_count() -> None:
    """Neither what a thread had waited before, nor what comes after the end; and who waits for nothing adds nothing."""
    waits = Waits(100.0, {1: 30.0})
    waits.told(101.0, {1: 30.0})
    assert waits.seconds(101.0) == 0
    waits.told(102.0, {1: 35.0, 2: 50.0})
    assert waits.seconds(102.0) == pytest.approx(2.0)
    assert waits.seconds(101.5) == pytest.approx(1.5)


def test_sleeping_is_no_waiting() -> None:
    """Who is slow by itself is found to be slow."""
    with patience.Own() as took:
        time.sleep(0.2)
    assert took.seconds > 0.1


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count the waiting")
def test_a_thread_that_gets_no_processor_is_not_slow() -> None:
    """A worker thread that shares one processor with the work of three others is excused for what they had of it."""
    with ExitStack() as stack:
        worker = _started(stack, WORKER)
        for _ in range(3):
            _started(stack, OTHER)
        assert worker.stdin is not None
        assert worker.stdout is not None
        with patience.Own(worker.pid) as took:
            worker.stdin.write("go\n")
            worker.stdin.flush()
            passed = float(worker.stdout.readline())
    assert took.seconds < 0.7 * passed


def _started(stack: ExitStack, program: str) -> subprocess.Popen[str]:
    """A process that is ready, and ends with the block."""
    command = [sys.executable, "-c", ON_ONE_PROCESSOR + program]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process

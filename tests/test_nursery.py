"""Processes that are forked for tests: bad wishes are named, and neither order nor number of tests matters to them."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess

import psutil
import pytest

from tests import nursery


def test_a_signal_for_a_process_that_has_just_ended_is_none() -> None:
    """It is gone, and the word of how it ended is still on its way."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    status, told = os.pipe()
    os.write(told, f"{gone.pid}\n".encode())
    process = nursery.Process(status, {})
    process.send_signal(signal.SIGTERM)
    os.write(told, b"0\n")
    os.close(told)
    assert process.wait(1.0) == 0


def test_a_wish_that_is_too_long_is_named() -> None:
    """An environment that would not get through whole is an error with its size, and nothing is started."""
    with pytest.raises(ValueError, match=r"arguments and environment of sandbox are 1\d{5} bytes, 131072 at most"):
        nursery.sandbox(env={"LONG": "x" * nursery.WISH_BYTES})


def test_the_thousandth_descriptor_is_waited_for_like_any_other() -> None:
    """A test process that has many files open still hears how its processes end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("so many descriptors are not allowed here")
    status, told = os.pipe()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    try:
        high = fcntl.fcntl(status, fcntl.F_DUPFD_CLOEXEC, 1024)
        os.close(status)
        os.write(told, b"1\n")
        process = nursery.Process(high, {})
        assert process.poll() is None
        os.write(told, b"7\n")
        os.close(told)
        assert process.wait(1.0) == 7
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_the_first_test_made_of_the_environment_is_not_what_all_are_forked_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever forks imports under the environment that the tests were started in; a child has what it is given."""
    monkeypatch.setenv("RELAYDESK_OF_ONE_TEST", "1")
    pipe = subprocess.PIPE
    with nursery._born(("json",), "code", (), stdin=pipe, stdout=pipe, stderr=pipe) as child:
        parent = psutil.Process(child.pid).parent()
        assert parent is not None
        assert parent.ppid() == os.getpid()
        assert "RELAYDESK_OF_ONE_TEST" not in parent.environ()
        assert child.stdin is not None
        child.stdin.write("import os; print(os.environ['RELAYDESK_OF_ONE_TEST'])\n")
        assert "1\n" in child.communicate(10.0)[0]

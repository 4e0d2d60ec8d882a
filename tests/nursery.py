"""Starts processes of this repository quickly: what they import is imported once, then each is forked.

`sandbox(...)`, `relaydesk(...)` and `module(...)` give a running process, with the parts of `subprocess.Popen` that
tests use. It has its own arguments, environment, folder, streams and signals, ends as any interpreter does, and dies
with the test process. That the real entry points start from nothing is proved by tests/bot/cli/test_processes.py,
tests/bot/cli/test_main.py and tests/sandbox, which start them as an operator does.

`python -m tests.nursery FD MODULE...` is the process that forks: it imports the modules, then reads wishes from the
socket FD, each with four descriptors: standard input, output and error, and a pipe for the child's id and its status.
"""

from __future__ import annotations

import array
import atexit
import functools
import gc
import importlib
import io
import json
import math
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Never, Self

ROOT = Path(__file__).parent.parent
SANDBOX = ("sandbox.__main__",)
HOUSE = (
    "bot.cli.main", "bot.app", "bot.life", "bot.backups", "classifiers.load", "onnxruntime",
    "storage.backup", "storage.moving", "storage.restore", "tokenizers",
)  # fmt: skip
WISH_BYTES = 1 << 17  # with the whole environment; one message of a socket takes little more


# ---- in the test process ---------------------------------------------------------------------------------------------

_environment = dict(os.environ)


def remember() -> None:
    """Processes that fork start in the environment of this moment, whatever a test has made of it by then."""
    _environment.clear()
    _environment.update(os.environ)


class Process:
    """A process that was forked for this test process. Made by `sandbox`, `relaydesk` and `module`."""

    def __init__(self, pid_and_status: int, streams: Mapping[str, IO[str]]) -> None:
        self._status = os.fdopen(pid_and_status, "rb", buffering=0)
        self.pid = int(self._line())
        self.returncode: int | None = None
        self.stdin = streams.get("stdin")
        self.stdout = streams.get("stdout")
        self.stderr = streams.get("stderr")

    def _line(self) -> bytes:
        line = self._status.readline()
        if not line:
            raise RuntimeError("the process that forks has ended")
        return line

    def poll(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def _look(self, within: float | None) -> int | None:
        if self.returncode is None and _ready([self._status.fileno()], within):
            self.returncode = int(self._line())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it writes to the pipes it was given, until it ends; raises subprocess.TimeoutExpired."""
        if self.stdin is not None:
            self.stdin.close()
        said: dict[str, str] = {}

        def read(name: str, stream: IO[str]) -> None:
            with stream:
                said[name] = stream.read()

        pipes = {"stdout": self.stdout, "stderr": self.stderr}
        readers = [threading.Thread(target=read, args=one, daemon=True) for one in pipes.items() if one[1] is not None]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return said.get("stdout", ""), said.get("stderr", "")

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill it when it still runs, and close its pipes."""
        self.kill()
        self.wait(10.0)
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def sandbox(*words: str, **how: Any) -> Process:
    """`python -m sandbox WORDS`. `how` as for `module`."""
    return _born(SANDBOX, "sandbox", words, **how)


def relaydesk(*words: str, **how: Any) -> Process:
    """`relaydesk WORDS`. `how` as for `module`."""
    return _born(HOUSE, "bot.cli.main", words, **how)


def module(name: str, *words: str, **how: Any) -> Process:
    """`python -m NAME WORDS` with everything of the house imported already.

    `cwd` and `env` are the repository and this environment unless given; `stdin`, `stdout` and `stderr` are
    subprocess.PIPE, subprocess.DEVNULL, an open file, or None for this process's own.
    """
    return _born(HOUSE, name, words, **how)


def _born(
    modules: tuple[str, ...],
    name: str,
    words: tuple[str, ...],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[Any] | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
) -> Process:
    wish = {"name": name, "words": [str(word) for word in words], "cwd": str(cwd), "env": dict(env or os.environ)}
    data = json.dumps(wish).encode("utf-8", "surrogateescape")
    if len(data) > WISH_BYTES:
        raise ValueError(
            f"arguments and environment of {name} are {len(data)} bytes, {WISH_BYTES} at most: give it less as env"
        )
    ours: dict[str, IO[str]] = {}
    with ExitStack() as theirs:
        fds = [
            _end(number, which, chosen, ours, theirs)
            for number, (which, chosen) in enumerate((("stdin", stdin), ("stdout", stdout), ("stderr", stderr)))
        ]
        status, told = os.pipe()
        theirs.callback(os.close, told)
        packed = array.array("i", [*fds, told])
        _forker(modules).sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)])
    return Process(status, ours)


def _end(number: int, which: str, chosen: int | IO[Any] | None, ours: dict[str, IO[str]], theirs: ExitStack) -> int:
    """The descriptor that the child gets; what this process keeps of it goes into `ours`."""
    if chosen is None:
        return number
    if chosen == subprocess.DEVNULL:
        return theirs.enter_context(Path(os.devnull).open("r+b", buffering=0)).fileno()
    if chosen == subprocess.PIPE:
        reads, writes = os.pipe()
        kept, given = (writes, reads) if which == "stdin" else (reads, writes)
        ours[which] = os.fdopen(kept, "w" if which == "stdin" else "r", encoding="utf-8")
        theirs.callback(os.close, given)
        return given
    return chosen if isinstance(chosen, int) else chosen.fileno()


@functools.cache
def _forker(modules: tuple[str, ...]) -> socket.socket:
    """The process that forks, started at the first wish and ended with this process."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        command = [sys.executable, "-m", "tests.nursery", str(there.fileno()), *modules]
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        here.close()
        process.wait()

    atexit.register(end)
    return here


def _ready(descriptors: list[int], within: float | None = None) -> set[int]:
    """Those of them that can be read or have ended. Not by select, which knows none above 1023; `within` in seconds."""
    look = select.poll()
    for one in descriptors:
        look.register(one, select.POLLIN)
    return {one for one, _ in look.poll(None if within is None else math.ceil(within * 1000))}


# ---- in the process that forks ---------------------------------------------------------------------------------------


def _serve(wishes: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork a child for each wish. In the child: the wish and its standard streams; None when nobody is left to ask."""
    children: dict[int, int] = {}
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for who started the tests
    while True:
        ready = _ready([wishes.fileno(), woken])
        if woken in ready:
            os.read(woken, 4096)
            _reap(children)
        if wishes.fileno() in ready:
            data, given, _, _ = socket.recv_fds(wishes, WISH_BYTES, 4)
            if not data:
                break
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, interrupted)
                return json.loads(data), given[:3]
            for fd in given[:3]:
                os.close(fd)
            children[pid] = given[3]
            os.write(given[3], f"{pid}\n".encode())
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    return None


def _reap(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = children.pop(pid)
        with suppress(BrokenPipeError):  # whoever started it no longer asks how it ended
            os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(told)


def _take(streams: list[int]) -> None:
    """Make these the child's standard streams, as an interpreter does at its start, and close all else."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    os.closerange(3, 1 << 16)
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, (name, errors) in enumerate(
        (("stdin", "strict"), ("stdout", "strict"), ("stderr", "backslashreplace"))
    ):
        writes = number > 0
        raw = open(number, "wb" if writes else "rb", buffering=0 if writes and at_once else -1, closefd=False)  # noqa: SIM115
        stream = io.TextIOWrapper(
            raw, errors=errors, line_buffering=name == "stderr" or raw.isatty(), write_through=writes and at_once
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _become(wish: dict[str, Any], streams: list[int]) -> Never:
    """Go on as the process that was wished for, and end as an interpreter does.

    Not by the interpreter itself: libraries wait at its end for threads that a forked process does not have.
    """
    os.environ.clear()
    os.environ.update(wish["env"])
    os.chdir(wish["cwd"])
    _take(streams)
    sys.argv = [wish["name"], *wish["words"]]
    for name in (wish["name"], f"{wish['name']}.__main__"):
        sys.modules.pop(name, None)  # it is run as the main module, not imported a second time
    code = 0
    try:
        runpy.run_module(wish["name"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code and not isinstance(ended.code, int):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001 -- as an interpreter does
        traceback.print_exc()
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(fd: int, modules: list[str]) -> None:
    """Import, then fork until the socket is closed."""
    for name in modules:
        importlib.import_module(name)
    if threading.active_count() != 1:
        raise RuntimeError("an import has started a thread, which no child would have")
    gc.collect()
    gc.freeze()  # what is shared stays shared
    wishes = socket.socket(fileno=fd)
    found = _serve(wishes)
    if found is None:
        return
    wishes.detach()
    _become(*found)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

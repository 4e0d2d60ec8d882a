"""Hosts of their own on one machine: network namespaces, each on a cable of its own that can be pulled.

Needs Linux, root and iproute2; `out_of_reach` says what is missing.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NAMES = Path("/run/netns")
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Host:
    """A network namespace with one cable to us. `gateway` is our end's address, `address` its own."""

    name: str
    device: str
    gateway: str
    address: str

    def pull(self) -> None:
        """Pull the cable: nothing passes in either direction, and nobody is told."""
        _ip("link", "set", self.device, "down")

    def plug(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.device, "up")


def enter(name: str) -> None:
    """Move this thread into a namespace; what it opens from now on is there. Raises OSError where it may not."""
    with (NAMES / name).open("rb") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), NEW_NETWORK) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"cannot enter the network namespace: {os.strerror(code)}")


def out_of_reach() -> str:
    """Why this machine gives no hosts of their own; "" where it does."""
    if not sys.platform.startswith("linux"):
        return "network namespaces exist on Linux only"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    try:
        with hosts(1):
            return ""
    except (subprocess.CalledProcessError, OSError) as error:
        return f"this machine makes no network namespaces: {error}"


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts, gone at the end. Raises CalledProcessError where the machine does not allow it."""
    with ExitStack() as stack:
        yield [stack.enter_context(_host()) for _ in range(count)]


@contextmanager
def _host() -> Iterator[Host]:
    # Never the names of one that is gone: its device stays for a while after `netns del` has returned.
    own, number = os.getpid(), next(_numbers)
    net = f"10.{128 + (own >> 8) % 64}.{own % 256}.{4 * (number % 64)}"
    first, _, last = net.rpartition(".")
    made = Host(
        name=f"desk-{own}-{number}",
        device=f"rd{own}x{number}",
        gateway=f"{first}.{int(last) + 1}",
        address=f"{first}.{int(last) + 2}",
    )
    _ip("netns", "add", made.name)
    try:
        _ip("link", "add", made.device, "type", "veth", "peer", "name", "cable", "netns", made.name)
        _ip("addr", "add", f"{made.gateway}/30", "dev", made.device)
        _ip("link", "set", made.device, "up")
        _ip("-n", made.name, "addr", "add", f"{made.address}/30", "dev", "cable")
        for device in ("lo", "cable"):
            _ip("-n", made.name, "link", "set", device, "up")
        yield made
    finally:
        _ip("netns", "del", made.name)  # its end of the cable goes with it, and ours with that


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

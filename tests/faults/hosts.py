"""Hosts of their own on one machine: network namespaces, each on a cable of its own that can be pulled.

The other ends of the cables are in a namespace too, the switch, where we listen: the machine's own network stays as it
is. A browser in another test takes any change of it for a new network, and breaks off whatever it is loading.

Needs Linux, root and iproute2; `out_of_reach` says what is missing.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NAMES = Path("/run/netns")
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Host:
    """A network namespace with one cable to the switch. `gateway` is the address at that end, `address` its own."""

    name: str
    switch: str
    device: str
    gateway: str
    address: str

    def pull(self) -> None:
        """Pull the cable: nothing passes in either direction, and nobody is told."""
        _ip("-n", self.switch, "link", "set", self.device, "down")

    def plug(self) -> None:
        """Plug it in again."""
        _ip("-n", self.switch, "link", "set", self.device, "up")

    def listening(self) -> socket.socket:
        """A socket of this process that listens at the switch's end of the cable, on a free port."""

        def listen() -> socket.socket:
            enter(self.switch)
            return socket.create_server((self.gateway, 0))

        with ThreadPoolExecutor(max_workers=1) as elsewhere:  # a thread of its own, which ends there
            return elsewhere.submit(listen).result()


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
        switch = stack.enter_context(_namespace("switch"))
        yield [stack.enter_context(_host(switch)) for _ in range(count)]


@contextmanager
def _namespace(what: str) -> Iterator[str]:
    name = f"{what}-{os.getpid()}-{next(_numbers)}"
    _ip("netns", "add", name)
    try:
        yield name
    finally:
        _ip("netns", "del", name)  # its ends of the cables go with it, and the other ends with those


@contextmanager
def _host(switch: str) -> Iterator[Host]:
    number = next(_numbers)
    net = f"10.128.{number // 64 % 256}.{4 * (number % 64)}"
    first, _, last = net.rpartition(".")
    with _namespace("desk") as name:
        made = Host(
            name=name,
            switch=switch,
            device=f"cable{number}",
            gateway=f"{first}.{int(last) + 1}",
            address=f"{first}.{int(last) + 2}",
        )
        _ip("-n", switch, "link", "add", made.device, "type", "veth", "peer", "name", "cable", "netns", name)
        _ip("-n", switch, "addr", "add", f"{made.gateway}/30", "dev", made.device)
        _ip("-n", name, "addr", "add", f"{made.address}/30", "dev", "cable")
        _ip("-n", switch, "link", "set", made.device, "up")
        for device in ("lo", "cable"):
            _ip("-n", name, "link", "set", device, "up")
        yield made


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

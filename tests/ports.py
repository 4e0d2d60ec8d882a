"""Addresses for servers that must be known before they listen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[int]:
    """A port on the loopback address that nobody else is given until the end.

    It stays bound, and whoever listens on it does so beside. A port that is only looked up and let go again is soon
    somebody else's where many tests run at once.
    """
    with socket.socket() as placeholder:
        placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        placeholder.bind(("127.0.0.1", 0))
        yield int(placeholder.getsockname()[1])

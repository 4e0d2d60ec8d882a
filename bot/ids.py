"""Fresh ids."""

from __future__ import annotations

from ulid import ULID


def new_id() -> str:
    """A fresh ULID: 26 characters, ordered by time."""
    return str(ULID())

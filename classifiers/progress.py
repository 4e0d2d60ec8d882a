"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Told what is being done and how much of the whole is done, 0 to 1."""


def silent(_step: str, _share: float) -> None:
    """Progress that nobody watches."""

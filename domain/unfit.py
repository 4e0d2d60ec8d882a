"""What somebody typed and does not do: said in English by itself, and with a code for whoever says it otherwise."""

from __future__ import annotations


class Unfit(ValueError):
    """The message says what would do, and never repeats a personal value.

    `code` is a stable word, `values` what a text about it is filled with.
    """

    def __init__(self, code: str, said: str, **values: str) -> None:
        super().__init__(said)
        self.code = code
        self.values = values

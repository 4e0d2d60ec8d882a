"""What the worker needs of a classifier: assess a batch without blocking the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.assessment import Assessment, Text


class Assessor(Protocol):
    """A classifier behind one inference thread."""

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order; never raises on any text."""
        ...

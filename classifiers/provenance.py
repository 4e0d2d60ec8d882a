"""Which code an answer comes from: digests of the source files that decide, so that a version cannot be forgotten.

Modules of this package are named alone, others with their room: "domain/privacy".
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_HOUSE = Path(__file__).parents[1]
_MASKS = ("domain/privacy", "domain/personal", "domain/places", "domain/credentials")

TRAINS = (
    *_MASKS,
    "lexicon",
    "normalise",
    "ngrams",
    "neighbours",
    "heads",
    "experts",
    "training",
    "artifact",
)
"""What shapes trained heads: when it changes, heads are trained again."""

ANSWERS = (
    *_MASKS,
    "normalise",
    "language",
    "lexicon",
    "rules",
    "sentiment",
    "ngrams",
    "neighbours",
    "heads",
    "encoder",
    "verdict",
    "blend",
)
"""What shapes an answer beside the trained numbers: it is part of a classifier's version."""


def digest(modules: tuple[str, ...]) -> str:
    """Hex sha256 of modules."""
    found = hashlib.sha256()
    for name in modules:
        room, _, module = name.rpartition("/")
        found.update((_HOUSE / (room or "classifiers") / f"{module}.py").read_bytes())
    return found.hexdigest()

"""Which code an answer comes from: digests of the source files that decide, so that a version cannot be forgotten."""

from __future__ import annotations

import hashlib
from pathlib import Path

TRAINS = ("normalise", "ngrams", "neighbours", "heads", "training", "artifact")
"""What shapes trained heads: when it changes, heads are trained again."""

ANSWERS = ("normalise", "language", "lexicon", "rules", "ngrams", "neighbours", "heads", "encoder", "blend")
"""What shapes an answer beside the trained numbers: it is part of a classifier's version."""


def digest(modules: tuple[str, ...]) -> str:
    """Hex sha256 of modules of this package."""
    found = hashlib.sha256()
    for name in modules:
        found.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return found.hexdigest()

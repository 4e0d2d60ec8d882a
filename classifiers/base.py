"""The port: what the house expects of a classifier, and the registry of those it knows.

To add one: write `classifiers/<name>.py` with a class that has `labels`, `version` and `assess`, register a factory
here, and run `tests/contracts/test_classifier.py` on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from classifiers.errors import ModelError
from domain.assessment import Assessment, Text
from domain.model import Priority


@dataclass(frozen=True, kw_only=True)
class Label:
    """An intent: a stable id, what people call it per language, the queue it belongs to, its usual priority."""

    id: str
    names: Mapping[str, str]
    descriptions: Mapping[str, str]
    queue: str
    priority: Priority = Priority.NORMAL


@runtime_checkable
class Classifier(Protocol):
    """Texts in, assessments out.

    `assess` answers every text, in order, and never raises on any text; it is synchronous and is called from one
    thread at a time. `version` changes whenever the same text could get another answer.
    """

    @property
    def labels(self) -> tuple[Label, ...]:
        """Every intent it can name."""

    @property
    def version(self) -> str:
        """What stands in the record beside each assessment."""

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """One assessment per text."""


Factory = Callable[[Path], Classifier]
_FACTORIES: dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Make a classifier known under `name`; `factory` takes the model folder. A second one of that name is refused."""
    if name in _FACTORIES:
        raise ValueError(f"a classifier named {name!r} is registered already")
    _FACTORIES[name] = factory


def names() -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted(_FACTORIES))


def load(name: str, model_dir: Path) -> Classifier:
    """The classifier of that name, loaded from its model folder.

    Raises ModelError: an unknown name, or a model that is missing, damaged or does not fit.
    """
    try:
        factory = _FACTORIES[name]
    except KeyError:
        raise ModelError(f"no classifier is named {name!r}; there are: {', '.join(names())}") from None
    return factory(model_dir)

"""What a training is told and what it answers: confirmed texts as plain values, tidied before they teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy

MOST = 4000  # confirmed texts per language, the newest: what a training in the background can hold and finish

GoLive = Literal["auto", "shadow", "never"]
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A confirmed text: `text` masked, `weight` what it stands for in calibration (see classifiers/learning.py),
    `at` when it was recorded, ISO.
    """

    id: str
    text: str
    intent: str
    language: str
    weight: float
    at: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to train on and what becomes of it. Lessons oldest first; `taxonomy` None takes the starter's; `key` opens
    the encoder's server, where it is one. `forget` says that labels were taken back: once new heads answer, every other
    version goes.
    """

    model_dir: str
    lessons: tuple[Lesson, ...]
    now: str
    taxonomy: str | None = None
    go_live: GoLive = "auto"
    keep: int = 5
    forget: bool = False
    threads: int = 1
    key: str | None = field(default=None, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        """Read what `asdict` wrote."""
        return cls(**{**data, "lessons": tuple(Lesson(**one) for one in data["lessons"])})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it. `number` is the version that was written, None where there was nothing to learn.

    `live` says whether it answers now; `learnt` and `left_out` count confirmed texts; `notes` are the gate's reasons.
    """

    number: int | None
    kind: str
    passed: bool
    live: bool
    learnt: int
    left_out: int
    suspicious: int
    notes: tuple[str, ...]
    scores: Scores


def renamed(folder: Path) -> dict[str, str]:
    """Former intent ids of a taxonomy folder and what they are called now (`renamed_from`, a word or a list)."""
    import yaml

    found = {}
    for entry in yaml.safe_load((folder / "taxonomy.yaml").read_text(encoding="utf-8")).get("intents") or ():
        former = entry.get("renamed_from") or ()
        for one in [former] if isinstance(former, str) else former:
            found[str(one)] = str(entry.get("id"))
    return found


def tidy(
    lessons: Sequence[Lesson],
    content: Taxonomy,
    golden: Sequence[Example],
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> list[Lesson]:
    """What can be learned from, oldest first: known intents (by their present ids) and languages, each wording once
    with its newest label, none that the golden set holds, and the newest of too many.
    """
    known = {label.id for label in content.labels}
    kept_apart = {normalise(example.text) for example in golden}
    newest: dict[tuple[str, str], Lesson] = {}
    for lesson in lessons:
        lesson = replace(lesson, intent=renamed.get(lesson.intent, lesson.intent))
        wording = normalise(lesson.text)
        if wording and wording not in kept_apart and lesson.intent in known and lesson.language in content.languages:
            newest.pop((lesson.language, wording), None)
            newest[lesson.language, wording] = lesson
    found: list[Lesson] = []
    for language in content.languages:
        found += [lesson for (spoken, _), lesson in newest.items() if spoken == language][-MOST:]
    return sorted(found, key=lambda lesson: (lesson.at, lesson.id))

"""A taxonomy and its examples: YAML files in one folder, checked line by line when read.

taxonomy.yaml names queues and intents; examples.<language>.yaml lists what people write per intent;
out_of_scope.yaml (optional) holds what no intent covers, closure.yaml (optional) more examples of the intent that ends
a conversation; golden.yaml and what stands under `golden` in those two are kept apart for measuring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from classifiers.base import Label
from classifiers.errors import TaxonomyError
from domain.model import Priority

STARTER = Path(__file__).parent / "starter"
STRANGERS, CLOSURES = "out_of_scope.yaml", "closure.yaml"
LEAST_EXAMPLES = 4  # per intent and language: fewer leave nothing to measure with


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Example:
    """A labelled sentence; `id` is stable as long as the file keeps its order ("en/how_to/3")."""

    id: str
    intent: str
    language: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Taxonomy:
    """What a classifier is trained on. `strangers` are out-of-scope texts per language, `digest` names the content."""

    labels: tuple[Label, ...]
    queues: Mapping[str, Mapping[str, str]]
    examples: tuple[Example, ...]
    strangers: Mapping[str, tuple[str, ...]]
    digest: str

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have examples, sorted."""
        return tuple(sorted({example.language for example in self.examples}))


def read(folder: Path = STARTER) -> Taxonomy:
    """Read a taxonomy folder.

    Raises TaxonomyError with one line per mistake (file, intent, fix).
    """
    problems: list[str] = []
    digest = hashlib.sha256()
    main = _mapping(folder / "taxonomy.yaml", digest, problems)
    queues = main.get("queues") or {}
    labels = tuple(_label(entry, queues, problems) for entry in main.get("intents") or [])
    known = [label.id for label in labels]
    problems += [
        f"taxonomy.yaml: intent {one} is listed twice" for one in sorted({i for i in known if known.count(i) > 1})
    ]
    if len(known) < 2:
        problems.append("taxonomy.yaml: a taxonomy needs at least two intents")
    examples: list[Example] = []
    for path in sorted(folder.glob("examples.*.yaml")):
        examples += _examples(path, known, digest, problems)
    if not examples:
        problems.append(f"{folder}: there is no examples.<language>.yaml")
    examples += _closures(folder / CLOSURES, known, digest, problems)
    apart = _apart(folder / STRANGERS, "examples", digest, problems)
    if problems:
        raise TaxonomyError(*problems)
    return Taxonomy(
        labels=labels,
        queues=queues,
        examples=tuple(examples),
        strangers=apart,
        digest=digest.hexdigest(),
    )


def golden(folder: Path = STARTER) -> tuple[Example, ...]:
    """The golden set of a taxonomy folder, empty where it has none. Raises TaxonomyError."""
    if not (folder / "golden.yaml").exists():
        return ()
    problems: list[str] = []
    data = _mapping(folder / "golden.yaml", hashlib.sha256(), problems)
    found = tuple(
        Example(id=f"golden/{language}/{intent}/{number}", intent=str(intent), language=str(language), text=text)
        for language, intents in data.items()
        for intent, texts in (intents.items() if isinstance(intents, dict) else ())
        for number, text in enumerate(_sentences(texts, f"golden.yaml: {language} {intent}", problems), start=1)
    )
    if problems:
        raise TaxonomyError(*problems)
    return found


def golden_strangers(folder: Path = STARTER) -> dict[str, tuple[str, ...]]:
    """Out-of-scope texts per language that are kept apart for measuring; empty where there are none.

    Raises TaxonomyError.
    """
    return _measured(folder / STRANGERS)


def golden_closures(folder: Path = STARTER) -> dict[str, tuple[str, ...]]:
    """Texts per language that end a conversation, kept apart for measuring; empty where there are none.

    Raises TaxonomyError.
    """
    return _measured(folder / CLOSURES)


def _measured(path: Path) -> dict[str, tuple[str, ...]]:
    problems: list[str] = []
    found = _apart(path, "golden", hashlib.sha256(), problems, needed=False)
    if problems:
        raise TaxonomyError(*problems)
    return found


def _mapping(path: Path, digest: _Digest, problems: list[str]) -> dict[str, Any]:
    import yaml

    try:
        raw = path.read_bytes()
        data = yaml.safe_load(raw)
    except OSError as error:
        problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return {}
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        problems.append(f"{path.name}: is not YAML" + (f" (line {where.line + 1})" if where else ""))
        return {}
    digest.update(path.name.encode() + b"\0" + raw)
    if not isinstance(data, dict):
        problems.append(f"{path.name}: must hold names and their values")
        return {}
    return data


def _label(entry: object, queues: Mapping[str, Any], problems: list[str]) -> Label:
    if not isinstance(entry, dict) or not entry.get("id"):
        problems.append("taxonomy.yaml: an intent has no id")
        entry = {}
    intent, queue = str(entry.get("id", "")), str(entry.get("queue", ""))
    if intent and queue not in queues:
        problems.append(f"taxonomy.yaml: intent {intent} names queue {queue!r}, which is not listed under queues")
    priority = str(entry.get("priority", Priority.NORMAL.value))
    if priority not in tuple(Priority):
        problems.append(f"taxonomy.yaml: intent {intent} has priority {priority!r}; use low, normal, high or urgent")
        priority = Priority.NORMAL.value
    return Label(
        id=intent,
        names=_words(entry, "name", problems),
        descriptions=_words(entry, "description", problems),
        queue=queue,
        priority=Priority(priority),
    )


def _words(entry: Mapping[str, Any], key: str, problems: list[str]) -> dict[str, str]:
    words = entry.get(key) or {}
    if not isinstance(words, dict):
        problems.append(f"taxonomy.yaml: {key} of intent {entry.get('id')} must give a text per language")
        return {}
    return {str(language): str(text) for language, text in words.items()}


def _examples(path: Path, known: list[str], digest: _Digest, problems: list[str]) -> list[Example]:
    language = path.name.split(".")[1]
    data = _mapping(path, digest, problems)
    for intent, texts in data.items():
        if intent not in known:
            problems.append(f"{path.name}: intent {intent} is not in taxonomy.yaml")
        if not isinstance(texts, list) or len(texts) < LEAST_EXAMPLES:
            problems.append(f"{path.name}: intent {intent} needs at least {LEAST_EXAMPLES} examples")
    problems += [f"{path.name}: intent {intent} has no examples" for intent in known if intent and intent not in data]
    return [
        Example(id=f"{language}/{intent}/{number}", intent=str(intent), language=language, text=text)
        for intent, texts in data.items()
        for number, text in enumerate(_sentences(texts, f"{path.name}: {intent}", problems), start=1)
    ]


def _closures(path: Path, known: list[str], digest: _Digest, problems: list[str]) -> list[Example]:
    """More examples of the intent that ends a conversation; a taxonomy may do without."""
    if not path.exists():
        return []
    intent = _mapping(path, hashlib.sha256(), problems).get("intent")
    if intent not in known:
        problems.append(f"{path.name}: intent {intent} is not in taxonomy.yaml")
    return [
        Example(id=f"{language}/closure/{number}", intent=str(intent), language=language, text=text)
        for language, texts in _apart(path, "examples", digest, problems).items()
        for number, text in enumerate(texts, start=1)
    ]


def _apart(
    path: Path, key: str, digest: _Digest, problems: list[str], *, needed: bool = True
) -> dict[str, tuple[str, ...]]:
    """The texts per language under `key` of a file that a taxonomy may do without."""
    if not path.exists():
        return {}
    texts_of = _mapping(path, digest, problems).get(key, None if needed else {})
    if not isinstance(texts_of, dict):
        problems.append(f"{path.name}: must hold `{key}` with a list per language")
        return {}
    return {
        str(language): tuple(_sentences(texts, f"{path.name}: {language}", problems))
        for language, texts in texts_of.items()
    }


def _sentences(texts: object, where: str, problems: list[str]) -> list[str]:
    """The texts of a list. YAML reads `a: b`, `yes` and `12` as something else: those need quotes."""
    items = texts if isinstance(texts, list) else []
    odd = [number for number, text in enumerate(items, start=1) if not isinstance(text, str) or not text.strip()]
    problems += [f"{where}, number {number}: is not a text; put it in quotes" for number in odd]
    return [text for text in items if isinstance(text, str)]

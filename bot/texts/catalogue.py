"""Texts by key, one YAML file per language in a folder, all with the same keys and the same `{words}`.

A file is read once and checked against the default language's. Groups are one level deep and are flattened:
`card: {resolve: ...}` is `card.resolve`. A text with `one` and `other` is chosen by a number: the value it names with
`by`, else `count`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources.abc import Traversable
from string import Formatter
from typing import Final

import yaml

DEFAULT: Final = "en"
"""The language whose file says which keys exist."""
_FORMS: Final = frozenset({"by", "one", "other"})


@dataclass(frozen=True, slots=True)
class Counted:
    """A text that depends on a number: `one` for exactly one where the language has such a form, else `other`."""

    by: str
    one: str
    other: str


Text = str | Counted


@dataclass(frozen=True)
class Catalogue:
    """The texts of one folder. Each language's file is read when it is first asked for, and kept."""

    folder: Traversable
    name: str
    """How mistakes name the folder."""
    _read_before: dict[str, Mapping[str, Text]] = field(default_factory=dict, repr=False)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages there are texts in, the default first."""
        names = (file.name for file in self.folder.iterdir())
        found = {name.removesuffix(".yaml") for name in names if name.endswith(".yaml")}
        return (DEFAULT, *sorted(found - {DEFAULT}))

    def pick(self, language: str | None, fallback: Sequence[str] = (DEFAULT,)) -> str:
        """The language to write in: the reader's if we have it (its primary part counts), else the first we have."""
        wanted = (language or "").replace("_", "-").split("-", 1)[0].lower()
        return next((code for code in (wanted, *fallback) if code in self.languages), DEFAULT)

    def texts(self, language: str) -> Mapping[str, Text]:
        """All texts of one language by key, in the default language's order.

        Raises ValueError when its file does not match the default language's.
        """
        if (known := self._read_before.get(language)) is None:
            known = self._read(language)
            if language != DEFAULT:
                known = self._checked(language, known)
            self._read_before[language] = known
        return known

    def _read(self, language: str) -> dict[str, Text]:
        source = self.folder.joinpath(f"{language}.yaml").read_text(encoding="utf-8")
        found = yaml.safe_load(source)
        if not isinstance(found, dict):
            raise ValueError(f"{self._file(language)}: needs keys with texts")
        flat: dict[str, Text] = {}
        for key, given in found.items():
            if isinstance(given, dict) and not _is_counted(given):
                flat |= {f"{key}.{inner}": self._text(language, f"{key}.{inner}", one) for inner, one in given.items()}
            else:
                flat[str(key)] = self._text(language, str(key), given)
        return flat

    def _text(self, language: str, key: str, given: object) -> Text:
        if isinstance(given, str):
            return given.strip("\n")
        if isinstance(given, dict) and _is_counted(given) and all(isinstance(one, str) for one in given.values()):
            other = str(given["other"])
            return Counted(by=str(given.get("by", "count")), one=str(given.get("one", other)), other=other)
        raise ValueError(f"{self._file(language)}: {key} needs a text")

    def _checked(self, language: str, found: Mapping[str, Text]) -> dict[str, Text]:
        model = self.texts(DEFAULT)
        if missing := sorted(model.keys() ^ found.keys()):
            raise ValueError(f"{self._file(language)}: keys differ from {DEFAULT}.yaml: {', '.join(missing)}")
        for key, template in model.items():
            wanted, given = words(template), words(found[key])
            if wanted != given and not (isinstance(template, Counted) and given == wanted - {template.by}):
                raise ValueError(f"{self._file(language)}: {key} needs {', '.join(sorted(wanted)) or 'no'} words")
        return {key: found[key] for key in model}

    def _file(self, language: str) -> str:
        return f"{self.name}/{language}.yaml"


def words(template: Text) -> frozenset[str]:
    """The `{words}` a template wants filled in."""
    parts = (template.one, template.other) if isinstance(template, Counted) else (template,)
    return frozenset(name for part in parts for _, name, _, _ in Formatter().parse(part) if name)


def fill(template: Text, values: Mapping[str, object]) -> str:
    """The text with its values. Raises KeyError for a missing one."""
    if isinstance(template, str):
        return template.format_map(values)
    return (template.one if str(values[template.by]) == "1" else template.other).format_map(values)


def _is_counted(given: Mapping[object, object]) -> bool:
    return "other" in given and given.keys() <= _FORMS

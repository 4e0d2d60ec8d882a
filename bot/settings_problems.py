"""Turns what pydantic found wrong into one line per mistake: file, key, what is wrong, how to mend it.

A line repeats what was written only where that is a word of the configuration (a queue, a mode), never a
value that may be secret or personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rapidfuzz import fuzz, process

from bot import settings_secrets

Path = tuple[str | int, ...]
CLOSE_ENOUGH: Final = 60
"""From here on (of 100) a suggestion helps more than it misleads."""

_SECRET_KEY: Final = re.compile(
    r"token|secret|passw|api_?key|private_?key|signing|credential|^master_key$", re.IGNORECASE
)
_SECRET_VALUE: Final = re.compile(
    r"\d{6,}:[\w-]{30,}|xox[a-z]-|xapp-|(?:[a-z0-9+]+)://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE
)
_KINDS: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a section with keys of its own",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "path_type": "must be a path",
    "date_type": "must be a date such as 2026-12-24",
    "date_parsing": "must be a date such as 2026-12-24",
    "date_from_datetime_parsing": "must be a date such as 2026-12-24",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
    "string_too_short": ("min_length", "is too short; characters at least:"),
    "string_too_long": ("max_length", "is too long; characters at most:"),
    "too_short": ("min_length", "has too few entries; at least"),
    "too_long": ("max_length", "has too many entries; at most"),
}


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """A mistake: the key it is at (a path into the file) and a sentence that names the fix."""

    at: Path
    says: str

    def line(self, file: str) -> str:
        """`config.yaml: routing[2].queue: unknown queue "biling"; did you mean "billing"?`"""
        where = f"{key(self.at)}: " if self.at else ""
        return f"{file}: {_visible(where + self.says)}"


def _visible(text: str) -> str:
    """One line, whatever somebody put into a key: what cannot be printed is shown as its escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )


def key(at: Path) -> str:
    """A path as people write it: `("routing", 2, "queue")` -> `routing[2].queue`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "billing"?`, else `; there are: ...`, else nothing where there is no choice."""
    choices = sorted(set(known))
    best = process.extractOne(word.lower(), choices, scorer=fuzz.ratio, score_cutoff=CLOSE_ENOUGH)
    if best:
        return f'; did you mean "{best[0]}"?'
    return f"; there are: {', '.join(choices)}" if choices else ""


def unknown(at: Path, what: str, word: str, known: Iterable[str]) -> Problem:
    """A name that refers to nothing."""
    return Problem(at=at, says=f'unknown {what} "{word}"{did_you_mean(word, known)}')


def of_pydantic(errors: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> list[Problem]:
    """What pydantic reported, in our words. `schema` is the JSON schema: it knows every section's keys."""
    return [_of_one(error, schema) for error in errors]


def _of_one(error: Mapping[str, Any], schema: Mapping[str, Any]) -> Problem:
    at: Path = tuple(step for step in error["loc"] if step != "[key]")
    kind, context = str(error["type"]), error.get("ctx") or {}
    if kind == "extra_forbidden":
        if (gone := _gone(at)) is not None:
            return Problem(at=at, says=gone)
        hint = did_you_mean(str(at[-1]), keys_at(schema, at[:-1]))
        return Problem(at=at, says=f"unknown key{hint}")
    if kind == "missing":
        return Problem(at=at, says=_missing(at))
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        given = error.get("input")
        if isinstance(given, str) and len(given) <= 32 and not _SECRET_VALUE.search(given):
            return Problem(at=at, says=f'"{given}" is not a choice here{did_you_mean(given, choices)}')
        return Problem(at=at, says=f"must be one of: {', '.join(choices)}")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return Problem(at=at, says=f"{words} {context.get(name)}")
    if kind == "value_error":
        return Problem(at=at, says=str(context.get("error", error["msg"])))
    if kind == "string_pattern_mismatch":
        return Problem(at=at, says=f"has the wrong form; it must match {context.get('pattern')}")
    if kind in _KINDS:
        found = _name_of(error.get("input"))
        return Problem(at=at, says=f"{_KINDS[kind]}, not {found}")
    return Problem(at=at, says=str(error["msg"]))


def _gone(at: Path) -> str | None:
    """What to do about a key of a release before; None where there was none. Another key may look like it."""
    match at:
        case ("queues", str(), "languages"):
            return (
                "is gone, and nothing ever read it: take it out. Messages of a language go to a queue by a rule "
                "(routing: - when: {language: zh}, queue: ...), and to people who read it by assign: by_language"
            )
        case _:
            return None


def _missing(at: Path) -> str:
    match at:
        case ("routing", int(), "queue"):
            return "is missing; every rule says where its messages go: queue: <one of queues>"
        case ("routing",):
            return "is missing; give at least the last resort: - queue: <one of queues>"
        case (*_, last):
            return f"is missing; add {last}: ..."
        case _:
            return "is missing"


def _name_of(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a section"
        case _:
            return "something else"


def keys_at(schema: Mapping[str, Any], at: Path) -> list[str]:
    """The keys that a section knows, found by walking the JSON schema."""
    node = _deref(schema, schema)
    for step in at:
        if isinstance(step, int):
            items = node.get("prefixItems") or []
            below = items[step] if step < len(items) else node.get("items", {})
        else:
            below = node.get("properties", {}).get(step, node.get("additionalProperties", {}))
        node = _deref(schema, below) if isinstance(below, Mapping) else {}
    return sorted(node.get("properties", {}))


def _deref(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(16):  # a schema of ours nests a few levels; the bound ends any circle
        if "$ref" in node:
            node = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
        elif "anyOf" in node:
            node = next((option for option in node["anyOf"] if option.get("type") != "null"), {})
        elif "allOf" in node:
            node = node["allOf"][0]
        else:
            break
    return node


def misplaced_secrets(data: object, at: Path = ()) -> list[Problem]:
    """Every key or value in the file that looks like a secret, with the place where it belongs."""
    found: list[Problem] = []
    if isinstance(data, Mapping):
        for name, value in data.items():
            here = (*at, str(name))
            if _SECRET_KEY.search(str(name)) and not isinstance(value, Mapping | list):
                found.append(Problem(at=here, says=_belongs(here)))
            else:
                found += misplaced_secrets(value, here)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            found += misplaced_secrets(value, (*at, place))
    elif isinstance(data, str) and _SECRET_VALUE.search(data):
        found.append(Problem(at=at, says=_belongs(at)))
    return found


def _belongs(at: Path) -> str:
    words = "_".join(str(step) for step in at if isinstance(step, str)).lower()
    name = "database_url" if words == "database_url" else "keystore_url" if words == "keystore_url" else None
    if name is None:
        best = process.extractOne(words, settings_secrets.NAMES, scorer=fuzz.token_set_ratio, score_cutoff=CLOSE_ENOUGH)
        name = best[0] if best else None
    place = settings_secrets.variable(name) if name else "the environment"
    return (
        f"looks like a secret, and this file gets shared; remove it here and put it into {place} (environment or .env)"
    )

"""Names in config.yaml that refer to other names in it: queues, policies, calendars, channels.

Reads the file's plain data, so that a wrong reference is reported beside a wrong type, not one start later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.settings_problems import Path, Problem, unknown
from bot.settings_segments import usual


def check(data: Mapping[str, Any]) -> list[Problem]:
    """Every reference that leads nowhere, and every table whose last resort is missing or not last."""
    found: list[Problem] = []
    queues = _names(data, "queues")
    for at, word in _references(data):
        known, what = {
            "queue": (queues, "queue"),
            "policy": (_names(data, "sla", "policies"), "policy"),
            "calendar": (_names(data, "sla", "calendars"), "calendar"),
            "channel": ([_channel(data)], "channel"),
            "segment": (_names(data, "segments"), "segment"),
        }[_kind(at)]
        if word not in known:
            found.append(unknown(at, what, word, known))
    fields = _names(data, "profile") or list(usual())
    found += [
        unknown(("telegram", "links", name), "profile field", name, fields)
        for name in _names(data, "telegram", "links")
        if name not in fields
    ]
    default = data.get("default_queue")
    found += _last_resort(data, ("routing",), "queue", [default] if default in queues else queues)
    found += _last_resort(data, ("sla", "rules"), "policy", _names(data, "sla", "policies"))
    return found


def _references(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name in ("default_queue", "triage_queue"):
        yield from _word(data, (name,))
    for place, rule in _entries(data, "routing"):
        yield from _word(data, ("routing", place, "queue"))
        yield from _conditions(rule, "channel", ("routing", place))
        yield from _conditions(rule, "segment", ("routing", place))
    for place, rule in _entries(data, "sla", "rules"):
        yield from _word(data, ("sla", "rules", place, "policy"))
        yield from _conditions(rule, "channel", ("sla", "rules", place))
        yield from _conditions(rule, "queue", ("sla", "rules", place))
        yield from _conditions(rule, "segment", ("sla", "rules", place))
    for name in _names(data, "sla", "policies"):
        yield from _word(data, ("sla", "policies", name, "calendar"))
    yield from _word(data, ("sla", "calendar"))
    for name in _names(data, "queues"):
        yield from _word(data, ("queues", name, "calendar"))


def _kind(at: Path) -> str:
    words = [step for step in at if isinstance(step, str)]
    if words[-1] in ("queue", "default_queue", "triage_queue"):
        return "queue"
    return words[-1]


def _conditions(rule: object, what: str, at: Path) -> Iterator[tuple[Path, str]]:
    """The words under one condition of a rule, one or a list of them."""
    when = rule.get("when") if isinstance(rule, Mapping) else None
    given = when.get(what) if isinstance(when, Mapping) else None
    if isinstance(given, str):
        yield (*at, "when", what), given
    elif isinstance(given, list):
        for place, word in enumerate(given):
            if isinstance(word, str):
                yield (*at, "when", what, place), word


def _last_resort(data: Mapping[str, Any], at: Path, goal: str, known: list[str]) -> list[Problem]:
    """The last entry must have no condition and the ones before it must have one."""
    table = _look(data, at)
    if not isinstance(table, list) or not all(isinstance(entry, Mapping) for entry in table):
        return []
    example = f"- {goal}: {known[0] if known else '...'}"
    if not table or table[-1].get("when"):
        return [Problem(at=at, says=f"has no last resort; end the list with an entry that has no when: {example}")]
    return [
        Problem(
            at=(*at, place),
            says="always holds, so that what follows is never reached; give it a when: or move it to the end",
        )
        for place, entry in enumerate(table[:-1])
        if not entry.get("when")
    ]


def _channel(data: Mapping[str, Any]) -> str:
    name = _look(data, ("telegram", "name"))
    return name if isinstance(name, str) else "telegram"


def _names(data: Mapping[str, Any], *at: str) -> list[str]:
    section = _look(data, at)
    return [str(name) for name in section] if isinstance(section, Mapping) else []


def _entries(data: Mapping[str, Any], *at: str) -> Iterator[tuple[int, object]]:
    table = _look(data, at)
    if isinstance(table, list):
        yield from enumerate(table)


def _word(data: Mapping[str, Any], at: Path) -> Iterator[tuple[Path, str]]:
    word = _look(data, at)
    if isinstance(word, str):
        yield at, word


def _look(data: object, at: Path) -> object:
    for step in at:
        if isinstance(data, Mapping) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data

"""Reads config.yaml as YAML 1.2 means it: no key twice, `no` is text, `9:30` is text, a date is text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError

LONGEST_BYTES = 1_048_576
"""A configuration beyond a megabyte is some other file."""

_SLIPS = (
    ("found character '\\t'", "is a tab; indent with spaces"),
    ("found character", "begins with a character that YAML keeps for itself; put the value in quotes"),
    ("mapping values are not allowed", "a second colon; put a text that holds one in quotes, or mend the indentation"),
    ("could not find expected ':'", "a line before this one has no colon, or quotes that do not end"),
    ("expected <block end>", "is indented otherwise than the lines it belongs to"),
    ("found unexpected end of stream", "quotes or brackets that do not end"),
)
"""What YAML's parser calls the usual slips, and what a person is told."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 and without repeated keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, dict | list):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key}" stands here twice; keep one of them', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    try:
        return int(loader.construct_scalar(node))  # 010 is ten, not an octal eight
    except ValueError:  # Python reads no number of thousands of digits
        raise yaml.constructor.ConstructorError(None, None, "is no number that is used here", node.start_mark) from None


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    value = str(loader.construct_scalar(node))
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise yaml.constructor.ConstructorError(None, None, "holds half a character; write it out", node.start_mark)
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def read(path: Path) -> dict[str, Any]:
    """The file as plain data. Raises ConfigError with one line that names the file, the place and the fix."""
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise ConfigError(f"{path}: is too large to be a configuration; give the right file with --config")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; name another with --config or RELAYDESK_CONFIG") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); make it readable for this user") from None
    try:
        data = yaml.load(text, _Loader)  # noqa: S506 -- _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{path}: {place}{_said(error.problem)}") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigError(f"{path}: cannot be read as YAML; check for control characters and deep nesting") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a list of `key: value` lines; start from the shipped config.yaml")
    return data


def _said(problem: str | None) -> str:
    said = problem or "cannot be read as YAML"
    return next((plain for slip, plain in _SLIPS if said.startswith(slip)), said)

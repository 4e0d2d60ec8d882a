"""Files that `init` writes: `.env`, whole or not at all and for its owner alone; config.yaml with its comments kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bot.settings_values import is_loopback
from bot.whole_files import write_whole

_HEADER = "# Relaydesk's secrets. Keep this file to yourself (mode 0600); it is not part of the repository.\n"
_PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)


def update_env(path: Path, values: Mapping[str, str]) -> None:
    """Set variables in a `.env` file; its other lines and comments stay where they are."""
    left = dict(values)
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else [_HEADER.rstrip()]:
        name = line.removeprefix("export ").partition("=")[0].strip()
        if name not in values:
            lines.append(line)
        elif name in left:
            lines.append(f"{name}={_quoted(left.pop(name))}")
    lines += [f"{name}={_quoted(value)}" for name, value in left.items()]
    write_whole(path, "\n".join(lines) + "\n", 0o600)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def without_sandbox(text: str) -> str:
    """config.yaml with the sandbox's addresses and clock commented out; everything else as it was."""
    section, lines = "", []
    for line in text.splitlines(keepends=True):
        if found := re.match(r"([a-z_]+):", line):
            section = found[1]
        key, _, value = line.strip().partition(":")
        address = value.split("#")[0].strip().strip("\"'")
        is_address = (section, key) in (("telegram", "base_url"), ("slack", "base_url"), ("clock", "source"))
        if is_address and is_loopback(address):
            indent = line[: len(line) - len(line.lstrip())]
            line = f"{indent}# {line.lstrip()}"
        lines.append(line)
    return "".join(lines)


def with_ids(text: str, ids: Mapping[str, str]) -> str:
    """config.yaml with Slack ids exchanged, wherever they stand as a word."""
    if not ids:
        return text
    pattern = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, ids)) + r")(?![\w-])")
    return pattern.sub(lambda found: ids[found[1]], text)

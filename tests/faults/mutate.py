"""Makes odd inputs from good ones, in their structure and byte by byte; from a seed, so that each can be made again."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**52, -(2**52), 2**63, 10**30, 0.5, 1e308, math.nan, math.inf, -math.inf,
    "", " ", "0", "-1", "null", "\x00", "\ud800", "\udfff", "\u202e", "\ufeff", "é", "王小明", "👩‍👩‍👧", "a" * 5000,
    "1" * 400, "<!channel>", "<@U0MAYA>", "<https://a|b>", "&amp;", "../../etc/passwd", "%00", "{}", "[", "`", "'\"",
    "\r\n", "/start", "1.1", "1700000000.000100", "9" * 30 + ".1", "2026-03-29T02:30:00", "0000-00-00", "x@y", "+49",
    "U0MAYA", "C0SUPPORT", [], {}, [[]], [None], [{}], {"": ""}, {"type": ["message"]}, {"id": {}},
)  # fmt: skip
STRANGE_BYTES = (
    b"7" * 5000,
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b'"',
    b"{",
    b"[",
    b",",
    b"\r",
    b"\n",
    b":",
    b"\\u0000",
    b"\\ud800",
)
NEST = "@nest"  # stands for nesting so deep that our own tools would trip over it
NESTED = b"[" * 700 + b'{"a":' * 800 + b"1" + b"}" * 800 + b"]" * 700
LONGEST = 200_000
LONGEST_KEPT = 8_000
STRUCTURED = 0.85  # the share of inputs whose structure is changed; the rest is changed byte by byte alone


def paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    found = [at]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*at, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += paths(inner, (*at, place))
    return found


def copied(value: Any) -> Any:
    """A deep copy of a JSON value (copy.deepcopy takes ten times as long)."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


@dataclass(kw_only=True)
class Mutator:
    """Changes inputs of a corpus; what turned out to be new joins it, so that odd grows on odd."""

    rng: random.Random
    corpus: list[Any]
    limit: int = 4000
    _places: dict[int, list[tuple[str | int, ...]]] = field(default_factory=dict)

    def made(self) -> tuple[Any, bytes]:
        """Another input: as a value (None where only its bytes were changed) and as bytes."""
        value = self.rng.choice(self.corpus)
        if isinstance(value, bytes):
            return None, self.bytes_of(value)
        if self.rng.random() < STRUCTURED:
            value = self.changed(copied(value))
            raw = dumped(value, ascii_only=self.rng.random() < 0.7)
            return value, raw if self.rng.random() < 0.95 else self.bytes_of(raw)
        return None, self.bytes_of(dumped(value, ascii_only=False))

    def changed(self, value: Any) -> Any:
        """A value changed in its structure, in one place or in some; what is given is changed itself."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 2, 3, 5))):
            value = self._changed(value)
        return value

    def learn(self, value: Any, raw: bytes) -> None:
        """Keep what led to something new: its structure where it has one."""
        if len(self.corpus) < self.limit and len(raw) <= LONGEST_KEPT:
            self.corpus.append(raw if value is None else value)

    def bytes_of(self, raw: bytes) -> bytes:
        """The same bytes, a little different."""
        data = bytearray(raw)
        for _ in range(self.rng.choice((1, 1, 2, 4, 8))):
            at = self.rng.randrange(len(data) + 1)
            to = min(len(data), at + self.rng.choice((1, 1, 2, 8, 64)))
            match self.rng.randrange(7):
                case 0 if at < len(data):
                    data[at] ^= 1 << self.rng.randrange(8)
                case 1:
                    del data[at:to]
                case 2:
                    data[at:at] = self.rng.choice(STRANGE_BYTES)
                case 3:
                    data[at:at] = data[at:to] * self.rng.choice((1, 2, 50))
                case 4:
                    del data[at:]
                case 5:
                    other = self.rng.choice(self.corpus)
                    piece = other if isinstance(other, bytes) else dumped(other, ascii_only=True)
                    start = self.rng.randrange(len(piece) + 1)
                    data[at:to] = piece[start : start + self.rng.choice((4, 32, 256))]
                case _:
                    data[at:to] = self.rng.randbytes(to - at)
        return bytes(data[:LONGEST])

    def _changed(self, value: Any) -> Any:
        places = paths(value)
        at = self.rng.choice(places)
        if not at:
            return self._odd() if self.rng.random() < 0.05 else value
        holder = value
        for step in at[:-1]:
            holder = holder[step]
        last = at[-1]
        match self.rng.randrange(8):
            case 0 | 1:
                holder[last] = self._odd()
            case 2:
                del holder[last]
            case 3:
                holder[last] = self._twisted(holder[last])
            case 4:
                holder[last] = copied(self._borrowed())
            case 5 if isinstance(holder, dict):
                other = self._borrowed_from(str(last))
                holder.update(copied(other))
            case 6 if isinstance(holder, dict):
                holder[self.rng.choice((str(last) + "x", "", "\x00", "type", "id", str(last).upper()))] = holder.pop(
                    last
                )
            case 7 if isinstance(holder, list) and isinstance(last, int):
                holder[last:last] = [copied(holder[last])] * self.rng.choice((1, 2, 30))
            case _:
                holder[last] = [holder[last]] if self.rng.random() < 0.5 else {"value": holder[last]}
        return value

    def _odd(self) -> Any:
        return NEST if self.rng.random() < 0.004 else copied(self.rng.choice(ODD))

    def _twisted(self, value: Any) -> Any:
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return self.rng.choice((value + 1, value - 1, -value, value * 10**9, str(value), float(value)))
        if isinstance(value, str):
            at = self.rng.randrange(len(value) + 1)
            piece = str(self.rng.choice([one for one in ODD if isinstance(one, str)]))
            return self.rng.choice(
                (value[:at] + piece + value[at:], value[:at], value[at:], value * 3, value.upper(), piece)
            )
        return self._odd()

    def _borrowed(self) -> Any:
        other = self.rng.choice(self.corpus)
        if isinstance(other, bytes):
            return None
        for step in self.rng.choice(self._known_places(other)):
            other = other[step]
        return other

    def _borrowed_from(self, name: str) -> dict[str, Any]:
        """An object of another input, if possible the one under the same name."""
        other = self.rng.choice(self.corpus)
        if not isinstance(other, dict):
            return {}
        inner = other.get(name, other)
        return inner if isinstance(inner, dict) else other

    def _known_places(self, value: Any) -> list[tuple[str | int, ...]]:
        key = id(value)
        if key not in self._places:
            self._places[key] = paths(value)
        return self._places[key]


def dumped(value: Any, *, ascii_only: bool) -> bytes:
    """JSON as bytes. Half characters survive as escapes where only ASCII is used, and as bad UTF-8 elsewhere."""
    raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    return raw.replace(f'"{NEST}"'.encode(), NESTED)[:LONGEST]

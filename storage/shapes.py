"""How the record is written as lines of JSON: one shape a table, opened, with times and structures as such. No I/O.

What only means something in one installation is left out and made anew: keyed hashes, lanes, the order numbers of rows,
the search index, queues of work, and the audit trail, which is chained under a key of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Double, String, Table
from sqlalchemy.types import Integer

from domain.errors import RelaydeskError
from storage import sealing
from storage.columns import stamp, unstamp
from storage.tables import (
    agents,
    attachment_pieces,
    attachments,
    cases,
    clocks,
    contact_points,
    conversations,
    customer_links,
    customers,
    deliveries,
    duplicates,
    holds,
    identities,
    labels,
    moved_threads,
    terms,
    timeline,
)

FORMAT: Final = "relaydesk.record/1"
HEADER, END = "header", "end"
WHAT: Final = "row"
"""What says of a line which table it is a row of."""
AT_ONCE: Final = 200
"""Ids in one statement."""
_NUMBERS: Final = frozenset({"confidence", "weight"})
"""Real numbers that are no times."""
_LISTS: Final = frozenset({"segments", "tags", "alerts_done", "languages"})
_JSON: Final = _LISTS | {"consents", "assessment", "data"}
_YEARS: Final = (-62_135_596_800.0, 253_402_300_799.0)
"""The seconds since 1970 that a date can be written for."""

Line = dict[str, Any]
Numbered = tuple[int, str, Line | None]
"""A line's number, its text as it stands in the file, and what it says; None where it cannot be read."""


class BadLine(RelaydeskError):
    """A line that cannot be taken over; says why, and what to do. Holds nothing personal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How a table is written. `of` names the column that says whose it is: a customer or a conversation, or nobody's.

    `sealed` are the columns that are kept under the customer's key, by the name they are sealed with; `made` those
    that are made anew.
    """

    type: str
    table: Table
    of: str | None
    about: str
    sealed: tuple[str, ...] = ()
    made: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[Column[Any]]:
        """What is written as it is stored."""
        hidden = self.made | {f"{name}_sealed" for name in self.sealed}
        return [column for column in self.table.c if column.name not in hidden]


SHAPES: Final = (
    Shape(type="term", table=terms, of=None, about="A version of a policy or calendar that was in force."),
    Shape(type="agent", table=agents, of=None, about="Somebody at the desk: languages, duty."),
    Shape(type="link", table=customer_links, of=None, about="Two customers are one person, and who said so."),
    Shape(type="duplicate", table=duplicates, of=None, about="Two customers who may be one person, with the evidence."),
    Shape(
        type="customer",
        table=customers,
        of="id",
        about="A customer: name, language, consents, tags, segments, profile.",
        sealed=("name", "profile"),
        made=frozenset({"erased_at"}),
    ),
    Shape(
        type="identity",
        table=identities,
        of="customer_id",
        about="A customer on one chat platform.",
        sealed=("address", "name", "username"),
        made=frozenset({"address_mac", "username_mac", "name_mac", "erased_at"}),
    ),
    Shape(
        type="conversation",
        table=conversations,
        of="customer_id",
        about="A conversation as it stands.",
        made=frozenset({"lane"}),
    ),
    Shape(
        type="entry",
        table=timeline,
        of="customer_id",
        about="One line of the history: a message, a note, a change. In the order in which they were written.",
        sealed=("body", "files"),
        made=frozenset({"seq"}),
    ),
    Shape(type="clock", table=clocks, of="conversation_id", about="A deadline as it stands."),
    Shape(type="delivery", table=deliveries, of="conversation_id", about="Where an entry stands on a platform."),
    Shape(type="moved_thread", table=moved_threads, of="conversation_id", about="Where a conversation stood before."),
    Shape(
        type="label",
        table=labels,
        of="customer_id",
        about="What a person taught the classifier by this customer's words.",
        sealed=("text",),
    ),
    Shape(
        type="contact_point",
        table=contact_points,
        of="customer_id",
        about="A phone number or an e-mail address of the customer.",
        sealed=("value",),
        made=frozenset({"value_mac"}),
    ),
    Shape(type="case", table=cases, of="customer_id", about="A request of the customer about their data."),
    Shape(type="hold", table=holds, of="customer_id", about="A legal hold."),
    Shape(
        type="file",
        table=attachments,
        of="customer_id",
        about="A file of an entry, of which the bytes are kept; its pieces follow.",
    ),
    Shape(
        type="file_piece",
        table=attachment_pieces,
        of="customer_id",
        about="A piece of the file above, in base64.",
        sealed=("bytes",),
    ),
)
LEFT_OUT: Final = {
    "audit": "chained under a key of this installation",
    "counters": "made anew: the next free numbers",
    "erasures": "what was erased is not carried anywhere",
    "fact_keys": "keyed hashes; the facts themselves are entries",
    "heartbeats": "work in progress",
    "inbox": "work in progress",
    "label_counts": "counts that name nobody, from labels that are carried where they may be kept",
    "lanes": "work in progress",
    "leases": "work in progress",
    "likeness": "keyed hashes, made anew",
    "limits": "work in progress",
    "meta": "about this installation",
    "outbox": "work in progress: what waits to be sent",
    "search_blocks": "the index, made anew",
    "search_documents": "the index, made anew",
    "search_fresh": "the index, made anew",
    "search_segments": "the index, made anew",
}
"""Tables that are not written, and why."""
OF_FILES: Final = frozenset({"file", "file_piece"})
"""Kept files, which stand apart (see `storage.porting_files`)."""
BY_TYPE: Final = {shape.type: shape for shape in SHAPES}


def schema() -> dict[str, Any]:
    """The JSON Schema of one line."""
    lines = [
        _object(HEADER, "The first line.", {"format": {"const": FORMAT}, "exported_at": _MOMENT}, ("format",)),
        *(_object(shape.type, shape.about, *_properties(shape)) for shape in SHAPES),
        _object(END, "The last line: how many there were before it.", {"lines": {"type": "integer"}}, ("lines",)),
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of an export of the whole record ({FORMAT})",
        "oneOf": lines,
    }


_MOMENT: Final = {"type": "string", "format": "date-time"}


def _object(kind: str, about: str, properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "title": kind,
        "description": about,
        "type": "object",
        "properties": {WHAT: {"const": kind}, **properties},
        "required": [WHAT, *required],
        "additionalProperties": False,
    }


def _properties(shape: Shape) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    required = []
    for column in shape.columns:
        found[column.name] = _nullable(schema_of(column), is_null=bool(column.nullable))
        if _is_needed(column):
            required.append(column.name)
    for name in shape.sealed:
        found[name] = {"type": ["string", "null"]}
    return found, required


def _is_needed(column: Column[Any]) -> bool:
    return not column.nullable and column.server_default is None


def schema_of(column: Column[Any]) -> dict[str, Any]:
    """The JSON Schema of a column, where it holds something."""
    if column.name in _LISTS:
        return {"type": "array", "items": {"type": "string"}}
    if column.name in _JSON:
        return {"type": "object"}
    if isinstance(column.type, Double):
        return {"type": "number"} if column.name in _NUMBERS else dict(_MOMENT)
    if isinstance(column.type, Integer):
        return {"type": "integer"}
    limit = {"maxLength": column.type.length} if isinstance(column.type, String) and column.type.length else {}
    return {"type": "string", **limit}


def _nullable(kind: dict[str, Any], *, is_null: bool) -> dict[str, Any]:
    return {**kind, "type": [kind["type"], "null"]} if is_null and "type" in kind else kind


def ends() -> tuple[Line, Line]:
    """The first and the last line of a file that is a part of an export."""
    return {WHAT: HEADER, "format": FORMAT}, {WHAT: END, "lines": 0}


def read(text: str) -> Line:
    """One line as written, checked against its shape. Raises BadLine that says what to mend."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadLine("is no JSON: each line must be one JSON object, uncut") from None
    if not isinstance(found, dict) or not isinstance(found.get(WHAT), str):
        raise BadLine('is no object with a "row"')
    kind = found[WHAT]
    if kind == HEADER:
        if found.get("format") != FORMAT:
            raise BadLine(f'the format is not "{FORMAT}": export again with this release, or import with the other')
        return found
    if kind == END:
        return found
    shape = BY_TYPE.get(kind)
    if shape is None:
        raise BadLine(f"the row is unknown; there are {', '.join(BY_TYPE)}")
    known = {column.name: column for column in shape.columns}
    strange = sorted(set(found) - set(known) - set(shape.sealed) - {WHAT})
    if strange:
        raise BadLine(f"a field of this {kind} is unknown: {strange[0][:40]!r}; take it out")
    for name, column in known.items():
        _check(kind, name, column, found)
    for name in shape.sealed:
        if not isinstance(found.get(name), str | None):
            raise BadLine(f"{kind}.{name} must be a text")
    return found


def _no_number(_word: str) -> float:
    raise ValueError


def _check(kind: str, name: str, column: Column[Any], found: Line) -> None:
    value = found.get(name)
    if value is None:
        if _is_needed(column) or (name in found and not column.nullable):
            raise BadLine(f"{kind}.{name} is missing")
        return
    if name in _JSON:
        _nested(kind, name, value)
    elif isinstance(column.type, Double) and name not in _NUMBERS:
        _moment(kind, name, value)
    elif isinstance(column.type, Double):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadLine(f"{kind}.{name} must be a number")
    elif isinstance(column.type, Integer):
        if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 31) <= value < 1 << 31:
            raise BadLine(f"{kind}.{name} must be a whole number")
    elif not isinstance(value, str) or "\0" in value or not _is_text(value):
        raise BadLine(f"{kind}.{name} must be a text")
    elif isinstance(column.type, String) and column.type.length and len(value) > column.type.length:
        raise BadLine(f"{kind}.{name} is longer than {column.type.length} characters")


def _is_text(value: str) -> bool:
    """Whether both engines can keep it: half characters they cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nested(kind: str, name: str, value: object) -> None:
    is_list = name in _LISTS
    good = (
        isinstance(value, list) and all(isinstance(one, str) for one in value) if is_list else isinstance(value, dict)
    )
    try:
        json.dumps(value)
    except RecursionError:
        good = False
    if not good:
        raise BadLine(f"{kind}.{name} must be {'a list of texts' if is_list else 'an object'}")


def _moment(kind: str, name: str, value: object) -> float:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return stamp(at)
    except (ValueError, OverflowError):
        pass
    raise BadLine(f"{kind}.{name} must be a time with its zone, such as 2026-03-01T09:30:00+00:00")


def written(shape: Shape, row: Mapping[str, Any], key: bytes | None) -> Line:
    """A row as its line, opened with its customer's key."""
    line: Line = {WHAT: shape.type}
    for column in shape.columns:
        value = row[column.name]
        if value is not None and isinstance(column.type, Double) and column.name not in _NUMBERS:
            value = unstamp(min(max(value, _YEARS[0]), _YEARS[1])).isoformat()
        elif value is not None and column.name in _JSON:
            value = json.loads(value)
        line[column.name] = value
    for name in () if shape.type in OF_FILES else shape.sealed:
        blob = row[f"{name}_sealed"]
        line[name] = None if blob is None else sealing.open_text(key, shape.table.name, name, row["id"], blob)
    return line


def stored(shape: Shape, line: Line, key: bytes | None) -> dict[str, Any]:
    """A line as its row, sealed under its customer's key; what is made anew is missing still. Raises BadLine."""
    row: dict[str, Any] = {}
    for column in shape.columns:
        value = line.get(column.name)
        if value is None and not column.nullable and column.server_default is not None:
            row[column.name] = _default(column)
            continue
        if value is not None and isinstance(column.type, Double) and column.name not in _NUMBERS:
            value = _moment(shape.type, column.name, value)
        elif value is not None and column.name in _JSON:
            value = json.dumps(value)
        row[column.name] = value
    for name in () if shape.type in OF_FILES else shape.sealed:
        cell, text = shape.table.c[f"{name}_sealed"], line.get(name)
        if text is None and not cell.nullable:
            text = ""
        row[cell.name] = (
            None if text is None or key is None else sealing.seal_text(key, shape.table.name, name, line["id"], text)
        )
    return row


def _default(column: Column[Any]) -> int | str:
    given = str(getattr(column.server_default, "arg", ""))
    return int(given) if isinstance(column.type, Integer) else given


def units(lines: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """The groups that are taken over together: each customer's lines, each file's, and each line that is nobody's.

    A line that cannot be read stays with those before it: it spoils its customer, who is told as a whole.
    """
    group: list[Numbered] = []
    for numbered in lines:
        line = numbered[2]
        if line is not None and line[WHAT] in (HEADER, END):
            continue
        begins = line is not None and (line[WHAT] in ("customer", "file") or BY_TYPE[line[WHAT]].of is None)
        if group and begins:
            yield group
            group = []
        group.append(numbered)
    if group:
        yield group

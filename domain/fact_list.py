"""Facts from a file: a spreadsheet with headings, or lines of JSON, each as the call for facts wants it. No I/O."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain import text

FIELDS: Final = (
    "kind", "what", "at", "source", "note", "amount", "currency", "reference",
    "customer", "phone", "email", "channel", "address", "name", "key",
)  # fmt: skip
"""What a column, or a field of a line of JSON, may be."""
LONGEST_CELL: Final = 2_000
_ALSO: Final = {
    "kind": ("type", "类型"),
    "what": ("description", "item", "product", "内容", "商品", "说明"),
    "at": ("date", "time", "when", "时间", "日期"),
    "source": ("来源",),
    "note": ("notes", "comment", "备注"),
    "amount": ("total", "price", "金额"),
    "currency": ("币种", "货币"),
    "reference": ("order", "order number", "number", "订单号", "单号"),
    "customer": ("customer id", "客户编号"),
    "phone": ("phone number", "mobile", "tel", "电话", "手机"),
    "email": ("e-mail", "mail", "邮箱"),
    "name": ("customer name", "姓名", "客户"),
    "key": ("id", "编号"),
}
_DELIMITERS: Final = ",;\t|"


class BadList(ValueError):
    """A list cannot be read at all; says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line that was read: what stands in it, by field, and the line as it was."""

    number: int
    given: Mapping[str, Any]
    raw: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A line that cannot be read, and what to mend."""

    number: int
    words: str
    raw: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A file as it is to be read: `heading` is its first line, empty for lines of JSON; `left_out` are its columns that
    nothing is made of.
    """

    heading: str
    fields: Mapping[int, str]
    left_out: tuple[str, ...]
    delimiter: str


def headings(content: str, chosen: Mapping[str, str]) -> Listed:
    """Look at the beginning of a file. `chosen` says which heading is what, beside those that say it themselves.

    Raises BadList that names what is wrong.
    """
    first = content.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    if first.lstrip().startswith("{"):
        if chosen:
            raise BadList("lines of JSON name their fields themselves: leave --map out")
        return Listed(heading="", fields={}, left_out=(), delimiter="")
    delimiter = max(_DELIMITERS, key=first.count)
    cells = [text.clean(cell).strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if not any(cells):
        raise BadList("the first line must hold the headings of the columns, or be a JSON object")
    wanted = {heading.casefold().strip(): target for heading, target in chosen.items()}
    known = {cell.casefold() for cell in cells}
    for heading, target in wanted.items():
        if target not in FIELDS:
            raise BadList(f"{target!r} is nothing that a column can be; there are {', '.join(FIELDS)}")
        if heading not in known:
            raise BadList(f"there is no column {heading!r}; the file has {', '.join(cells)}")
    fields: dict[int, str] = {}
    left_out = []
    for place, cell in enumerate(cells):
        made = wanted.get(cell.casefold()) or _guess(cell.casefold())
        if made is None or (made in fields.values() and cell.casefold() not in wanted):
            left_out.append(cell)
        elif made in fields.values():
            raise BadList(f"two columns are to be {made!r}: choose one")
        else:
            fields[place] = made
    if missing := [name for name in ("what", "at") if name not in fields.values()]:
        raise BadList(f"no column is {missing[0]!r}; say which one, such as: --map 'HEADING={missing[0]}'")
    return Listed(heading=first, fields=fields, left_out=tuple(left_out), delimiter=delimiter)


def read(content: str, listed: Listed) -> Iterator[Line | Problem]:
    """Every line, in order; empty ones are passed over."""
    return _table(content, listed) if listed.heading else _objects(content)


def _guess(heading: str) -> str | None:
    bare = heading.replace("_", " ")
    return next((name for name in FIELDS if bare == name or bare in _ALSO.get(name, ())), None)


def _objects(content: str) -> Iterator[Line | Problem]:
    for number, raw in enumerate(io.StringIO(content), 1):
        if not raw.strip():
            continue
        try:
            given = json.loads(raw)
        except (ValueError, RecursionError):
            yield Problem(number=number, words="is not JSON", raw=raw)
            continue
        if not isinstance(given, dict):
            yield Problem(number=number, words="is not a JSON object", raw=raw)
        elif unknown := sorted(str(name) for name in given if name not in FIELDS):
            shown = text.excerpt(text.clean(unknown[0], 40), 40)
            yield Problem(number=number, words=f"unknown field {shown!r}; there are {', '.join(FIELDS)}", raw=raw)
        else:
            yield Line(
                number=number, given={name: value for name, value in given.items() if value is not None}, raw=raw
            )


def _table(content: str, listed: Listed) -> Iterator[Line | Problem]:
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=listed.delimiter)
    before, is_first = 0, True
    while True:
        number = before + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = ["\0"]
        before = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if is_first:
            is_first = False
            continue
        out = io.StringIO()
        csv.writer(out, delimiter=listed.delimiter, lineterminator="\n").writerow(cells)
        raw = out.getvalue()
        if any("\0" in cell for cell in cells):
            yield Problem(number=number, words="a character in it is no text; save the file as CSV in UTF-8", raw=raw)
            continue
        given = {
            target: text.clean(cells[place]).strip()
            for place, target in listed.fields.items()
            if place < len(cells) and cells[place].strip()
        }
        if long := [target for target, cell in given.items() if len(cell) > LONGEST_CELL]:
            yield Problem(number=number, words=f"{long[0]}: is longer than {LONGEST_CELL} characters", raw=raw)
        else:
            yield Line(number=number, given=given, raw=raw)

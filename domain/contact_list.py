"""A spreadsheet of contacts as people save it: columns become fields, bad lines are told with what to mend. No I/O."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain import contacts, text
from domain.contacts import ContactKind
from domain.profile import Field, FieldType

KEY, NAME, LANGUAGE, PHONE, EMAIL = "key", "name", "language", "phone", "email"
"""What a column may be beside a field of the profile: the contact's number elsewhere, their name, their language, and
where they can be reached, of which there may be several.
"""
MANY: Final = (PHONE, EMAIL)
LONGEST_CELL: Final = 2_000
LONGEST_KEY: Final = 200
_KNOWN: Final = {
    KEY: ("key", "id", "number", "customer id", "customer number", "客户编号", "编号", "id号"),
    NAME: ("name", "full name", "display name", "customer", "姓名", "名字", "客户", "客户名称"),
    LANGUAGE: ("language", "lang", "语言"),
    PHONE: ("phone", "phone number", "mobile", "mobile phone", "telephone", "tel", "电话", "手机", "手机号"),
    EMAIL: ("email", "e-mail", "mail", "email address", "e-mail address", "邮箱", "电子邮件"),
}
_DELIMITERS: Final = ",;\t|"


class BadList(ValueError):
    """A list cannot be read at all; says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """One line. `key` tells them apart from all others and makes a second import the same; all of it is personal."""

    line: int
    key: str
    name: str
    language: str | None = None
    points: tuple[tuple[ContactKind, str], ...] = ()  # phone numbers and e-mail addresses
    values: Mapping[str, str] = field(default_factory=dict)  # by field, in their one form


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A line that cannot be used, and what to mend; `cells` is the line as it was."""

    line: int
    words: str
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """What each column of the file is: its places by target; `left_out` are headings that nothing is made of."""

    places: Mapping[str, tuple[int, ...]]
    headings: tuple[str, ...]
    left_out: tuple[str, ...]
    delimiter: str


def columns(first: str, fields: Mapping[str, Field], chosen: Mapping[str, str]) -> Columns:
    """Read the heading line. `chosen` says which heading is what, beside those that say it themselves.

    Raises BadList that names what is wrong.
    """
    delimiter = max(_DELIMITERS, key=first.count)
    headings = tuple(text.clean(cell).strip() for cell in next(_rows([first], delimiter), ((), 0))[0])
    if not any(headings):
        raise BadList("the first line must hold the headings of the columns")
    targets = {*_KNOWN, *fields}
    wanted = {heading.casefold().strip(): target for heading, target in chosen.items()}
    for heading, target in wanted.items():
        if target not in targets:
            raise BadList(f"{target!r} is nothing that a column can be; there are {', '.join(sorted(targets))}")
        if heading not in {one.casefold() for one in headings}:
            raise BadList(f"there is no column {heading!r}; the file has {', '.join(headings)}")
    places: dict[str, tuple[int, ...]] = {}
    left_out = []
    for place, heading in enumerate(headings):
        is_chosen = heading.casefold() in wanted
        made = wanted[heading.casefold()] if is_chosen else _guess(heading.casefold(), fields)
        if made is not None and (made not in places or made in MANY):
            places[made] = (*places.get(made, ()), place)
        elif is_chosen:
            raise BadList(f"two columns are to be {made!r}: choose one")
        else:
            left_out.append(heading)
    if not places:
        raise BadList(f"no column is known; say what they are, such as: --map '{headings[0]}=name'")
    return Columns(places=places, headings=headings, left_out=tuple(left_out), delimiter=delimiter)


def _guess(heading: str, fields: Mapping[str, Field]) -> str | None:
    bare = heading.replace("_", " ")
    for name in fields:
        if bare == name.casefold().replace("_", " "):
            return name
    for target, words in _KNOWN.items():
        if bare in words:
            return target
    return None


def read(
    content: str, found: Columns, fields: Mapping[str, Field], region: str | None = None
) -> Iterator[Contact | Problem]:
    """Every line after the headings, in order; empty lines are passed over.

    `region` is the country of phone numbers that were written without one.
    """
    seen: dict[str, int] = {}
    lines = io.StringIO(content, newline="")
    for place, (cells, number) in enumerate(_rows(lines, found.delimiter)):
        if place == 0 or not any(cell.strip() for cell in cells):
            continue
        try:
            contact = _contact(number, cells, found, fields, region)
            if (before := seen.get(contact.key)) is not None:
                raise ValueError(f"this is the contact of line {before} again: make one line of the two")
        except ValueError as error:
            yield Problem(line=number, words=str(error), cells=tuple(cells))
            continue
        seen[contact.key] = number
        yield contact


def _rows(lines: io.StringIO | Sequence[str], delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Cells with the number of the line that they begin on, as an editor counts; what csv refuses is one cell."""
    reader = csv.reader(lines, delimiter=delimiter)
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = ["\0"]
        yield cells, before + 1
        before = reader.line_num


def _contact(
    number: int, cells: Sequence[str], found: Columns, fields: Mapping[str, Field], region: str | None
) -> Contact:
    if any("\0" in cell for cell in cells):
        raise ValueError("the line cannot be read: a character in it is no text; save the file as CSV in UTF-8")
    if len(cells) > len(found.headings) and any(cell.strip() for cell in cells[len(found.headings) :]):
        raise ValueError("the line has more cells than there are headings: put a cell with a comma in it in quotes")
    given: dict[str, list[str]] = {}
    for target, places in found.places.items():
        said = [cells[place] for place in places if place < len(cells) and cells[place].strip()]
        if any(len(cell) > LONGEST_CELL for cell in said):
            raise ValueError(f"{target}: is longer than {LONGEST_CELL} characters")
        given[target] = [text.clean(cell).strip() for cell in said]
    values = {name: one.normal(given[name][0]) for name, one in fields.items() if given.get(name) and name not in MANY}
    points = [(ContactKind.PHONE, contacts.phone(one, region)) for one in given.get(PHONE, ())]
    points += [(ContactKind.EMAIL, contacts.email(one)) for one in given.get(EMAIL, ())]
    key = given[KEY][0] if given.get(KEY) else points[0][1] if points else ""
    if not key:
        raise ValueError("nothing tells this contact from others: give a key, a phone number or an e-mail address")
    if len(key) > LONGEST_KEY:
        raise ValueError(f"key: is longer than {LONGEST_KEY} characters")
    language = None
    if given.get(LANGUAGE):
        language = Field(name=LANGUAGE, type=FieldType.LANGUAGE).normal(given[LANGUAGE][0])
    name = text.clean_name(given[NAME][0], LONGEST_KEY) if given.get(NAME) else ""
    return Contact(
        line=number,
        key=key,
        name=name or key,
        language=language,
        points=tuple(dict.fromkeys(points)),
        values=values,
    )

"""Labels in files: CSV for a spreadsheet, JSON Lines for a program. One bad line stops an import, and is named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rapidfuzz import fuzz, process

from bot.settings_problems import CLOSE_ENOUGH
from domain.errors import RelaydeskError
from domain.labels import Labelled

COLUMNS: Final = (
    "text",
    "intent",
    "language",
    "kind",
    "source",
    "guess",
    "confidence",
    "weight",
    "version",
    "at",
    "id",
)
"""What an export holds. An import needs `text` and `intent`; `language` is read from the text where it is missing."""
LONGEST: Final = 8000
"""Characters of a text; the classifier reads no more."""
SHOWN: Final = 20
"""Bad lines that are told."""
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""What a spreadsheet would calculate: such a text is written with an apostrophe before it, as spreadsheets do."""


class BadFile(RelaydeskError):
    """A file of labels cannot be used as it is; nothing of it was taken over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One label of a file. `number` is its line, as an editor counts."""

    number: int
    text: str
    intent: str
    language: str


def kind_of(path: Path) -> str:
    """csv or jsonl, by the name's ending. Raises BadFile."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("csv", "jsonl"):
        raise BadFile(f"{path}: the name must end in .csv or .jsonl")
    return kind


def read(path: Path, intents: Collection[str], languages: Collection[str], detect: Callable[[str], str]) -> list[Line]:
    """Every label of a file, checked against the taxonomy. Raises BadFile with one line per mistake."""
    kind = kind_of(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadFile(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadFile(f"{path}: is not UTF-8; save it as UTF-8") from None
    problems: list[str] = []
    rows = _csv(text, problems) if kind == "csv" else _jsonl(text, problems)
    found = [line for line in (_line(n, row, intents, languages, detect, problems) for n, row in rows) if line]
    if problems:
        told = [f"{path}:{problem}" for problem in problems[:SHOWN]]
        more = len(problems) - SHOWN
        raise BadFile("\n".join([*told, *([f"and {more} more"] if more > 0 else []), "Nothing was taken over."]))
    return found


def _csv(text: str, problems: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        names = [name.strip().lower() for name in rows.fieldnames or ()]
        missing = [name for name in ("text", "intent") if name not in names]
        if missing:
            problems.append(f"1: the first line must name the columns; missing: {', '.join(missing)}")
            return
        rows.fieldnames = names
        for row in rows:
            if None in row:
                problems.append(f"{rows.line_num}: has more cells than the first line; put texts with commas in quotes")
                continue
            words = row.get("text") or ""
            is_escaped = words.startswith("'") and words[1:2] in _FORMULA
            yield rows.line_num, row | ({"text": words[1:]} if is_escaped else {})
    except csv.Error as error:
        problems.append(f"{rows.line_num + 1}: is not CSV ({error})")


def _jsonl(text: str, problems: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            problems.append(f"{number}: is not JSON")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            problems.append(f'{number}: must be an object such as {{"text": "...", "intent": "..."}}')


def _line(
    number: int,
    row: Mapping[str, Any],
    intents: Collection[str],
    languages: Collection[str],
    detect: Callable[[str], str],
    problems: list[str],
) -> Line | None:
    kind = row.get("kind") or "intent"
    if kind == "priority":
        return None  # an export holds them, too; they are no topics
    words, intent = row.get("text"), row.get("intent")
    before = len(problems)
    if not isinstance(words, str) or not words.strip():
        problems.append(f"{number}: text is missing")
    elif len(words) > LONGEST:
        problems.append(f"{number}: the text has {len(words)} characters; at most {LONGEST}")
    if not isinstance(intent, str) or intent.strip() not in intents:
        problems.append(f"{number}: {_unknown('intent', str(intent or '').strip(), intents)}")
    given = row.get("language")
    language = given.strip() if isinstance(given, str) and given.strip() else None
    if len(problems) > before:
        return None
    spoken = language or detect(str(words))
    if spoken not in languages:
        problems.append(f"{number}: {_unknown('language', spoken, languages)}")
        return None
    return Line(number=number, text=str(words), intent=str(intent).strip(), language=spoken)


def _unknown(what: str, word: str, known: Collection[str]) -> str:
    if not word:
        return f"{what} is missing"
    close = process.extractOne(word, sorted(known), scorer=fuzz.WRatio, score_cutoff=CLOSE_ENOUGH)
    hint = f'; did you mean "{close[0]}"?' if close else f"; there are: {', '.join(sorted(known))}"
    return f'the taxonomy has no {what} "{word[:60]}"{hint}'


def written(labels: Sequence[Labelled], kind: str, *, reveal: bool) -> str:
    """Labels as the content of a file; without `reveal` their texts are left empty."""
    rows = [_row(label, reveal=reveal) for label in labels]
    if kind == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        words = str(row["text"])
        writer.writerow(row | {"text": f"'{words}" if words.startswith(_FORMULA) else words})
    return out.getvalue()


def _row(label: Labelled, *, reveal: bool) -> dict[str, Any]:
    return {
        "text": label.text if reveal else "",
        "intent": label.label,
        "language": label.language,
        "kind": label.kind.value,
        "source": label.source.value,
        "guess": label.guess or "",
        "confidence": round(label.confidence, 4),
        "weight": label.weight,
        "version": label.version,
        "at": label.at.isoformat(),
        "id": label.id,
    }

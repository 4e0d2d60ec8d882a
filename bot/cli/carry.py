"""`relaydesk export` and `relaydesk import record`: the whole record out as lines of JSON, and in again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from bot import crashpoints
from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    progress,
    say,
    show_json,
)
from domain.errors import RelaydeskError

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings
    from storage.porting import Porting, Taken
    from storage.shapes import Line, Numbered

LONGEST_LINE: Final = 8_000_000
"""Characters: a line holds one row."""
TOLD: Final = 20
"""Bad lines that are named on the screen; all of them are in the file beside."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check everything; write nothing.")]


_CUSTOMER: Final = '{"row": "customer",'
"""How an export begins a customer's line."""
_ID: Final = re.compile(r'"id": "([0-9A-Z]{26})"')


class CannotUse(RelaydeskError):
    """A file cannot be read or written; says which and why."""


@guarded
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="The file to write; it must not be there yet.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the clear, so name no person.")],
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Write the whole record, opened, as lines of JSON by the published schema. Personal data of everybody; audited."""
    from bot import settings

    if not reason.strip():
        raise typer.BadParameter("a reason is missing")
    if file.exists():
        raise CannotUse(f"{file} is there already: name another file, or move it away")
    count = asyncio.run(_export(settings.load(path), file, " ".join(reason.split())[:200]))
    say(f"{file}: {count} lines. It holds everybody's personal data in the clear: keep it as you keep the keys.")
    say("Not in it: files' contents, what waits to be sent, the audit trail, and the keys themselves.")


async def _export(read: Settings, file: Path, why: str) -> int:
    from bot import times
    from bot.cli import people, stores
    from domain.roles import Act

    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.EXPORT, "record")
        await stores.audited(opened, "record.export", "record", why)
        part = file.with_name(f"{file.name}.part")
        count = 0
        try:
            with _opened(part, "w") as out, progress("Writing the record") as advance:
                async for line in _porting(opened).everything(times.real(), advance=advance):
                    out.write(json.dumps(line, ensure_ascii=True) + "\n")
                    count += 1
                out.flush()
                os.fsync(out.fileno())
            whole = await asyncio.to_thread(_digest, part)
            await stores.audited(opened, "record.exported", "record", f"{count} lines", digest=whole)
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)  # half of it is everybody's data for nobody's use
        return count


def _digest(part: Path) -> str:
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@guarded
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="What `relaydesk export` wrote.")],
    dry_run: DryRun = False,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take over what an export holds. What is there already stays; bad customers are named and put into a file."""
    from bot import settings

    size = file.stat().st_size if file.is_file() else 0
    taken, refused, problems = asyncio.run(_import(settings.load(path), file, size, dry_run=dry_run))
    if as_json:
        told = [{"line": number, "problem": words} for number, words in problems]
        counts = {"new": taken.new, "known": taken.known, "refused": refused, "renumbered": taken.renumbered}
        show_json({**counts, "problems": told})
    else:
        _tell(file, taken, refused, problems, dry_run=dry_run)
    if problems:
        raise typer.Exit(FAILED)


def _tell(file: Path, taken: Taken, refused: int, problems: list[tuple[int, str]], *, dry_run: bool) -> None:
    new = ", ".join(f"{count} {kind}" for kind, count in taken.new.items() if count) or "nothing"
    if dry_run:
        say("Everything was read; nothing was written.")
        say(f"Would be new here: {new}. {taken.known} customers are here already, {refused} would be refused.")
    else:
        say(f"New here: {new}. {taken.known} customers were here already, {refused} were refused.")
        if sum(taken.new.values()):
            advise(
                "Their messages are found once they were read in: the running bot does it, or `relaydesk db reindex`."
            )
    if taken.renumbered:
        say(f"{taken.renumbered} conversations have another number here: theirs was taken.")
    tell_problems(file, problems, rejected=None if dry_run else rejected(file))


def tell_problems(file: Path, problems: list[tuple[int, str]], *, rejected: Path | None) -> None:
    """Name bad lines with what to mend, and where they were put."""
    for number, words in problems[:TOLD]:
        complain(f"{file}:{number}: {words}")
    if len(problems) > TOLD:
        complain(f"and {len(problems) - TOLD} more")
    if problems and rejected is not None:
        complain(f"What was not taken over stands in {rejected}: mend it there and import that file.")


def rejected(file: Path) -> Path:
    """Where the lines of a file go that could not be taken over."""
    return file.with_name(f"{file.stem}.rejected{file.suffix}")


async def _import(read: Settings, file: Path, size: int, *, dry_run: bool) -> tuple[Taken, int, list[tuple[int, str]]]:
    """Take a file over, or say what would be; how many customers were refused, and each line to mend."""
    from bot.cli import people, stores
    from domain.roles import Act
    from storage import shapes
    from storage.porting import Earlier, Taken

    problems: list[tuple[int, str]] = []
    taken, earlier, gone = Taken(), Earlier(), set[str]()
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.CORRECT, "record")
        await stores.audited(opened, "record.import.preview" if dry_run else "record.import", "record")
        first, last = (json.dumps(line) + "\n" for line in shapes.ends())
        porting, refused = _porting(opened), Refused(rejected(file), dry_run=dry_run, first=first, last=last)
        with _opened(file, "r") as source, progress("Reading the file") as advance:
            done = 0
            for unit in shapes.units(_lines(source, problems)):
                lines = [line for _, _, line in unit if line is not None]
                is_theirs = bool(lines) and lines[0][shapes.WHAT] == "file" and lines[0]["customer_id"] in gone
                if len(lines) < len(unit) or (dry_run and is_theirs):  # without its customer a file is not taken over
                    gone |= _customers(lines) | _unread(unit)
                    refused.add(text for _, text, _ in unit)
                    continue
                try:
                    taken.add(await (porting.check(lines, earlier) if dry_run else porting.take(lines)))
                    crashpoints.reach("in_import")
                except shapes.BadLine as error:
                    problems.append((unit[0][0], str(error)))
                    gone |= _customers(lines)
                    refused.add(text for _, text, _ in unit)
                done += sum(len(text) for _, text, _ in unit)
                advance(min(1.0, done / max(size, 1)))
        refused.close()
        if sum(taken.new.values()) and not dry_run:
            await opened.reindex.start_over()
    return taken, len(gone), sorted(problems)


def _customers(lines: Iterable[Line]) -> set[str]:
    """The ids of the customers among these lines."""
    from storage import shapes

    return {str(line["id"]) for line in lines if line[shapes.WHAT] == "customer"}


def _unread(unit: Sequence[Numbered]) -> set[str]:
    """The ids of the customers whose own line among these cannot be read: by what else is theirs, or by that line's
    number where nothing is.
    """
    from storage import shapes

    lines = [line for _, _, line in unit if line is not None]
    owned = [line for line in lines if line[shapes.WHAT] != "file" and line[shapes.WHAT] not in shapes.OF_FILES]
    found = {str(line["customer_id"]) for line in owned if len(lines) < len(unit) and line.get("customer_id")}
    for number, text, line in unit:
        if line is None and text.lstrip().startswith(_CUSTOMER):
            told = _ID.search(text)
            found.add(told[1] if told else f"line {number}")
    return found


def _lines(source: IO[str], problems: list[tuple[int, str]]) -> Iterator[Numbered]:
    """Every line with its number and text; without a value where it cannot be used, which is noted."""
    from storage import shapes

    is_ended, number = False, 0
    while text := source.readline(LONGEST_LINE):
        number += 1
        if not text.strip():
            continue
        try:
            line = shapes.read(text)
        except shapes.BadLine as error:
            problems.append((number, str(error)))
            yield number, text, None
            continue
        if number == 1 and line[shapes.WHAT] != shapes.HEADER:
            problems.append((1, "the first line is no header: this is no export of relaydesk, or a part of one"))
        is_ended = line[shapes.WHAT] == shapes.END
        yield number, text, line
    if not is_ended:
        problems.append((number, "the file ends in the middle: its last line is missing, copy it again"))


class Refused:
    """The file of what was not taken over: made with the first such line."""

    def __init__(self, file: Path, *, dry_run: bool, first: str, last: str = "") -> None:
        self._file = file
        self._dry_run = dry_run
        self._first = first
        self._last = last
        self._out: IO[str] | None = None

    def add(self, texts: Iterable[str]) -> None:
        """Keep these lines."""
        if self._dry_run:
            return
        if self._out is None:
            with suppress(FileNotFoundError):
                self._file.unlink()
            self._out = _opened(self._file, "w")
            self._out.write(self._first)
        self._out.writelines(text if text.endswith("\n") else text + "\n" for text in texts)

    def close(self) -> None:
        """Finish the file, if there is one."""
        if self._out is not None:
            self._out.write(self._last)
            self._out.close()


def _opened(file: Path, mode: str) -> IO[str]:
    """A file to read or to write anew, for nobody else's eyes. Raises CannotUse."""
    try:
        if mode == "r":
            return file.open(encoding="utf-8", errors="surrogateescape")
        file.unlink(missing_ok=True)  # left by an export that was broken off, or put there by somebody else
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CannotUse(f"{file}: cannot be {'read' if mode == 'r' else 'written'} ({error.strerror})") from None


def _porting(stores: Stores) -> Porting:
    from storage.porting import Porting

    return Porting(stores.database, stores.keys, stores.inbox)


def content_of(file: Path, largest: int) -> str:
    """A whole file of at most `largest` bytes as text. Raises CannotUse."""
    try:
        if file.stat().st_size > largest:
            raise CannotUse(f"{file}: is larger than {largest:,} bytes; split it")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CannotUse(f"{file}: is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise CannotUse(f"{file}: cannot be read ({error.strerror})") from None


def chosen_columns(given: list[str] | None) -> dict[str, str]:
    """What `--map HEADING=FIELD` says, by heading. Raises BadParameter."""
    chosen = {}
    for one in given or ():
        heading, equals, target = one.rpartition("=")
        if not equals or not heading.strip() or not target.strip():
            raise typer.BadParameter(f"{one!r}: write HEADING=FIELD")
        chosen[heading] = target.strip()
    return chosen

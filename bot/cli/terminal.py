"""How the command line talks: plain lines, tables that align with Chinese text, errors without tracebacks."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, ParamSpec, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from domain.errors import ConfigError, RelaydeskError

P = ParamSpec("P")
R = TypeVar("R")

FAILED: Final = 1
CONFIG_MISTAKE: Final = 2
DEAF: Final = 70
"""EX_SOFTWARE: started well, and later heard nothing more from a platform. A supervisor restarts on it."""
PIPED_COLUMNS: Final = 200
"""A script that reads a table should not meet folded cells."""

ConfigFile = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="RELAYDESK_CONFIG", metavar="FILE", help="The configuration."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
DEFAULT_CONFIG: Final = Path("config.yaml")
_COMMAND: Final = re.compile(r"(?<![\w/.-])relaydesk (?P<command>[a-z]+)(?P<rest> (?P<of>[a-z]+))?")
_app: typer.Typer | None = None
_given: ContextVar[Path | None] = ContextVar("the configuration that this command was given", default=None)


def belongs_to(app: typer.Typer) -> None:
    """Know the commands that hints name: whoever puts them together says so."""
    global _app  # noqa: PLW0603 -- there is one command line in a process
    _app = app


def say(text: str = "") -> None:
    """A line on standard output, as it is: no markup, no wrapping, no control characters."""
    Console().print(Text(plain(text)), soft_wrap=True)


def advise(text: str) -> None:
    """A line on standard output that names the next command, as it is to be typed (see `typed`)."""
    say(typed(text))


def complain(text: str) -> None:
    """A line on standard error; commands that it names are as they are to be typed."""
    Console(stderr=True).print(Text(plain(typed(text))), soft_wrap=True)


@functools.cache
def _tree(app: typer.Typer) -> Any:  # noqa: ANN401 -- click's commands, which typer hides
    """The commands as they were declared. Nothing changes them later, and building them takes 70 ms."""
    from typer.main import get_command

    return get_command(app)


def typed(text: str) -> str:
    """A text of ours with `-c FILE` behind each `relaydesk <command>` in it, where this command was given one.

    Whoever types the next command as it stands means the same configuration.
    """
    path = _given.get()
    if path is None or _app is None:
        return text
    tree = _tree(_app)

    def named(found: re.Match[str]) -> str:
        command = tree.commands.get(found["command"])
        of = getattr(command, "commands", {})
        meant = of.get(found["of"]) if of else command
        if meant is None or not any("--config" in one.opts for one in meant.params):
            return found[0]
        words, rest = (f"{found['command']} {found['of']}", "") if of else (found["command"], found["rest"] or "")
        return f"relaydesk {words} -c {shlex.quote(str(path))}{rest}"

    return _COMMAND.sub(named, text)


def show_json(value: object) -> None:
    """A value as JSON, Chinese readable."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def plain(text: str) -> str:
    """What a terminal may be given: people's text can hold escapes that move the cursor or retitle the window."""
    from domain.text import clean

    return clean(text)


def table(*headings: str, rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """Rows under headings; `right` names the columns of numbers. Wide characters count as two."""
    numbers = set(right)
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        is_number = place in numbers
        drawn.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    screen = Console()
    (screen if screen.is_terminal else Console(width=PIPED_COLUMNS)).print(drawn)


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on standard error for work that takes seconds; it is told the share that is done (0 to 1)."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Expected errors become lines on standard error: exit 2 for configuration, 1 for the rest, files among them."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        path = kwargs.get("path")
        is_given = isinstance(path, Path) and path != Path(os.environ.get("RELAYDESK_CONFIG") or DEFAULT_CONFIG)
        given = _given.set(path if is_given else None)  # type: ignore[arg-type]
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            for line in error.problems:
                complain(line)
            raise typer.Exit(CONFIG_MISTAKE) from None
        except (RelaydeskError, TimeoutError, ConnectionError) as error:
            complain(f"relaydesk: {str(error) or type(error).__name__}")
            raise typer.Exit(FAILED) from None
        except OSError as error:
            if error.strerror is None:
                raise
            place = "a file" if error.filename is None else error.filename
            complain(f"relaydesk: {place} cannot be used ({error.strerror}): look at the path, its rights and its disk")
            raise typer.Exit(FAILED) from None
        finally:
            _given.reset(given)

    return run


def defect(error: BaseException) -> None:
    """Tell of an error nobody expected: redacted traceback, and what to do with it."""
    from bot.logs import redact

    complain(redact("".join(traceback.format_exception(error))).rstrip())
    complain("relaydesk: this is a defect of ours, nothing you did. Please report the lines above.")


def numbered(given: str) -> int:
    """The number of a conversation, with or without #. Raises typer.BadParameter."""
    from domain.model import MOST_DIGITS

    digits = given.removeprefix("#")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MOST_DIGITS:
        raise typer.BadParameter(f"{given!r} is not a conversation's number, such as 1042")
    return int(digits)


def as_plain(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON can hold
    """A value with paths and other strangers turned into text, for YAML and JSON."""
    return json.loads(json.dumps(value, default=str))


def when(at: datetime | None) -> str:
    """A moment in UTC to the second, with a Z that says so, as tables show it; empty for none."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")

"""Canned replies as a YAML file that people may edit by hand, and that leads change from the desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import yaml

from bot.whole_files import write_whole
from classifiers import folders
from domain import canned
from domain.canned import Book, Reply
from domain.unfit import Unfit

log = structlog.get_logger(__name__)

STARTER = Path(__file__).parent / "desk" / "replies.yaml"
"""What there is before a company has written its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What somebody wrote of a reply in a window: titles and texts of the languages that the window showed, empty where
    nothing is to be there. `of` is the reply that the window was opened on, whose name may be another now; empty for a
    new one.
    """

    id: str
    titles: Mapping[str, str]
    texts: Mapping[str, str]
    of: str = ""


class BadReplies(ValueError):
    """A file of canned replies cannot be used; one line per mistake, each naming the file and the fix.

    `mistakes` are those that somebody made in a window.
    """

    def __init__(self, said: str, mistakes: Sequence[Unfit] = ()) -> None:
        super().__init__(said)
        self.mistakes = tuple(mistakes)


class Canned:
    """The canned replies of one file, read again whenever it has changed."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._book = Book()
        self._read: tuple[str, int, int] | None = None

    def book(self) -> Book:
        """The replies as the file has them now. A file that became unreadable leaves those of before in force."""
        source = self.path if self.path is not None and self.path.exists() else STARTER
        try:
            found = source.stat()
            stamp = (str(source), found.st_mtime_ns, found.st_size)
            if stamp != self._read:
                self._book, self._read = read(source), stamp
        except (OSError, BadReplies) as error:
            log.error("canned.not_read", file=source.name, error=type(error).__name__)
        return self._book

    def save(self, written: Written) -> None:
        """Put one reply in, or in place of the one with its id; languages that were not shown stay as they are.

        A name that another reply has is refused: the two would be mixed. So is a new one under a name that is taken,
        unless it says the very same: it was saved already. Of two who save at once, whatever their processes, the later
        one adds to what the earlier one wrote. A file that cannot be read as it is now is left alone: it may hold what
        nobody here has seen. Raises BadReplies, or OSError.
        """
        if self.path is None:
            none = Unfit("reply_no_file", "desk.replies names no file to write to")
            raise BadReplies(str(none), [none])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with folders.alone(self.path.with_name(f".{self.path.name}.lock")):
            self._put(self.path, written)

    def _put(self, path: Path, written: Written) -> None:
        before = self._as_it_is(path)
        there = before.get(written.id)
        if there is not None and written.id != written.of and (written.of or not _is_said_by(written, there)):
            taken = Unfit("reply_taken", f"{written.id}: another reply has this name", reply=written.id)
            raise BadReplies(str(taken), [taken])
        reply = _whole(written, before.get(written.id) or before.get(written.of))
        others = tuple(one for one in before.replies if one.id != reply.id)
        kept = [reply if one.id == reply.id else one for one in before.replies]
        book = Book(replies=tuple(kept) if len(others) < len(kept) else (*others, reply), links=before.links)
        if wrong := canned.problems(book):
            raise BadReplies("\n".join(map(str, wrong)), wrong)
        write(path, book)

    def _as_it_is(self, path: Path) -> Book:
        """The replies of the file itself, and where there is none yet those in force."""
        try:
            return read(path)
        except FileNotFoundError:
            return self.book()
        except (BadReplies, OSError) as error:
            log.warning("canned.not_read", file=path.name, error=type(error).__name__)
            broken = Unfit("reply_file_broken", f"{path.name}: cannot be read, mend it first; nothing was saved")
            raise BadReplies(str(broken), [broken]) from None


def _is_said_by(written: Written, there: Reply) -> bool:
    """Whether a new reply says what stands there already: it says something, and nothing else."""
    return any(written.texts.values()) and _whole(written, there) == there


def _whole(written: Written, before: Reply | None) -> Reply:
    """The reply with what was written, and with what the window did not show of it."""

    def together(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
        made = {**old, **new}
        return {tag: said for tag, said in made.items() if said}

    titles = together(before.titles if before else {}, written.titles)
    texts = together(before.texts if before else {}, written.texts)
    return Reply(id=written.id, titles=titles or {"en": written.id.replace("_", " ")}, texts=texts)


def read(path: Path) -> Book:
    """The replies of a file. Raises BadReplies."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadReplies(f"{path}: is no YAML: {type(error).__name__}") from None
    if not isinstance(data, dict) or data.keys() - {"links", "replies"}:
        raise BadReplies(f"{path}: needs the keys replies and, where wanted, links; no others")
    made = [_reply(path, str(name), given) for name, given in _table(path, data, "replies").items()]
    links = {str(name): str(where) for name, where in _table(path, data, "links").items()}
    book = Book(replies=tuple(made), links=links)
    if wrong := canned.problems(book):
        raise BadReplies("\n".join(f"{path}: {one}" for one in wrong))
    return book


def write(path: Path, book: Book) -> None:
    """Write a file as a whole, or leave it as it was."""
    data = {
        "links": dict(book.links),
        "replies": {one.id: {"title": dict(one.titles), "text": dict(one.texts)} for one in book.replies},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=120)
    write_whole(path, text, 0o600)


def _table(path: Path, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key) or {}
    if not isinstance(found, dict):
        raise BadReplies(f"{path}: {key} needs names with something under each")
    return found


def _reply(path: Path, name: str, given: object) -> Reply:
    fields = given if isinstance(given, dict) else {}
    title, words = fields.get("title"), fields.get("text")
    if not isinstance(title, dict) or not isinstance(words, dict) or fields.keys() - {"title", "text"}:
        raise BadReplies(f"{path}: {name}: needs title and text, each with a line per language (en: …)")
    return Reply(
        id=name,
        titles={str(language): str(one).strip() for language, one in title.items()},
        texts={str(language): str(one).strip() for language, one in words.items()},
    )

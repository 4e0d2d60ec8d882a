"""The ear at the keyhole: what a running bot writes where operators look must name no secret and nobody's words.

Every world listens with the product's own logging at DEBUG. When its story is over, the log, the metrics and the files
of the record are searched for every secret of that world, for everything that customers and agents wrote, and for who
they are. What is found is named by its kind and by the logger, never by the words.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import structlog

from bot import logs, metrics
from bot.settings_secrets import SANDBOX

Json = Mapping[str, Any]

TEXT: Final = frozenset({"text", "caption", "question", "explanation", "value"})
PERSON: Final = frozenset(
    {"first_name", "last_name", "username", "phone_number", "email", "title", "address", "file_name", "performer"}
)
SHORTEST: Final = {"text": 6, "person": 3, "address": 5, "secret": 8}
"""Below that a word stands somewhere by chance."""
SURE_BYTES: Final = 7
"""So many bytes stand in a sealed file by chance once in ten years of running these tests."""
NOT_SAID: Final = frozenset({"Customer", "Support", "Support bot"})
"""What the sandbox calls people and bots that nobody named."""
_WORD: Final = re.compile(r"[\w#/.:+-]{1,40}", re.ASCII)
"""One word alone may be a word of ours: a topic, a queue, a command."""
_PLAIN: Final = re.compile(r"[a-z_]+")
"""Nobody is called so, but where a story tries something with everybody, whom it tries it with."""


@dataclass(kw_only=True)
class Ear:
    """What was heard, and what must not have been."""

    heard: io.StringIO = field(default_factory=io.StringIO)
    wanted: dict[str, str] = field(default_factory=dict)  # what must not be found, and of which kind it is

    def secret(self, value: str) -> None:
        """A token, a key, a password."""
        self._want("secret", value)

    def told(self, body: object, inside: str = "") -> None:
        """Words and names in what somebody sent, wherever they stand in it."""
        if isinstance(body, Mapping):
            for name, value in body.items():
                self.told(value, str(name))
        elif isinstance(body, list | tuple):
            for value in body:
                self.told(value, inside)
        elif isinstance(body, str) and inside in PERSON and (inside == "username" or not _PLAIN.fullmatch(body)):
            self._want("person", body)
        elif isinstance(body, str) and inside in TEXT and not _WORD.fullmatch(body.strip()):
            for line in body.splitlines():
                self._want("text", line.strip())

    def address(self, number: int) -> None:
        """The number of a chat."""
        self._want("address", str(abs(number)))

    def _want(self, kind: str, value: str) -> None:
        least = SHORTEST[kind] if value.isascii() else 3
        if len(value) >= least and value not in NOT_SAID:
            self.wanted.setdefault(value, kind)

    def check(self, folder: Path) -> None:
        """Search the log, the metrics and the record's files. Raises AssertionError that names no words."""
        found = [*self._lines(self.heard.getvalue(), "the log")]
        for file in sorted(folder.glob("*.log")):  # of bots that ran in processes of their own
            found += self._lines(file.read_text(encoding="utf-8", errors="replace"), "a process's log")
        found += self._lines(metrics.page().decode(), "the metrics")
        sealed = {value.encode(): kind for value, kind in self.wanted.items() if len(value.encode()) >= SURE_BYTES}
        for file in sorted((folder / "data").glob("*.db*")):
            content = file.read_bytes()
            found += [f"{file.name} holds a {kind} in the clear" for value, kind in sealed.items() if value in content]
        assert not found, "; ".join(dict.fromkeys(found))

    def _lines(self, text: str, where: str) -> Iterator[str]:
        for value, kind in self.wanted.items():
            for form in _forms(value):
                if form in text and (place := _stands_alone(form, text, kind)) >= 0:
                    yield f"{where} names a {kind} ({_who_says(text, place)})"
                    break


def _forms(value: str) -> Iterable[str]:
    """A value as it is, as JSON and Python write it, and as it stands in a URL."""
    as_json = json.dumps(value)[1:-1]
    return dict.fromkeys(
        (value, as_json, json.dumps(as_json)[1:-1], repr(value)[1:-1], quote(value), quote_plus(value))
    )


def _stands_alone(form: str, text: str, kind: str) -> int:
    """Where the value stands, -1 nowhere: a name and a number as a whole word, anything else anywhere."""
    if kind not in ("person", "address"):
        return text.find(form)
    found = re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text)
    return -1 if found is None else found.start()


def _who_says(text: str, place: int) -> str:
    """The logger and the event of the line at this place."""
    line = text[text.rfind("\n", 0, place) + 1 : (text + "\n").find("\n", place)]
    try:
        said = json.loads(line)
    except ValueError:
        return "a line of its own"
    event = str(said.get("event", ""))
    return f"{said.get('logger')}: {event if re.fullmatch(r'[a-z_.]+', event) else 'free words'}"


@contextmanager
def listening() -> Iterator[Ear]:
    """Listen at DEBUG, through the product's own chain, until the world is over; then everything is as before."""
    ear = Ear()
    for value in SANDBOX.values():
        ear.secret(value)
    root = logging.getLogger()
    handlers, level, chain = root.handlers[:], root.level, structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in logs.LOUD}
    logs.configure("debug", json=True, stream=ear.heard)
    try:
        yield ear
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.configure(**chain)

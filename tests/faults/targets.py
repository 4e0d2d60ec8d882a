"""What is fuzzed: each way in. Here those of files; targets_web.py has what comes from the platforms.

A target gives a word for what became of an input (a result or a typed refusal). Anything it raises is a broken promise.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bot import settings, settings_file
from bot.cli import carry, labels_file
from domain import contact_list, telegram_export
from domain.errors import ConfigError
from domain.profile import Field, FieldType
from storage import shapes
from tests.bot.channels.conftest import writable
from tests.faults.targets_base import SHIPPED, Held, Target, good_one, recorded
from tests.faults.targets_web import Http, Slack, Telegram


class Config(Held):
    """config.yaml: a configuration, or one line for each mistake that begins with the file's name."""

    def seeds(self) -> list[Any]:
        shipped: Mapping[str, Any] = settings_file.read(SHIPPED)
        sections = [{name: section} for name, section in shipped.items()]
        lists = [{name: [one]} for name, section in shipped.items() if isinstance(section, list) for one in section]
        return [*sections, *lists, *(yaml.safe_dump(one, allow_unicode=True).encode() for one in sections)]

    def take(self, raw: bytes) -> str:
        path = self.file("config.yaml", raw)  # JSON is YAML
        try:
            settings.load(path, environment={}, dotenv=False)
        except ConfigError as error:
            _lines_for_people(error.problems, path)
            return "no: " + " ".join(sorted({_shape(line.removeprefix(str(path))) for line in error.problems}))[:200]
        return "a configuration"

    def good(self) -> None:
        assert self.take(SHIPPED.read_bytes()) == "a configuration"


def _lines_for_people(problems: Sequence[str], path: Path) -> None:
    assert problems
    for line in problems:
        assert line.startswith(f"{path}: "), line
        assert len(line.splitlines()) == 1


def _shape(line: str) -> str:
    """A line without what the input put into it."""
    return "".join(" " if char in "0123456789[]" else char for char in line.partition('"')[0])[:70].strip()


class Contacts(Held):
    """A list of contacts: what is in each line, or what to mend in it."""

    FIELDS: Mapping[str, Field] = {
        "company": Field(name="company"),
        "birthday": Field(name="birthday", type=FieldType.DATE),
    }
    GOOD = "Name,Phone,E-Mail,Company,Birthday\nAnn,0170 1234567,ann@example.com,Acme,1990-05-17\n"

    def seeds(self) -> list[Any]:
        table = '姓名;Mobile;Phone;E-Mail;Tags\n王小明;0170 1234567;+86 138 0013 8000;LI@example.com;"vip;new"\n'
        cells = 'id\tname\tlanguage\tnote\n1\t"Ann\nExample"\ten\t"said ""hello"""\n2\tLi\tzh\t\n'
        return [
            self.GOOD.encode(),
            table.encode(),
            cells.encode(),
            b"\xef\xbb\xbf" + self.GOOD.encode(),
            (self.GOOD * 5).encode(),
        ]

    def take(self, raw: bytes) -> str:
        try:
            content = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return "no: not UTF-8"
        try:
            found = contact_list.columns(content.partition("\n")[0], self.FIELDS, {})
        except contact_list.BadList as error:
            return f"no: {str(error)[:24]}"
        seen = set()
        for one in contact_list.read(content, found, self.FIELDS, "DE"):
            if isinstance(one, contact_list.Contact):
                writable(one)
                seen.add(f"contact {len(one.points)} {sorted(one.values)}")
            else:
                seen.add(f"problem {one.words[:24]}")
        took = any(word.startswith("contact") for word in seen)
        return f"{'' if took else 'no: '}{sorted(found.places)} {sorted(seen)}"

    def good(self) -> None:
        assert "contact 2 ['birthday', 'company']" in self.take(self.GOOD.encode())


class Record(Held):
    """A file that `relaydesk export` may have written: rows, or the line and what to mend."""

    def seeds(self) -> list[Any]:
        return recorded("record")

    def take(self, raw: bytes) -> str:
        text = raw.decode("utf-8", "surrogateescape")
        problems: list[tuple[int, str]] = []
        kinds = set()
        for unit in shapes.units(carry._lines(io.StringIO(text), problems)):
            for _, _, line in unit:
                kinds.add("refused" if line is None else str(line[shapes.WHAT]))
        told = sorted({words.partition(":")[0][:60] for _, words in problems})
        return f"{'' if kinds - {'refused'} else 'no: '}{sorted(kinds)} {told}"

    def good(self) -> None:
        assert "refused" not in self.take(good_one("record"))


class Export(Held):
    """A history that Telegram Desktop exported: chats, or what is wrong with each."""

    def seeds(self) -> list[Any]:
        return recorded("telegram_export")

    def take(self, raw: bytes) -> str:
        seen = set()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return "no: not UTF-8"
        try:
            for one in telegram_export.chats(text):
                if isinstance(one, telegram_export.Chat):
                    writable(one)
                    seen.add(f"chat {len(one.messages) > 0} {sorted({p.words[:30] for p in one.problems})}")
                else:
                    seen.add(f"problem {one.words[:30]}")
        except telegram_export.BadExport as error:
            return f"no: {str(error)[:24]}"
        return f"{'' if any(word.startswith('chat') for word in seen) else 'no: '}{sorted(seen)}"

    def good(self) -> None:
        assert "chat True" in self.take(good_one("telegram_export"))


class Labels(Held):
    """Labelled examples as CSV and as JSON lines."""

    GOOD = b'{"text": "where is my parcel", "intent": "delivery", "language": "en"}\n'

    def seeds(self) -> list[Any]:
        table = b'text,intent,language\n"where, where",delivery,en\n\'=1+1,billing,de\n'
        return [json.loads(self.GOOD), {"kind": "priority", "text": "x"}, table, self.GOOD * 3]

    def take(self, raw: bytes) -> str:
        seen = []
        for name in ("labels.csv", "labels.jsonl"):
            try:
                lines = labels_file.read(self.file(name, raw), {"delivery", "billing"}, {"en", "de"}, lambda _: "en")
                seen.append(f"{min(3, len(lines))} lines")
            except labels_file.BadFile as error:
                seen.append(_shape(str(error).partition(": ")[2]))
        return f"{'' if any(word.endswith(' lines') for word in seen) else 'no: '}{' | '.join(seen)}"

    def good(self) -> None:
        assert "1 lines" in self.take(self.GOOD)


TARGETS: dict[str, Callable[[], Target]] = {
    "telegram": Telegram,
    "slack": Slack,
    "http": Http,
    "config": Config,
    "contacts": Contacts,
    "record": Record,
    "telegram_export": Export,
    "labels": Labels,
}
SHARES: Mapping[str, float] = {  # by what an input costs, so that no target takes most of the time
    "telegram": 0.35,
    "slack": 0.09,
    "http": 0.07,
    "config": 0.005,
    "contacts": 0.19,
    "record": 0.19,
    "telegram_export": 0.095,
    "labels": 0.01,
}

"""The window in which a canned answer is written: a title and a text for each language, and what is read from it.

It holds the company's languages and every other one that the answer has. What it does not show stays as it is: a
language somebody adds to the file while it is open, or a text that is longer than a field of Slack's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot.canned import Written
from bot.desk import blocks, words
from bot.desk.blocks import Block
from bot.desk.payloads import EDIT, mapping, string
from domain.canned import Reply

TEXT_LIMIT: Final = 3000
"""Characters that Slack takes in a field."""
MOST_LANGUAGES: Final = 40
"""Two fields each, of the hundred blocks that Slack takes in a window."""
LONGEST_TAG: Final = 60
OWN_NAMES: Final[Mapping[str, str]] = {"en": "English", "zh": "中文"}
_FIELD: Final = "text"
_TITLE, _TEXT = "title_", "text_"


def named(said: str) -> str:
    """The name of a canned answer as it is kept."""
    return said.strip().lower().replace(" ", "_")


def again(written: Written, refused: str, languages: Sequence[str]) -> Block:
    """The window once more, with what was written and why it was not kept: nothing has to be written twice."""
    titles, texts = ({tag: said for tag, said in one.items() if said} for one in (written.titles, written.texts))
    shown = dict.fromkeys((*languages, *written.titles, *written.texts))
    return _view(Reply(id=written.id, titles=titles, texts=texts), written.of, tuple(shown), refused)


def view(reply: Reply | None, name: str, languages: Sequence[str]) -> Block:
    """The window, in the language in force; for a new answer under a name, where there is none. `languages` are the
    company's.
    """
    known = reply or Reply(id=name, titles={}, texts={})
    return _view(known, "" if reply is None else reply.id, languages)


def _view(known: Reply, of: str, languages: Sequence[str], refused: str = "") -> Block:
    made = [blocks.context(refused)] if refused else []
    made.append(_input("name", words.say("reply.name"), known.id, optional=False))
    for tag in _tags(known, languages):
        language = OWN_NAMES.get(tag) or words.language(tag)
        title, said = known.titles.get(tag, ""), known.texts.get(tag, "")
        if max(len(title), len(said)) > TEXT_LIMIT:
            made.append(blocks.context(words.say("reply.too_long", language=language)))
            continue
        made.append(_input(f"{_TITLE}{tag}", words.say("reply.title_in", language=language), title))
        made.append(_input(f"{_TEXT}{tag}", words.say("reply.text_in", language=language), said, long=True))
    return {
        "type": "modal",
        "callback_id": EDIT,
        "title": blocks.plain(words.say("reply.edit_title")),
        "submit": blocks.plain(words.say("reply.save")),
        "close": blocks.plain(words.say("reply.cancel")),
        "private_metadata": of[:TEXT_LIMIT],
        "blocks": [*made, blocks.context(words.say("reply.variables"))],
    }


def read(view_: Mapping[str, Any]) -> Written:
    """What was written in the window. A field that was emptied takes its language away."""
    titles: dict[str, str] = {}
    texts: dict[str, str] = {}
    name = ""
    for block, fields in mapping(mapping(view_.get("state")).get("values")).items():
        said = next((string(mapping(one), "value").strip() for one in mapping(fields).values()), "")
        if block == "name":
            name = named(said)
        elif block.startswith(_TITLE):
            titles[block.removeprefix(_TITLE)] = said
        elif block.startswith(_TEXT):
            texts[block.removeprefix(_TEXT)] = said
    return Written(id=name, titles=titles, texts=texts, of=string(view_, "private_metadata"))


def _tags(known: Reply, languages: Sequence[str]) -> list[str]:
    """The languages to be shown: the company's, then those that the answer has beside them."""
    tags = dict.fromkeys((*languages, *known.texts, *known.titles))
    return [tag for tag in tags if len(tag) <= LONGEST_TAG][:MOST_LANGUAGES]


def _input(block: str, label: str, value: str, *, long: bool = False, optional: bool = True) -> Block:
    element: Block = {"type": "plain_text_input", "action_id": _FIELD, "multiline": long, "max_length": TEXT_LIMIT}
    if value:
        element["initial_value"] = value
    return {"type": "input", "block_id": block, "optional": optional, "label": blocks.plain(label), "element": element}

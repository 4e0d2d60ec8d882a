"""Updates as no honest Bot API sends them. Most of them stop python-telegram-bot's own updater for good."""

from __future__ import annotations

from typing import Any

from tests.bot.channels.conftest import message


def _with(update_id: int, **changes: object) -> dict[str, Any]:
    update = message(update_id)
    update["message"].update(changes)
    return update


def _without(update_id: int, field: str) -> dict[str, Any]:
    update = message(update_id)
    del update["message"][field]
    return update


SHAPES: dict[str, object] = {
    "message is a text": {"update_id": 501, "message": "hello"},
    "message is a list": {"update_id": 502, "message": [1, 2]},
    "message is empty": {"update_id": 503, "message": {}},
    "message is null": {"update_id": 504, "message": None},
    "date is a text": _with(505, date="yesterday"),
    "date is huge": _with(506, date=10**20),
    "date is missing": _without(507, "date"),
    "date is negative": _with(508, date=-(10**15)),
    "from is empty": _with(509, **{"from": {}}),
    "from is a text": _with(510, **{"from": "Ann"}),
    "chat is a text": _with(511, chat="42"),
    "chat is missing": _without(512, "chat"),
    "chat id is a text": _with(513, chat={"id": "42; drop", "type": "private"}),
    "entities are bad": _with(514, entities=[{"type": 5, "offset": "x"}, None]),
    "entities are a text": _with(515, entities="bold"),
    "text is a number": _with(516, text=7),
    "text holds a lone surrogate": _with(517, text="a\ud83d b"),
    "text holds a NUL": _with(518, text="a\x00b"),
    "photo is empty": _with(519, photo=[], text=None),
    "document is a list": _with(520, document=[1], text=None),
    "an unknown field": _with(521, hologram={"depth": 3}),
    "an unknown update type": {"update_id": 522, "telepathy": {"chat": {"id": 42}}},
    "no update id": {"message": message(1)["message"]},
    "update id is a text": {**message(1), "update_id": "523"},
    "update id is huge": {**message(1), "update_id": 10**30},
    "update is a list": [1, 2, 3],
    "update is null": None,
    "nothing but an id": {"update_id": 526},
}
"""Each with what is wrong with it."""

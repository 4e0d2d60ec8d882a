"""The window in which a colleague notes what happened elsewhere, and enters who called or came by.

It is opened at the door. What is sent with it is stored like every other event, and decided by the worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from bot.desk import blocks, words
from bot.desk.blocks import Block
from bot.desk.payloads import Payload, mapping, string
from domain.events import FactEntered
from domain.facts import LONGEST_NOTE, LONGEST_REFERENCE, LONGEST_WHAT
from handlers import commands

FACT: Final = "fact"
"""The window's callback id, and the button that opens it for a customer."""
WORDS: Final = commands.called("fact")
"""What stands behind the slash command to enter somebody new."""
NAME, PHONE, EMAIL = "name", "phone", "email"
_VALUE: Final = "value"
_PERSON: Final = ((NAME, 200, False), (PHONE, 40, True), (EMAIL, 200, True))


def view(customer_id: str | None, place: str) -> Block:
    """The window for a customer, or without one for somebody new. `place` is where the answer is whispered."""
    made = [] if customer_id else [_field(name, f"fact.{name}", length, optional=opt) for name, length, opt in _PERSON]
    made += [
        _choice("kind", "fact.kind", words.group("fact_kind")),
        _field("what", "fact.what", LONGEST_WHAT, optional=False),
        _choice("source", "fact.source", words.group("fact_source")),
        {
            "type": "input",
            "block_id": "day",
            "optional": True,
            "label": blocks.plain(words.say("fact.day")),
            "element": {"type": "datepicker", "action_id": _VALUE},
        },
        _field("amount", "fact.amount", 20, optional=True),
        _field("currency", "fact.currency", 3, optional=True),
        _field("reference", "fact.reference", LONGEST_REFERENCE, optional=True),
        _field("note", "fact.more", LONGEST_NOTE, optional=True, long=True),
    ]
    return {
        "type": "modal",
        "callback_id": FACT,
        "title": blocks.plain(words.say("fact.title" if customer_id else "fact.title_new")),
        "submit": blocks.plain(words.say("fact.save")),
        "close": blocks.plain(words.say("fact.cancel")),
        "private_metadata": json.dumps({"customer": customer_id, "place": place}),
        "blocks": made,
    }


def read(body: Payload, at: datetime, *, is_stranger: bool) -> FactEntered | None:
    """What was sent with the window; None for any other one. What is wrong with it is for the handler to say."""
    shown, user = mapping(body.get("view")), string(mapping(body.get("user")), "id")
    if string(shown, "callback_id") != FACT or not user:
        return None
    try:
        kept = mapping(json.loads(string(shown, "private_metadata")))
    except ValueError:
        return None
    values = {name: _entered(field) for name, field in mapping(mapping(shown.get("state")).get("values")).items()}
    given = {name: value for name, value in values.items() if value}
    day = given.pop("day", None)
    if day is not None and day != at.date().isoformat():
        given["at"] = f"{_day(day)}T12:00:00+00:00"  # nobody knows the hour
    return FactEntered(
        agent_id=user,
        at=at,
        channel=string(kept, "place"),
        customer_id=string(kept, "customer") or None,
        person={name: given.pop(name) for name in (NAME, PHONE, EMAIL) if name in given},
        fact=given,
        key=string(shown, "id"),
        is_stranger=is_stranger,
    )


def _day(given: str) -> str:
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        return "never"  # refused with the words about `at`


def _entered(field: object) -> str:
    """What stands in a field: typed, picked or a day."""
    value: Mapping[str, Any] = mapping(mapping(field).get(_VALUE))
    picked = string(mapping(value.get("selected_option")), "value")
    return (picked or string(value, "selected_date") or string(value, "value")).strip()


def _field(name: str, label: str, length: int, *, optional: bool, long: bool = False) -> Block:
    element = {"type": "plain_text_input", "action_id": _VALUE, "multiline": long, "max_length": length}
    return {
        "type": "input",
        "block_id": name,
        "optional": optional,
        "label": blocks.plain(words.say(label)),
        "element": element,
    }


def _choice(name: str, label: str, said: Mapping[str, str]) -> Block:
    options = [{"text": blocks.plain(one), "value": value} for value, one in said.items()]
    element = {"type": "static_select", "action_id": _VALUE, "options": options, "initial_option": options[0]}
    return {"type": "input", "block_id": name, "label": blocks.plain(words.say(label)), "element": element}

"""Forms: what a button, a menu or a message shortcut opens, and what is read from it when it is sent.

Slack opens one within three seconds of a click or not at all, so it is made from the click alone, at the door. Nothing
is decided there: what is sent in a form becomes an action like any other, with the same permission.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bot.desk import blocks, words
from bot.desk.payloads import Payload, mapping, string

PREFIX: Final = "relaydesk_"
"""Before the name of an action in the callback id of a form or a shortcut."""
_UNIT: Final = re.compile(r"<[^<>]*>|&\w+;|.", re.DOTALL)
"""What of mrkdwn is whole or nothing: a mention, a date or a link, an escaped character, any other one."""
_NUMBERED: Final = re.compile(r"#(\d{1,9}) ")
"""How the text of a card begins, by which the window that it opens says what it is about."""
TITLE: Final = 24
"""Characters that Slack takes in the title of a window."""
OPENS: Final = "form"
"""What a menu's option says of itself when it opens a form: `form=handover`."""
NOTE_CHARS: Final = 3000
REASON_CHARS: Final = 300
MOST_SECTIONS: Final = 100
"""Blocks that Slack takes in a window."""
LABEL: Final = 100
"""Characters of a label that people still read."""
WITH_A_FORM: Final = frozenset({"assign", "handover", "snooze", "join", "start", "act", "correct"})
"""Actions that need more than a click."""
ANSWER: Final = "reply"
"""The shortcut that opens the reply window for one message."""
STRAIGHT: Final = frozenset({"assign_me", "resolve", "not_a_request", "transcript"})
"""Actions that a message shortcut does at once."""
SHORTCUTS: Final[Mapping[str, str]] = {
    "act": "Do something · 操作…",
    "assign_me": "Take it · 我来处理",
    "handover": "Hand over · 转交…",
    "join": "Join into another · 合并…",
    "not_a_request": "Not a request · 非请求",
    ANSWER: "Answer this · 回复这条…",
    "resolve": "Resolve · 解决",
    "snooze": "Snooze · 暂停…",
    "start": "Write anew · 联系客户…",
    "transcript": "Transcript · 会话记录",
}
"""The message shortcuts with their names in the manifest; `act` takes any action, in the words of the command.

Slack shows a shortcut to everybody by the one name the manifest gives it, so each has it in both languages that the
desk speaks; 24 characters are what Slack takes: https://docs.slack.dev/reference/app-manifest
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What a form says: which action of which conversation, and what was entered."""

    action: str
    conversation_id: str | None
    version: int | None
    channel: str
    thread_ts: str | None
    value: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A form that somebody wants opened, what it is about, and the trigger with which Slack lets it be opened."""

    name: str
    about: Mapping[str, Any]
    user: str
    trigger: str


def wanted(payload: Payload) -> Asked | None:
    """The form that a click or a shortcut asks for; None where it asks for none."""
    kind = string(payload, "type")
    if kind == "message_action":
        name = string(payload, "callback_id").removeprefix(PREFIX)
        message = mapping(payload.get("message"))
        place = string(mapping(payload.get("channel")), "id")
        thread = string(message, "thread_ts") or string(message, "ts")
        return _asked(payload, name, {"p": place, "t": thread}) if name in WITH_A_FORM and place and thread else None
    actions = payload.get("actions")
    if kind != "block_actions" or not isinstance(actions, list) or not actions:
        return None
    chosen = string(mapping(mapping(actions[0]).get("selected_option")), "value") or string(
        mapping(actions[0]), "value"
    )
    try:
        conversation, version, value = blocks.read_value(chosen)
    except ValueError:
        return None
    what, _, asked = (value or "").partition("=")
    name, _, field = asked.partition(":")
    if what != OPENS or name not in WITH_A_FORM:
        return None
    container = mapping(payload.get("container"))
    place = string(container, "channel_id") or string(mapping(payload.get("channel")), "id")
    thread = string(container, "thread_ts") or string(container, "message_ts")
    number = _NUMBERED.match(string(mapping(payload.get("message")), "text"))
    about = {"c": conversation, "v": version, "p": place, "t": thread, "f": field or None}
    return _asked(payload, name, about | {"n": number[1] if number else None})


def read(payload: Payload) -> Sent | None:
    """What was sent in one of our forms; None for any other."""
    view = mapping(payload.get("view")) if payload.get("type") == "view_submission" else {}
    name = string(view, "callback_id").removeprefix(PREFIX)
    if not string(view, "callback_id").startswith(PREFIX) or name not in WITH_A_FORM:
        return None
    about, entered = _about(view), _entered(view)
    version = about.get("v")
    value = entered.get("who") or entered.get("until") or entered.get("number") or entered.get("what")
    if name == "correct":
        value = f"{string(about, 'f')}={entered.get('what', '')}"
    return Sent(
        action=name,
        conversation_id=string(about, "c") or None,
        version=version if isinstance(version, int) else None,
        channel=string(about, "p"),
        thread_ts=string(about, "t") or None,
        value=value or None,
        note=entered.get("note", ""),
    )


def _about(view: Mapping[str, Any]) -> Payload:
    try:
        return mapping(json.loads(string(view, "private_metadata") or "{}"))
    except ValueError:
        return {}


def _entered(view: Mapping[str, Any]) -> dict[str, str]:
    """What stands in each field, by the id of its block."""
    found: dict[str, str] = {}
    values = mapping(mapping(view.get("state")).get("values"))
    for block, fields in values.items():
        for field in mapping(fields).values():
            entry = mapping(field)
            chosen = string(mapping(entry.get("selected_option")), "value")
            moment = entry.get("selected_date_time")
            at = f"@{moment}" if isinstance(moment, int) else ""
            found[str(block)] = string(entry, "value") or string(entry, "selected_user") or chosen or at
    return found


def telling(said: str) -> dict[str, Any]:
    """A window that only tells something; `said` is escaped mrkdwn, in as many sections as it takes.

    It is parted between lines, since half an entity or half a date is no markup any more. What Slack does not take in
    one window is said to be left out.
    """
    pieces = _sections(said)
    if len(pieces) > MOST_SECTIONS:
        pieces = [*pieces[: MOST_SECTIONS - 1], words.say("form.told_more")]
    return {
        "type": "modal",
        "title": blocks.plain(words.say("form.told")),
        "close": blocks.plain(words.say("form.told_close")),
        "blocks": [{"type": "section", "text": blocks.mrkdwn(piece)} for piece in pieces],
    }


def _sections(said: str) -> list[str]:
    """Whole lines as long as a section takes; a single line that is longer is parted between words."""
    pieces, room = [""], blocks.SECTION_LIMIT
    for line in said.split("\n"):
        rest = line
        while len(rest) > room:
            at = _between_words(rest, room)
            pieces.append(rest[:at])
            rest = rest[at:].lstrip(" ")
        if len(pieces[-1]) + len(rest) + 1 > room or rest != line:
            pieces.append(rest)
        else:
            pieces[-1] = f"{pieces[-1]}\n{rest}" if pieces[-1] else rest
    return [piece for piece in pieces if piece.strip()] or [" "]


def _between_words(line: str, room: int) -> int:
    """Where a line is parted: at the last blank that is no part of a date or a link, else before what goes over."""
    last_blank, end = 0, 0
    for unit in _UNIT.finditer(line):
        if unit.end() > room:
            break
        end = unit.end()
        last_blank = unit.start() if unit[0] == " " else last_blank
    return last_blank or end or room


def _asked(payload: Payload, name: str, about: Mapping[str, Any]) -> Asked:
    user = string(mapping(payload.get("user")), "id")
    return Asked(name=name, about=about, user=user, trigger=string(payload, "trigger_id"))


def view(asked: Asked) -> dict[str, Any]:
    """The window, in the language in force."""
    name, about = asked.name, asked.about
    return {
        "type": "modal",
        "callback_id": f"{PREFIX}{name}",
        "title": blocks.plain(_title(words.say(f"form.{name}"), about.get("n"))),
        "submit": blocks.plain(words.say(f"form_send.{name}")),
        "close": blocks.plain(words.say("form.close")),
        "private_metadata": json.dumps({key: value for key, value in about.items() if value is not None}),
        "blocks": _correcting(str(about.get("f"))) if name == "correct" else _fields(name),
    }


def _title(said: str, number: object) -> str:
    about = words.say("form.about", what=said, number=number) if number else said
    return about if len(about) <= TITLE else said


def _correcting(field: str) -> list[blocks.Block]:
    """The fields of the window in which a value of the profile is corrected; what was before is not told by it."""
    label = words.say("form.field", field=words.field(field))[:LABEL]
    why: blocks.Block = {"type": "plain_text_input", "max_length": REASON_CHARS}
    return [_input("what", label, _text()), _input("note", words.say("form.why"), why)]


def _input(block: str, label: str, element: blocks.Block, *, optional: bool = False) -> blocks.Block:
    made = {"type": "input", "block_id": block, "label": blocks.plain(label), "element": {"action_id": block} | element}
    return made | ({"optional": True} if optional else {})


def _text(*, multiline: bool = False, hint: str = "") -> blocks.Block:
    made: blocks.Block = {"type": "plain_text_input", "multiline": multiline, "max_length": NOTE_CHARS}
    return made | ({"placeholder": blocks.plain(hint)} if hint else {})


def _fields(name: str) -> list[blocks.Block]:
    """What is asked for in the window of an action."""
    who = _input("who", words.say("form.who"), {"type": "users_select"})
    match name:
        case "assign":
            return [who]
        case "handover":
            return [who, _input("note", words.say("form.note"), _text(multiline=True))]
        case "snooze":
            return [_input("until", words.say("form.until"), {"type": "datetimepicker"})]
        case "join":
            return [_input("number", words.say("form.other"), _text(hint="#1042"))]
        case "start":
            return [_input("note", words.say("form.first_words"), _text(multiline=True))]
        case _:
            return [_input("what", words.say("form.what"), _text(hint=words.say("form.hint")))]

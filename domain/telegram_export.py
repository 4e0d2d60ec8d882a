"""A history that Telegram Desktop exported as JSON, as chats and messages. No I/O; what cannot be used is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from domain import text

LONGEST: Final = 20_000
"""Characters of a message; Telegram's own limit is 4,096."""
_PERSONAL: Final = ("personal_chat", "bot_chat")
_NOT_INCLUDED: Final = "(File"
_MEDIA: Final = {
    "photo": "photo",
    "sticker": "sticker",
    "voice_message": "voice",
    "video_message": "video_note",
    "video_file": "video",
    "audio_file": "audio",
    "animation": "animation",
}


class BadExport(ValueError):
    """The file is no export that can be used; says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message. `by_customer` says whose it is; `file` is its kind and name, whose content is not taken over."""

    id: int
    at: datetime
    by_customer: bool
    text: str
    file: tuple[str, str] | None = None
    reply_to: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What cannot be used: the chat's place in the file, the message's number where it has one, and why."""

    chat: int
    message: int | None
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A chat with one person: `address` is what the platform calls it, as a bot knows it; `name` is personal."""

    place: int
    address: str
    name: str
    messages: tuple[Said, ...]
    problems: tuple[Problem, ...]
    services: int  # lines such as "joined Telegram", which nobody wrote


def chats(content: str) -> Iterator[Chat | Problem]:
    """Every chat with a person in an export of one chat or of all. Raises BadExport."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        raise BadExport("this is no JSON: in Telegram Desktop choose Export chat history, format JSON") from None
    if not isinstance(whole, dict):
        raise BadExport("this is no export of Telegram Desktop: it must be one JSON object")
    if isinstance(whole.get("messages"), list):
        found: list[Any] = [whole]
    else:
        listed = whole.get("chats")
        found = listed.get("list", []) if isinstance(listed, dict) else []
        if not isinstance(found, list) or not found:
            raise BadExport("there is no chat in it: in Telegram Desktop choose Export chat history, format JSON")
    for place, chat in enumerate(found, 1):
        yield _chat(place, chat)


def _chat(place: int, chat: object) -> Chat | Problem:
    if not isinstance(chat, dict) or not isinstance(chat.get("messages"), list):
        return Problem(chat=place, message=None, words="this is no chat with messages")
    if chat.get("type") not in _PERSONAL:
        return Problem(
            chat=place, message=None, words="this is a group or a channel: only chats with one person are taken"
        )
    number = _number(chat.get("id"))
    if number is None or number <= 0:
        return Problem(chat=place, message=None, words="the chat has no id: it cannot be told from others")
    messages, problems, services = [], [], 0
    for one in chat["messages"]:
        if isinstance(one, dict) and one.get("type") == "service":
            services += 1
            continue
        try:
            messages.append(_said(one, number))
        except ValueError as error:
            which = _number(one.get("id")) if isinstance(one, dict) else None
            problems.append(Problem(chat=place, message=which, words=str(error)))
    unique = {one.id: one for one in messages}
    name = chat.get("name")
    return Chat(
        place=place,
        address=str(number),
        name=" ".join(text.clean(name, 200).split()) if isinstance(name, str) and name.strip() else str(number),
        messages=tuple(sorted(unique.values(), key=lambda one: (one.at, one.id))),
        problems=tuple(problems),
        services=services,
    )


def _said(one: object, chat: int) -> Said:
    if not isinstance(one, dict):
        raise ValueError("this is no message")
    number = _number(one.get("id"))
    if number is None:
        raise ValueError("the message has no id: it could not be told from others when imported again")
    words = _text(one.get("text"))
    if len(words) > LONGEST:
        raise ValueError(f"the text is longer than {LONGEST} characters")
    file = _file(one)
    if not words.strip() and file is None:
        raise ValueError("there is neither a text nor a file in it that can be kept")
    sender = one.get("from_id")
    if not isinstance(sender, str):
        raise ValueError("nobody is named as its sender (from_id)")
    reply = _number(one.get("reply_to_message_id"))
    return Said(id=number, at=_at(one), by_customer=sender == f"user{chat}", text=words, file=file, reply_to=reply)


def _at(one: Mapping[str, Any]) -> datetime:
    seconds = _number(one.get("date_unixtime"))
    try:
        if seconds is not None and seconds > 0:
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError("it has no time (date_unixtime): export again with a newer Telegram Desktop")


def _text(given: object) -> str:
    """Plain, or a list of plain pieces and dressed ones."""
    if given is None:
        return ""
    if isinstance(given, str):
        return _whole(given)
    if not isinstance(given, list):
        raise ValueError("its text is neither a text nor a list of pieces")
    pieces = [piece.get("text") if isinstance(piece, dict) else piece for piece in given]
    if not all(isinstance(piece, str) for piece in pieces):
        raise ValueError("its text is neither a text nor a list of pieces")
    return _whole("".join(str(piece) for piece in pieces))


def _whole(words: str) -> str:
    """The same words; half a character, which nothing can show, becomes the sign for one that is missing."""
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _file(one: Mapping[str, Any]) -> tuple[str, str] | None:
    kind = one.get("media_type")
    path = one.get("file") or one.get("photo")
    if path is None and kind is None:
        return None
    name = one.get("file_name")
    if not isinstance(name, str):
        is_path = isinstance(path, str) and not path.startswith(_NOT_INCLUDED)
        name = str(path).rpartition("/")[2] if is_path else ""
    known = _MEDIA.get(kind, "document") if isinstance(kind, str) else "photo" if one.get("photo") else "document"
    return known, text.clean(name, 200).strip() or known


def _number(given: object) -> int | None:
    """A whole number, also where it is written as a text; None for anything else or too large."""
    if isinstance(given, bool):
        return None
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 16:
        given = int(given)
    return given if isinstance(given, int) and abs(given) < 1 << 53 else None

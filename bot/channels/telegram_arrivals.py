"""Raw updates as inbox arrivals: their keys, their lanes, their text. Never fails, whatever the update looks like."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from domain.ports import Arrival

MAX_ID = 2**52
"""Telegram's own bound for chat ids; update ids stay far below. Anything larger is not an id."""
KIND_LENGTH = 40
TOO_DEEP = json.dumps({"unreadable": "nested too deep"})


def arrival(source: str, update: object) -> Arrival:
    """One element of a getUpdates answer, or one webhook body, as it goes into the inbox.

    The key holds update id, kind, chat, message and edit time, because Telegram chooses update ids anew after a quiet
    week: a reused id must not swallow a new message. Elements without a usable update id are keyed by their content.
    """
    payload = _dump(update)
    number = update_id(update)
    if number is None or not isinstance(update, dict):
        return _odd(source, payload)
    kind, body = _kind(update)
    chat, message = _chat_id(body), _whole(body.get("message_id"))
    parts = (number, kind, chat, message, _whole(body.get("edit_date")))
    return Arrival(
        source=source,
        event_key=":".join("" if part is None else str(part) for part in parts),
        lane_key=f"{source}:{'odd' if chat is None else chat}",
        payload=payload,
        kind=kind,
    )


def update_id(update: object) -> int | None:
    """The update's id, or None where it has none that could be confirmed."""
    number = _whole(update.get("update_id")) if isinstance(update, dict) else None
    return number if number is not None and number >= 0 else None


def _odd(source: str, payload: str) -> Arrival:
    digest = hashlib.sha256(payload.encode("ascii")).hexdigest()
    return Arrival(source=source, event_key=f"odd:{digest}", lane_key=f"{source}:odd", payload=payload, kind="odd")


def _dump(update: object) -> str:
    try:
        return json.dumps(update, ensure_ascii=True)
    except (RecursionError, ValueError, TypeError):
        return TOO_DEEP


def _kind(update: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for name, body in update.items():
        if name != "update_id" and isinstance(body, dict):
            return _word(name), body
    others = [name for name in update if name != "update_id"]
    return (_word(others[0]) if others else "empty"), {}


def _word(name: str) -> str:
    plain = name.replace("_", "")
    return name if len(name) <= KIND_LENGTH and plain.isascii() and plain.isalnum() and name.islower() else "unknown"


def _chat_id(body: dict[str, Any]) -> int | None:
    message = body.get("message")
    inner = message.get("chat") if isinstance(message, dict) else None
    for holder in (body.get("chat"), inner, body.get("from"), body.get("user")):
        if isinstance(holder, dict) and (number := _whole(holder.get("id"))) is not None:
            return number
    return None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not -MAX_ID < value < MAX_ID:
        return None
    return value

"""Raw Slack payloads, read just far enough to store them: key, lane, thread, and whether they concern us.

Nothing that storing needs may fail on an odd payload: what cannot be read is stored as it is and set aside later, with
a reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain import signs
from domain.errors import MalformedEvent
from domain.ports import Arrival

SOURCE = "slack"
NEW_MESSAGE = frozenset({"", "file_share", "thread_broadcast", "me_message"})
"""Subtypes of a message somebody has just written; they share one key, since history shows them without it."""
DIRECTORY_EVENTS = frozenset({"subteam_members_changed", "user_change"})
"""Events that only refresh what we remember of colleagues: taken in at the door, never stored."""
RECEIVED_AT = "relaydesk_received_at"
"""Added to a stored payload that carries no time of its own (a slash command, a form)."""
SETTLE_S = 0.05
"""Slack spreads events over connections and promises no order: this long an earlier one may still come."""
HTTP_SETTLE_S = 0.25
"""The same where Slack calls us, each event by a request of its own, none of which waits for another."""
REPLY, EDIT = "reply", "edit_reply"
"""Windows of ours, by their callback id; `reply` is also the button that opens one."""

Payload = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """Who we are in this workspace, as far as known: empty until Slack has told us.

    `reactions` are the emoji that customers are to see.
    """

    team_id: str = ""
    bot_user_id: str = ""
    bot_id: str = ""
    reactions: frozenset[str] = frozenset()


def arrival(kind: str, payload: Payload, received_at: datetime, settle_s: float = SETTLE_S) -> Arrival:
    """The inbox row of a payload. `kind` is Slack's word for the envelope: events_api, interactive, slash_commands.

    `settle_s` is how long something said before it in its thread may still come.
    """
    kept = {key: value for key, value in payload.items() if key != "token"}
    if kind == "slash_commands" or string(payload, "type") == "view_submission":
        kept[RECEIVED_AT] = received_at.isoformat()
    thread = thread_of(payload)
    user = user_of(payload)
    lane = f"thread:{thread[0]}:{thread[1]}" if thread else f"user:{user or '-'}"
    return Arrival(
        source=SOURCE,
        event_key=event_key(payload),
        lane_key=lane,
        payload=json.dumps(kept),
        kind=kind,
        thread=thread,
        position=_position(payload) if thread else None,
        settle_s=settle_s if thread else 0.0,
    )


def concerns_nobody(payload: Payload, own: Own) -> str | None:
    """Why a payload need not be stored (a stable word), or None when it must be."""
    event = mapping(payload.get("event"))
    if event.get("type") == "member_left_channel" and own.bot_user_id and string(event, "user") != own.bot_user_id:
        return "member"
    if event.get("type") in ("reaction_added", "reaction_removed"):
        return _reaction_concerns_nobody(event, own)
    if event.get("type") != "message":
        return None
    subtype = string(event, "subtype")
    if subtype == "message_replied":
        return "hidden"
    if subtype in ("message_changed", "message_deleted"):
        after, before = mapping(event.get("message")), mapping(event.get("previous_message"))
        in_thread = string(after, "thread_ts") or string(before, "thread_ts")
        return whose(after, own) or whose(before, own) or (None if in_thread else "not_in_thread")
    if subtype == "bot_message":
        return "bot"
    if subtype not in NEW_MESSAGE:
        return subtype
    return whose(event, own) or (None if string(event, "thread_ts") else "not_in_thread")


def _reaction_concerns_nobody(event: Mapping[str, Any], own: Own) -> str | None:
    if string(event, "user") == own.bot_user_id and own.bot_user_id:
        return "own"
    name = emoji_of(event)
    is_step = name in signs.STEPS and event.get("type") == "reaction_added"
    return None if is_step or name in own.reactions else "reaction"


def emoji_of(event: Mapping[str, Any]) -> str:
    """Slack's name of an emoji, without the tone of its skin."""
    return string(event, "reaction").partition("::")[0]


def whose(message: Mapping[str, Any], own: Own) -> str | None:
    """`own` for a message of ours, `bot` for any other bot's, None for a person's."""
    bot_id, user = string(message, "bot_id"), string(message, "user")
    if (bot_id and bot_id == own.bot_id) or (user and user == own.bot_user_id):
        return "own"
    return "bot" if bot_id or string(message, "subtype") == "bot_message" else None


def event_key(payload: Payload) -> str:
    """The same thing told twice has the same key, however often and over whichever way it comes."""
    event = mapping(payload.get("event"))
    if event.get("type") == "message":
        channel = string(event, "channel")  # unique in all of Slack, so the team need not be part of the key
        subtype = string(event, "subtype")
        if subtype == "message_changed":
            inner = mapping(event.get("message"))
            edited = string(mapping(inner.get("edited")), "ts") or string(event, "event_ts") or string(event, "ts")
            lost = f":{len(files_of(inner))}" if lost_files(event) else ""  # which makes no other time of an edit
            return f"message:{channel}:{string(inner, 'ts')}:changed:{edited}{lost}"
        if subtype == "message_deleted":
            return f"message:{channel}:{string(event, 'deleted_ts')}:deleted"
        if channel and string(event, "ts"):
            return f"message:{channel}:{string(event, 'ts')}"
    if isinstance(payload.get("event_id"), str):
        return f"event:{payload['event_id']}"
    actions = payload.get("actions")
    action = mapping(actions[0]) if isinstance(actions, list) and actions else {}
    if action_ts := string(action, "action_ts"):
        return "action:" + digest("|".join((action_ts, user_of(payload), string(action, "action_id"))))
    if trigger := string(payload, "trigger_id"):
        return f"trigger:{trigger}"
    return f"body:{digest(json.dumps(payload, sort_keys=True))}"


def files_of(message: Payload) -> frozenset[str]:
    """The ids of the files that are in a message, without those that were deleted."""
    shared = message.get("files")
    found = [mapping(one) for one in shared] if isinstance(shared, list) else []
    return frozenset(string(one, "id") for one in found if string(one, "mode") != "tombstone")


def lost_files(event: Payload) -> frozenset[str]:
    """The ids of the files that a change took away from a message."""
    return files_of(mapping(event.get("previous_message"))) - files_of(mapping(event.get("message")))


def thread_of(payload: Payload) -> tuple[str, str] | None:
    """The thread a payload belongs to, as (channel, root ts); None where it belongs to none."""
    event = mapping(payload.get("event"))
    if event.get("type") == "message":
        inner = mapping(event.get("message")) or mapping(event.get("previous_message")) or event
        thread_ts = string(inner, "thread_ts")
        channel = string(event, "channel")
        return (channel, thread_ts) if channel and thread_ts else None
    if form := read_form(mapping(payload.get("view"))):
        return form["p"], form["t"]
    if payload.get("type") == "view_submission":
        return _thread_of_form(mapping(payload.get("view")))
    if payload.get("type") == "message_action":
        message = mapping(payload.get("message"))
        channel = string(mapping(payload.get("channel")), "id")
        root = string(message, "thread_ts") or string(message, "ts")
        return (channel, root) if channel and root else None
    container = mapping(payload.get("container"))
    if container.get("type") == "message":
        message = mapping(payload.get("message"))
        root = string(container, "thread_ts") or string(message, "thread_ts") or string(container, "message_ts")
        channel = string(container, "channel_id")
        return (channel, root) if channel and root else None
    return None


def is_on_card(payload: Payload) -> bool:
    """Whether a button of a thread's first post was pressed: perhaps in the channel, where the thread is not seen."""
    container = mapping(payload.get("container"))
    thread = thread_of(payload)
    return not container.get("is_ephemeral") and thread is not None and string(container, "message_ts") == thread[1]


def read_form(view: Payload) -> Payload:
    """What a reply window carries: conversation (`c`), place (`p`), thread (`t`), entry (`e`), the version seen (`v`).

    Empty for any other window.
    """
    if string(view, "callback_id") != REPLY:
        return {}
    try:
        kept = mapping(json.loads(string(view, "private_metadata")))
    except ValueError:
        return {}
    return kept if all(string(kept, key) for key in ("c", "p", "t", "e")) else {}


def _thread_of_form(view: Mapping[str, Any]) -> tuple[str, str] | None:
    """The thread that a form of ours was opened from: it says so itself."""
    try:
        about = mapping(json.loads(string(view, "private_metadata") or "{}"))
    except ValueError:
        return None
    channel, root = string(about, "p"), string(about, "t")
    return (channel, root) if channel and root else None


def user_of(payload: Payload) -> str:
    """Who did it: a user id, or empty."""
    event = mapping(payload.get("event"))
    if event:
        user = event.get("user")
        return string(mapping(user), "id") if isinstance(user, dict) else string(event, "user")
    if isinstance(payload.get("user"), dict):
        return string(mapping(payload["user"]), "id")
    return string(payload, "user_id")


def history_event(message: Payload, *, channel: str, team_id: str) -> Payload:
    """A message read from a thread's history, as the event that should have brought it."""
    event = {key: value for key, value in message.items() if key != "edited"}
    event |= {"type": "message", "channel": channel, "event_ts": string(message, "ts")}
    return _history(event, team_id=team_id, key=f"{channel}:{string(message, 'ts')}")


def history_edit(message: Payload, *, channel: str, team_id: str) -> Payload | None:
    """The change of a message read from history, as the event that should have brought it; None if unchanged."""
    edited = string(mapping(message.get("edited")), "ts")
    if not edited:
        return None
    event: Payload = {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": channel,
        "ts": edited,
        "event_ts": edited,
        "message": {**message, "type": "message"},
    }
    return _history(event, team_id=team_id, key=f"{channel}:{string(message, 'ts')}:{edited}")


def moment(ts: object) -> datetime:
    """A Slack timestamp ("1700000000.000100") as an aware time. Raises ValueError."""
    try:
        return datetime.fromtimestamp(float(str(ts)), UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("not a time") from error


def time_of(ts: str) -> datetime:
    """When something was said or pressed, by Slack's own clock. Raises MalformedEvent."""
    try:
        return moment(ts)
    except ValueError:
        raise MalformedEvent("a time that is none") from None


def received_at(payload: Payload) -> datetime:
    """When a payload came in that carries no time of its own. Raises MalformedEvent."""
    try:
        at = datetime.fromisoformat(string(payload, RECEIVED_AT))
    except ValueError:
        raise MalformedEvent("without the time it was received") from None
    if at.tzinfo is None:
        raise MalformedEvent("received at a time without a zone")
    return at


def home_of(event: Mapping[str, Any]) -> str:
    """The workspace that the author of a message belongs to; empty where Slack does not say."""
    return string(event, "user_team") or string(event, "source_team")


def mapping(value: object) -> Payload:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def string(holder: Mapping[str, Any], key: str) -> str:
    """The value under a key if it is a string, else empty."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def digest(value: str) -> str:
    """A short, stable name for something long."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def _position(payload: Payload) -> float | None:
    """When it was written or clicked, by Slack's own clock."""
    actions = payload.get("actions")
    clicked = mapping(actions[0]) if isinstance(actions, list) and actions else {}
    try:
        return moment(string(mapping(payload.get("event")), "ts") or string(clicked, "action_ts")).timestamp()
    except ValueError:
        return None


def _history(event: Payload, *, team_id: str, key: str) -> Payload:
    return {
        "type": "event_callback",
        "team_id": team_id,
        "event_id": f"history:{key}",
        "event": event,
    }

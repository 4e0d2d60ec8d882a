"""What agents write in a thread, as Slack tells it: new lines, changed ones, deleted ones, with their files."""

from __future__ import annotations

import re
from contextlib import suppress

from bot.desk import rich
from bot.desk.directory import Directory
from bot.desk.payloads import (
    NEW_MESSAGE,
    Own,
    Payload,
    files_of,
    home_of,
    lost_files,
    mapping,
    string,
    time_of,
    whose,
)
from domain import files, text
from domain.errors import MalformedEvent, NotYet
from domain.events import AgentEdit, AgentMessage, Event, Ignored
from domain.model import Attachment

MAX_NAMES = 20
"""People looked up for one message: more mentions than that read `@someone`."""
CLIP = "slack_audio"
"""Something said into Slack: the customer hears it as a voice message."""
_USER = re.compile(r"<@([UW][A-Z0-9]+)")
_CALL = re.compile(r"<(?:@[UW]|!(?:subteam\^|here|channel|everyone|group))")


async def message(event: Payload, own: Own, directory: Directory) -> Event | Ignored:
    """What somebody wrote, changed or deleted in a thread.

    Raises MalformedEvent, or NotYet while Slack cannot say who somebody is.
    """
    subtype = string(event, "subtype")
    if subtype in ("message_changed", "message_deleted"):
        return await _edit(event, subtype, own, directory)
    if subtype not in NEW_MESSAGE:
        return Ignored(reason=subtype)
    if reason := whose(event, own):
        return Ignored(reason=reason)
    channel, thread_ts, ts = (string(event, key) for key in ("channel", "thread_ts", "ts"))
    if not thread_ts or thread_ts == ts:
        return Ignored(reason="not_in_thread")
    user = string(event, "user")
    if not (channel and ts and user):
        raise MalformedEvent("a message without channel, time or author")
    composed = await _composed(directory, event)
    return AgentMessage(
        agent_id=user,
        at=time_of(ts),
        channel=channel,
        thread_ts=thread_ts,
        ts=ts,
        text=composed.text,
        spans=composed.spans,
        mentions=_calls_somebody(event),
        attachments=_attachments(event.get("files")),
        is_stranger=await directory.is_stranger(user, home_of(event), own.team_id),
    )


async def _edit(event: Payload, subtype: str, own: Own, directory: Directory) -> Event | Ignored:
    changed, before = mapping(event.get("message")), mapping(event.get("previous_message"))
    inner = changed if subtype == "message_changed" else before
    channel, ts = string(event, "channel"), string(inner, "ts") or string(event, "deleted_ts")
    if reason := whose(inner, own) or whose(before, own):
        return Ignored(reason=reason)
    thread_ts = string(inner, "thread_ts") or string(before, "thread_ts")
    if not thread_ts or thread_ts == ts:
        return Ignored(reason="not_in_thread")
    user = string(before, "user") or string(inner, "user")
    if not (channel and ts and user):
        raise MalformedEvent("a changed message without channel, time or author")
    gone = subtype == "message_deleted" or string(changed, "subtype") == "tombstone"
    lost = frozenset() if gone else lost_files(event)
    if lost and not files_of(changed) and not string(changed, "text").strip():
        gone = True  # nothing is left of it
    stand = not gone and bool(before) and before.get("text") == changed.get("text")
    if stand and not lost:
        return Ignored(reason="same_text")
    at = string(mapping(changed.get("edited")), "ts") or string(event, "event_ts") or string(event, "ts") or ts
    new = rich.Composed(text="") if gone else await _composed(directory, changed)
    return AgentEdit(
        agent_id=user,
        at=time_of(at),
        channel=channel,
        thread_ts=thread_ts,
        ts=ts,
        text=None if gone else new.text,
        spans=new.spans,
        mentions=not gone and _calls_somebody(changed),
        lost=lost,
        stand=stand,
    )


async def _composed(directory: Directory, message: Payload) -> rich.Composed:
    written, blocks_ = string(message, "text"), message.get("blocks")
    mentioned = dict.fromkeys((*_USER.findall(written), *rich.users(blocks_)))
    for user in list(mentioned)[:MAX_NAMES]:
        with suppress(NotYet):  # a name is never worth waiting for: without one it reads `@someone`
            await directory.profile(user)
    composed = rich.read(blocks_, directory.name)
    if composed is not None and (composed.text or not written):
        return composed
    return rich.Composed(text=text.slack_to_plain(written, directory.name))


def _calls_somebody(message: Payload) -> bool:
    """Whether a message mentions a colleague, a group or everybody."""
    return bool(_CALL.search(string(message, "text"))) or rich.calls(message.get("blocks"))


def _attachments(files: object) -> tuple[Attachment, ...]:
    if not isinstance(files, list):
        return ()
    return tuple(_attachment(mapping(file)) for file in files if string(mapping(file), "id"))


def _attachment(file: Payload) -> Attachment:
    mime = string(file, "mimetype") or "application/octet-stream"
    size = file.get("size")
    gone = string(file, "mode") in ("tombstone", "hidden_by_limit")
    return Attachment(
        id=string(file, "id"),
        kind="voice" if string(file, "subtype") == CLIP else files.kind_of(mime),
        platform_id=string(file, "id"),
        name=text.safe_filename(string(file, "name") or string(file, "title")),
        mime=mime,
        size=size if isinstance(size, int) else None,
        problem="file_gone" if gone else None,
    )

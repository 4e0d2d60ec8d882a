"""chat.*"""

import math
from typing import Any

from sandbox.slack import blocks as block_kit
from sandbox.slack import messages
from sandbox.slack.errors import SlackError
from sandbox.slack.methods.call import Call, Method
from sandbox.slack.model import Channel, Json, Message

MAX_METADATA_TYPE_CHARS = 255
CANNOT_SHOW = "This content can't be displayed."


def post_message(call: Call) -> Json:
    """chat.postMessage"""
    channel = _writable(call)
    text, blocks, attachments = _content(call)
    if len(text) > messages.MAX_TEXT_CHARS:
        text = text[: messages.MAX_TEXT_CHARS]
        call.warnings.append("message_truncated")
    wait_s = call.side.limits.post(channel.id) if call.side.desk.limits else None
    if wait_s is not None:
        raise RateLimited(wait_s)
    message = messages.post(
        call.side,
        channel,
        call.bot,
        text,
        blocks=blocks,
        attachments=attachments,
        metadata=_metadata(call),
        thread_ts=call.text("thread_ts"),
        broadcast=call.flag("reply_broadcast"),
        extra=_custom_face(call),
        via="chat.postMessage",
    )
    return {"channel": channel.id, "ts": message.ts, "message": message.json(with_metadata=True)}


def update(call: Call) -> Json:
    """chat.update"""
    channel = call.channel()
    message = _own(call, channel, "cant_update_message")
    if channel.is_archived:
        raise SlackError("is_archived")
    text, blocks, attachments = _content(call, allow_nothing="metadata" in call.args)
    if len(text) > messages.MAX_TEXT_CHARS:
        raise SlackError("msg_too_long")
    if "text" not in call.args and blocks is None and attachments is None:
        text, blocks = message.body["text"], message.body.get("blocks")
    elif blocks is None and "text" not in call.args:
        blocks = message.body.get("blocks")
    messages.edit(
        call.side,
        channel,
        message,
        call.bot,
        text=text,
        blocks=blocks,
        attachments=attachments,
        metadata=_metadata(call),
        via="chat.update",
    )
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": text,
        "message": message.json(with_metadata=True),
    }


def delete(call: Call) -> Json:
    """chat.delete"""
    channel = call.channel()
    message = _own(call, channel, "cant_delete_message")
    messages.delete(call.side, channel, message, by=call.bot, via="chat.delete")
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(call: Call) -> Json:
    """chat.postEphemeral"""
    channel = _writable(call)
    user = call.side.user(call.required("user", "user_not_found"))
    if user.id not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks, _ = _content(call)
    if len(text) > messages.MAX_TEXT_CHARS:
        raise SlackError("msg_too_long")
    ephemeral = messages.show_ephemeral(
        call.side,
        channel,
        user,
        text,
        blocks=blocks,
        thread_ts=call.text("thread_ts"),
        via="chat.postEphemeral",
    )
    return {"message_ts": ephemeral.body["ts"]}


def get_permalink(call: Call) -> Json:
    """chat.getPermalink"""
    channel = call.channel()
    message = messages.find(channel, call.required("message_ts", "message_not_found"))
    link = f"{call.side.desk.url}/slack/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


class RateLimited(SlackError):
    """429: come back after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("ratelimited")
        self.retry_after_s = max(1, math.ceil(retry_after_s))


def invalid_blocks(errors: list[str]) -> SlackError:
    """`invalid_blocks` the way Slack lists its reasons."""
    return SlackError(
        "invalid_blocks", errors=errors, response_metadata={"messages": [f"[ERROR] {error}" for error in errors]}
    )


def _writable(call: Call) -> Channel:
    channel = call.channel(to_post=True)
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.side.bot.id not in channel.members and not (channel.kind == "channel" and call.has("chat:write.public")):
        raise SlackError("not_in_channel")
    return channel


def _own(call: Call, channel: Channel, otherwise: str) -> Message:
    message = messages.find(channel, call.required("ts", "message_not_found"))
    if message.body.get("bot_id") != call.side.bot.bot_id:
        raise SlackError(otherwise)
    return message


def _content(call: Call, *, allow_nothing: bool = False) -> tuple[str, list[Json] | None, list[Json] | None]:
    blocks: Any = call.json("blocks", "invalid_blocks_format")
    attachments: Any = call.json("attachments", "invalid_attachments")
    if attachments is not None and not _is_list_of_objects(attachments):
        raise SlackError("invalid_attachments")
    raw = call.args.get("text")
    text = "" if raw is None else str(raw)
    if not text.strip() and not blocks and not attachments and not allow_nothing:
        raise SlackError("no_text")
    if blocks is not None and (errors := block_kit.check(blocks)):
        raise invalid_blocks(errors)
    if not text and blocks:
        text = CANNOT_SHOW
    return text, blocks, attachments


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _metadata(call: Call) -> Json | None:
    metadata = call.json("metadata", "invalid_metadata_format")
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    kind = metadata.get("event_type")
    if not isinstance(kind, str) or not kind or len(kind) > MAX_METADATA_TYPE_CHARS:
        raise SlackError("invalid_metadata_schema")
    return {"event_type": kind, "event_payload": metadata["event_payload"]}


def _custom_face(call: Call) -> Json | None:
    """`username` and icons count only with chat:write.customize; the message is then an old-style bot_message."""
    username = call.text("username")
    if username is None or not call.has("chat:write.customize"):
        return None
    return {"subtype": "bot_message", "username": username}


METHODS = {
    "chat.postMessage": Method(handler=post_message, scopes=("chat:write",), tier=0),
    "chat.update": Method(handler=update, scopes=("chat:write",)),
    "chat.delete": Method(handler=delete, scopes=("chat:write",)),
    "chat.postEphemeral": Method(handler=post_ephemeral, scopes=("chat:write",), tier=4),
    "chat.getPermalink": Method(handler=get_permalink, tier=0, form_only=True),
}

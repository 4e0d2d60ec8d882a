"""files.*: the external upload in three steps, information, deletion."""

import mimetypes
import secrets
from typing import Any

from sandbox.slack import messages, workspace
from sandbox.slack.errors import SlackError
from sandbox.slack.methods.call import Call, Method
from sandbox.slack.model import File, Json

MAX_FILE_BYTES = 1_000_000_000
MAX_FILES_AT_ONCE = 10


def get_upload_url(call: Call) -> Json:
    """files.getUploadURLExternal"""
    name = call.required("filename")
    try:
        length = int(call.required("length"))
    except ValueError:
        raise SlackError("invalid_arguments") from None
    if not 0 < length <= MAX_FILE_BYTES:
        raise SlackError("file_upload_size_restricted" if length > 0 else "invalid_arguments")
    file = File(
        id=call.side.new_id("F"),
        name=name,
        title=name,
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        size=length,
        user=call.side.bot.id,
        created_s=call.side.now_s(),
        secret=secrets.token_urlsafe(16),
    )
    call.side.files[file.id] = file
    return {"upload_url": f"{call.side.desk.url}/slack/upload/{file.id}/{file.secret}", "file_id": file.id}


def complete_upload(call: Call) -> Json:
    """files.completeUploadExternal. Completed twice, it is shared twice."""
    asked: Any = call.json("files", "invalid_arguments")
    if not isinstance(asked, list) or not asked or len(asked) > MAX_FILES_AT_ONCE:
        raise SlackError("invalid_arguments")
    files: list[File] = []
    for item in asked:
        file = call.side.files.get(item.get("id", "")) if isinstance(item, dict) else None
        if file is None or file.deleted or file.stored is None:
            raise SlackError("file_not_found")
        file.title = str(item.get("title") or file.name)
        files.append(file)
    targets = [call.text("channel_id")] if call.text("channel_id") else (call.text("channels") or "").split(",")
    channels = [call.side.channel_for_bot(target) for target in targets if target]
    thread_ts = call.text("thread_ts")
    if thread_ts and len(channels) != 1:
        raise SlackError("invalid_arguments")
    for channel in channels:
        if channel.is_archived:
            raise SlackError("is_archived")
        if call.side.bot.id not in channel.members:
            raise SlackError("not_in_channel")
    for file in files:
        file.completed = True
        call.side.desk.log.add(
            "slack", "file", file.id, {"name": file.name, "size": file.size, "channels": [c.id for c in channels]}
        )
    for channel in channels:
        for file in files:
            file.channels = [*file.channels, *([] if channel.id in file.channels else [channel.id])]
        messages.post(
            call.side,
            channel,
            call.bot,
            call.text("initial_comment") or "",
            thread_ts=thread_ts,
            files=files,
            via="files.completeUploadExternal",
        )
    return {"files": [file.json(call.side.desk.url, workspace.TEAM_ID) for file in files]}


def info(call: Call) -> Json:
    """files.info"""
    return {"file": _file(call).json(call.side.desk.url, workspace.TEAM_ID), "comments": []}


def delete(call: Call) -> Json:
    """files.delete"""
    file = _file(call)
    if file.user != call.side.bot.id:
        raise SlackError("cant_delete_file")
    file.deleted = True
    file.stored = None
    gone = {"id": file.id, "mode": "tombstone"}  # what is left of it in the messages it was shared with
    for place in (one for one in file.channels if one in call.side.channels):
        for message in call.side.channels[place].messages.values():
            shared = message.body.get("files", [])
            if any(one["id"] == file.id for one in shared):
                message.body["files"] = [gone if one["id"] == file.id else one for one in shared]
                call.side.publish("message_changed", channel=place, message=message.body)
    call.side.desk.log.add("slack", "file_deleted", file.id, {"name": file.name})
    return {}


def _file(call: Call) -> File:
    file = call.side.files.get(call.required("file", "file_not_found"))
    if file is None or not file.completed:
        raise SlackError("file_not_found")
    if file.deleted:
        raise SlackError("file_deleted")
    return file


METHODS = {
    "files.getUploadURLExternal": Method(handler=get_upload_url, scopes=("files:write",), tier=4, form_only=True),
    "files.completeUploadExternal": Method(handler=complete_upload, scopes=("files:write",), tier=4),
    "files.info": Method(handler=info, scopes=("files:read",), tier=4, form_only=True),
    "files.delete": Method(handler=delete, scopes=("files:write",)),
}

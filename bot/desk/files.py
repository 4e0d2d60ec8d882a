"""Files into a thread (Slack's external upload, three steps) and out of one, streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from bot.desk import words
from bot.desk.client import SlackApi
from bot.desk.payloads import mapping, string
from domain import files, text
from domain.errors import NeverPossible, RetryLater, Unclear
from domain.model import Attachment
from domain.ports import DeskDelivery, File

HOLD_LIMIT = 20 * 1024 * 1024
"""A file whose size nobody announced is held in memory up to this, because Slack wants the length first."""
REF_LENGTH = 12


def upload_name(delivery: DeskDelivery, name: str) -> str:
    """The name under which a delivery's file is stored: it carries the end of the delivery id, to be found by."""
    safe = text.safe_filename(name)
    stem, dot, extension = safe.rpartition(".")
    ref = delivery.id[-REF_LENGTH:].lower()
    return f"{stem}-{ref}.{extension}" if dot and stem else f"{safe}-{ref}"


async def upload(api: SlackApi, delivery: DeskDelivery, file: File) -> str:
    """Put a file into the delivery's thread and return its id.

    Until the last step nothing is visible, so what fails before it may be repeated; the last step may end Unclear.
    Raises a DeliveryError, also the file's own (too large, gone).
    """
    content, size = await _sized(file)
    head, content = await _peeked(content)
    poses = files.posing(file.name, head)
    name = upload_name(delivery, file.name)
    place = await api.call("files.getUploadURLExternal", filename=name, length=size)
    url, file_id = string(mapping(place), "upload_url"), string(mapping(place), "file_id")
    if not url or not file_id:
        raise RetryLater("odd_answer", "files.getUploadURLExternal")
    await api.upload(url, content, size)
    answer = await api.call(
        "files.completeUploadExternal",
        files=[{"id": file_id, "title": text.safe_filename(file.name)}],
        channel_id=delivery.place,
        thread_ts=delivery.thread_ts,
        initial_comment=None if poses is None else words.posing(text.safe_filename(file.name), poses),
    )
    stored = answer.get("files")
    if not isinstance(stored, list) or not stored:
        raise Unclear("odd_answer", "files.completeUploadExternal")
    return file_id


async def opened(api: SlackApi, attachment: Attachment) -> File:
    """An agent's file. Raises NeverPossible when it is gone or kept elsewhere, AccessRevoked without files:read."""
    answer = await api.call("files.info", file=attachment.platform_id)
    info: Mapping[str, Any] = mapping(answer.get("file"))
    url = string(info, "url_private_download") or string(info, "url_private")
    if not url or string(info, "mode") in ("tombstone", "hidden_by_limit"):
        raise NeverPossible("file_gone", "files.info")
    if info.get("is_external") is True:
        raise NeverPossible("foreign_file_host", "files.info")
    size = info.get("size")
    announced = size if isinstance(size, int) else attachment.size

    def content() -> AsyncIterator[bytes]:
        return api.download(url, announced)

    return File(
        name=text.safe_filename(string(info, "name") or attachment.name),
        mime=string(info, "mimetype") or attachment.mime,
        size=announced,
        open=content,
        kind=attachment.kind,
    )


def is_file_of(delivery: DeskDelivery, message: Mapping[str, Any], name: str) -> str | None:
    """The file's id if this message shows the delivery's file, else None."""
    wanted = upload_name(delivery, name)
    shown = message.get("files")
    for file in shown if isinstance(shown, list) else ():
        if string(mapping(file), "name") in (wanted, quote(wanted)):
            return string(mapping(file), "id")
    return None


async def _peeked(content: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, and all of them: what a file is, is told by itself and not by its name."""
    held: list[bytes] = []
    while sum(map(len, held)) < files.HEAD_BYTES and (piece := await anext(content, None)) is not None:
        held.append(piece)

    async def whole() -> AsyncIterator[bytes]:
        for piece in held:
            yield piece
        async for piece in content:
            yield piece

    return b"".join(held)[: files.HEAD_BYTES], whole()


async def _sized(file: File) -> tuple[AsyncIterator[bytes], int]:
    if file.size is not None:
        return file.open(), file.size
    held: list[bytes] = []
    size = 0
    async for chunk in file.open():
        size += len(chunk)
        if size > HOLD_LIMIT:
            raise NeverPossible("file_too_large", f"more than {HOLD_LIMIT} bytes of unknown length")
        held.append(chunk)
    return _again(held), size


async def _again(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk

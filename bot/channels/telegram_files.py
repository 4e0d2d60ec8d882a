"""Customers' files: asked for by their id, streamed through, never stored."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from telegram.error import BadRequest, TelegramError

from bot.channels import telegram_send
from bot.channels.telegram_api import Api
from domain import errors
from domain.model import Attachment
from domain.ports import File

PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
UNAVAILABLE = "temporarily unavailable"
TRIES = 3
TRY_AGAIN_S = 1.0


async def open_file(api: Api, attachment: Attachment, *, limit: int, limit_s: float) -> File:
    """The file behind an attachment. Its bytes are fetched when it is opened; the link behind it lives about an hour.

    Raises NeverPossible (`too_large`, `gone`), RetryLater, AccessRevoked; so does reading it, also with `too_slow`.
    """
    if attachment.size is not None and attachment.size > limit:
        raise errors.NeverPossible("too_large", f"over {limit} bytes")
    found = await _look_up(api, attachment.platform_id)
    path, size = found.get("file_path"), found.get("file_size")
    if not isinstance(path, str) or not PATH.fullmatch(path) or ".." in path.split("/"):
        raise errors.NeverPossible("gone", "the platform names no usable path")
    if not isinstance(size, int):
        size = attachment.size
    if size is not None and size > limit:
        raise errors.NeverPossible("too_large", f"over {limit} bytes")

    def download() -> AsyncIterator[bytes]:
        return api.wire.fetch(api.file_url(path), limit=limit, limit_s=limit_s)

    return File(name=attachment.name, mime=attachment.mime, size=size, open=download)


async def _look_up(api: Api, file_id: str) -> dict[str, object]:
    """getFile. Telegram says "wrong file_id or temporarily unavailable" for both: a few tries tell them apart."""
    for attempt in range(1, TRIES + 1):
        try:
            found = await api.call("getFile", {"file_id": file_id})
        except BadRequest as error:
            if UNAVAILABLE not in error.message.casefold():
                raise _refusal(error) from None
            if attempt < TRIES:
                await asyncio.sleep(TRY_AGAIN_S)
            continue
        except TelegramError as error:
            raise _refusal(error) from None
        return found if isinstance(found, dict) else {}
    raise errors.NeverPossible("gone", "the platform no longer has the file")


def _refusal(error: TelegramError) -> errors.DeliveryError:
    """As for a sending, but reading may always be repeated, and a refused id means that the file is gone."""
    found = telegram_send.meaning(error)
    if isinstance(found, errors.Unclear):
        return errors.RetryLater("file_unreachable")
    if isinstance(found, errors.NeverPossible) and found.code != "too_large":
        return errors.NeverPossible("gone", found.detail)
    return found

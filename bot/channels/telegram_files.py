"""Customers' files: asked for by their id, streamed through, never stored.

A Bot API server of one's own that runs with `--local` hands out what is larger than Telegram's limit, and then every
file by its path on its own disk: it is read from there, where that folder is given. The path holds the bot's token.
https://github.com/tdlib/telegram-bot-api#usage
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

from telegram.error import BadRequest, TelegramError

from bot.channels import telegram_send
from bot.channels.telegram_api import Api
from domain import errors
from domain.model import Attachment
from domain.ports import File

PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
UNAVAILABLE = "temporarily unavailable"
PIECE_BYTES = 256 * 1024
STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
"""How a folder is opened on the way to a file: where it can be, without the right to list it."""
TRIES = 3
TRY_AGAIN_S = 1.0


async def open_file(
    api: Api, attachment: Attachment, *, limit: int, limit_s: float, folder: Path | None = None
) -> File:
    """The file behind an attachment. Its bytes are fetched when it is opened; the link behind it lives about an hour.

    `folder` is where a server of one's own keeps its files, None where files are fetched from the server.
    Raises NeverPossible (`too_large`, `gone`), RetryLater, AccessRevoked; so does reading it, also with `too_slow`.
    """
    if attachment.size is not None and attachment.size > limit:
        raise errors.NeverPossible("too_large", f"over {limit} bytes")
    found = await _look_up(api, attachment.platform_id)
    path, size = found.get("file_path"), _size(found.get("file_size"))
    if size is None:
        size = attachment.size
    is_on_disk = isinstance(path, str) and path.startswith("/")
    if not isinstance(path, str) or not (is_on_disk or (PATH.fullmatch(path) and ".." not in path.split("/"))):
        raise errors.NeverPossible("gone", "the platform names no usable path")
    if is_on_disk:
        there = await asyncio.to_thread(_size_on_disk, path, folder)
        size = there if size is None else size
    if size is not None and size > limit:
        raise errors.NeverPossible("too_large", f"over {limit} bytes")

    def download() -> AsyncIterator[bytes]:
        if is_on_disk:
            return _read(path, folder, limit)
        return api.wire.fetch(api.file_url(path), limit=limit, limit_s=limit_s)

    return File(name=attachment.name, mime=attachment.mime, size=size, open=download)


def _size(said: object) -> int | None:
    """A size that can be one, None for anything else that a server may say."""
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def _size_on_disk(path: str, folder: Path | None) -> int:
    with _opened(path, folder) as file:
        return os.fstat(file.fileno()).st_size


def _opened(path: str, folder: Path | None) -> BinaryIO:
    """The file that the server names by its path. Raises NeverPossible, and RetryLater without its disk."""
    if folder is None:
        raise errors.NeverPossible("gone", "the Bot API server names files on its own disk; set telegram.files_folder")
    try:
        home = folder.resolve(strict=True)
    except OSError as error:
        raise errors.RetryLater("file_unreachable", f"telegram.files_folder: {type(error).__name__}") from None
    try:
        return _beneath(home, Path(path).resolve().relative_to(home).parts)
    except (OSError, ValueError, RuntimeError):  # ValueError: no such name can be; RuntimeError: links in a ring
        raise errors.NeverPossible("gone", "no such file below telegram.files_folder") from None


def _beneath(home: Path, names: Sequence[str]) -> BinaryIO:
    """A plain file below a folder, reached step by step: what has become a link since it was looked up leads nowhere.

    Nothing but a plain file is opened: a pipe without a writer would be waited for, and a device may do something.
    """
    if not names:
        raise ValueError("the folder itself")
    at = os.open(home, STEP)
    try:
        for name in names[:-1]:
            below = os.open(name, STEP | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        _demand_plain(os.stat(names[-1], dir_fd=at, follow_symlinks=False))
        found = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    file = os.fdopen(found, "rb")
    try:
        _demand_plain(os.fstat(found))  # again: another may stand under this name by now
    except OSError:
        file.close()
        raise
    return file


def _demand_plain(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise OSError("not a plain file")


async def _read(path: str, folder: Path | None, limit: int) -> AsyncIterator[bytes]:
    """A file's bytes in pieces. Raises NeverPossible (`too_large`, `gone`), and RetryLater without its disk."""
    try:
        with await asyncio.to_thread(_opened, path, folder) as file:
            left = limit
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    raise errors.NeverPossible("too_large", f"over {limit} bytes")
                yield piece
    except OSError as error:  # its message holds the path
        raise errors.NeverPossible("gone", type(error).__name__) from None


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

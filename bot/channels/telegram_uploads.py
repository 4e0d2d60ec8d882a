"""Files to Telegram: each by the method of its kind, several as one album, as documents where that is refused."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from telegram import (
    InputFile,
    InputMediaAudio,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    MessageEntity,
)
from telegram.error import BadRequest

from bot.channels import telegram_entities, telegram_form
from bot.channels.telegram_limits import PHOTO_LIMIT_BYTES, UPLOAD_LIMIT_BYTES
from domain import errors, files, text
from domain.ports import ChatDelivery, File

METHODS = {
    "photo": "sendPhoto",
    "video": "sendVideo",
    "audio": "sendAudio",
    "voice": "sendVoice",
    "animation": "sendAnimation",
    "document": "sendDocument",
}
ALBUM: Mapping[str, Callable[..., Any]] = {
    "photo": InputMediaPhoto,
    "video": InputMediaVideo,
    "audio": InputMediaAudio,
    "document": InputMediaDocument,
}
BAD_MEDIA = (
    "photo_",
    "image_process_failed",
    "wrong type of the web page content",
    "dimensions",
    "media_invalid",
    "wrong file",
    "voice_messages_forbidden",
    "can't be mixed",
)
"""What a refusal says that is about a file's kind alone: as a document it is taken."""
BAD_ENTITIES = ("entit", "button_url_invalid", "url host is empty", "wrong http url")
"""What a refusal says that is about the dress of a text alone: without it the words are taken."""

Call = Callable[[str, Mapping[str, object]], Awaitable[object]]
"""Calls a method of the Bot API with these parameters."""


def kind_of(file: File) -> str:
    """What Telegram is asked to show a file as. A photo whose size is unknown or too large for one is a document."""
    kind = file.kind if file.kind == "voice" else files.kind_of(file.mime)
    if kind == "photo" and (file.size is None or file.size > PHOTO_LIMIT_BYTES):
        return "document"
    return kind


async def upload(
    call: Call, delivery: ChatDelivery, about: Mapping[str, object], *, limit: int = UPLOAD_LIMIT_BYTES
) -> object:
    """Send the file, or the album, with the text as its caption; `about` says where to. The raw answer.

    `limit`: bytes of one file.

    Raises NeverPossible before anything is read where a file cannot be taken.
    """
    found = delivery.files or (() if delivery.file is None else (delivery.file,))
    if not found:
        raise errors.NeverPossible("no_file", "the delivery carries no file")
    for file in found:
        if file.size == 0:
            raise errors.NeverPossible("empty", "the file is empty")
        if file.size is not None and file.size > limit:
            raise errors.NeverPossible("too_large", f"over {limit} bytes")
    load = _Load(call=call, delivery=delivery, about=about, limit=limit, files=_named(found))
    kinds = _together([kind_of(file) for file in load.files])
    try:
        return await load.dressed(kinds)
    except BadRequest as error:
        plain = ["document"] * len(kinds)
        if kinds == plain or not any(word in error.message.casefold() for word in BAD_MEDIA):
            raise
    return await load.dressed(plain)


def _named(found: Sequence[File]) -> list[File]:
    return [replace(file, name=text.safe_filename(file.name)) for file in found]


def _together(kinds: list[str]) -> list[str]:
    """Kinds that one album takes: else all are documents."""
    families = {files.FAMILIES.get(kind, kind) for kind in kinds}
    return (
        kinds
        if len(kinds) == 1 or (len(families) == 1 and families <= {"seen", "heard", "read"})
        else ["document"] * len(kinds)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Load:
    """What goes up in one request, and where to."""

    call: Call
    delivery: ChatDelivery
    about: Mapping[str, object]
    limit: int
    files: Sequence[File]

    async def dressed(self, kinds: Sequence[str]) -> object:
        """With the caption as the agent dressed it; plain where Telegram does not take the dress."""
        said = self.delivery.text
        if self.delivery.spans and said:
            shown, entities = telegram_entities.dressed(said, self.delivery.spans)
            try:
                return await self._sent(kinds, {"caption": shown, "caption_entities": entities})
            except BadRequest as error:
                if not any(word in error.message.casefold() for word in BAD_ENTITIES):
                    raise
        return await self._sent(kinds, {"caption": said} if said else {})

    async def _sent(self, kinds: Sequence[str], caption: Mapping[str, Any]) -> object:
        if len(kinds) == 1:
            return await self.call(METHODS[kinds[0]], {**self.about, **caption, kinds[0]: self._part(self.files[0])})
        media = [ALBUM[kind](media=self._part(file, attach=True)) for file, kind in zip(self.files, kinds, strict=True)]
        media[0] = ALBUM[kinds[0]](
            media=self._part(self.files[0], attach=True),
            caption=caption.get("caption"),
            caption_entities=MessageEntity.de_list(caption.get("caption_entities", []), None),
        )
        return await self.call("sendMediaGroup", {**self.about, "media": media})

    def _part(self, file: File, *, attach: bool = False) -> InputFile:
        part: Any = telegram_form.Part(file, limit=self.limit)
        return InputFile(part, filename=file.name, attach=attach, read_file_handle=False)


def numbers(sent: object) -> str:
    """The id of what was sent: of an album the first message's number, then how far it is to each next one."""
    messages = sent if isinstance(sent, list) else [sent]
    found = [one.get("message_id") for one in messages if isinstance(one, dict)]
    ids = [number for number in found if isinstance(number, int) and not isinstance(number, bool)]
    steps = [after - before for before, after in itertools.pairwise(ids)]
    return ".".join(str(number) for number in (*ids[:1], *steps))


def messages(number: str) -> list[int]:
    """The messages that an id of `numbers` stands for. Raises ValueError for anything else."""
    first, *steps = (int(part) for part in number.split("."))
    found = [first]
    for step in steps:
        found.append(found[-1] + step)
    return found

"""What files are: what their first bytes say, and what a chat shows them as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.model import Attachment

HEAD_BYTES = 64
"""So much of a file's beginning tells what it is."""
KINDS = {
    "image/jpeg": "photo",
    "image/png": "photo",
    "image/webp": "photo",
    "image/gif": "animation",
    "video/mp4": "video",
    "audio/mpeg": "audio",
    "audio/mp4": "audio",
    "audio/x-m4a": "audio",
    "audio/ogg": "voice",
}
"""What a chat shows in place; every other type is a document."""
FAMILIES = {"photo": "seen", "video": "seen", "audio": "heard", "document": "read"}
"""Kinds that may stand in one album; what is not here goes by itself."""
RUNNABLE = frozenset({"application/x-msdownload", "application/x-elf", "application/x-mach-binary", "text/x-script"})
"""What does something when it is opened."""
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/x-mach-binary"),
    (0, b"#!", "text/x-script"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyphe", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftyp", "video/mp4"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_MARKUP = (b"<!doctype html", b"<html", b"<script", b"<svg")
_CLAIMS = {
    "jpg": "image/", "jpeg": "image/", "png": "image/", "gif": "image/", "webp": "image/", "heic": "image/",
    "mp4": "video/", "mov": "video/", "webm": "video/", "avi": "video/",
    "mp3": "audio/", "ogg": "audio/", "m4a": "audio/", "wav": "audio/", "flac": "audio/",
    "pdf": "application/pdf",
    "docx": "application/zip", "xlsx": "application/zip", "pptx": "application/zip", "zip": "application/zip",
    "txt": "text/plain", "csv": "text/plain",
}  # fmt: skip
"""What the end of a name says that a file is: the beginning of its type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a chat takes of files: a caption's length (UTF-16 units), files in one album, bytes of one (None: any).

    A photo of more than `photo_limit` bytes is shown as a document.
    """

    caption_limit: int = 0
    most_together: int = 1
    upload_limit: int | None = None
    photo_limit: int | None = None


def sniffed(head: bytes) -> str | None:
    """The type that the first bytes tell; None where they tell none, as those of plain text do not."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    for place, magic, mime in _MAGIC:
        if head.startswith(magic, place):
            return mime
    return "text/html" if head.lstrip()[:16].lower().startswith(_MARKUP) else None


def posing(name: str, head: bytes) -> str | None:
    """The type of a file that is a program or a page under the name of something else; None for all others."""
    found = sniffed(head)
    claim = _CLAIMS.get(name.rpartition(".")[2].lower()) if "." in name else None
    if found is None or claim is None or found.startswith(claim):
        return None
    return found if found in RUNNABLE or found == "text/html" else None


def kind_of(mime: str) -> str:
    """What a chat shows a file of this type as: photo, video, audio, voice, animation or document."""
    return KINDS.get(mime.partition(";")[0].strip().lower(), "document")


def together(files: Sequence[Attachment], terms: Terms) -> list[tuple[int, ...]]:
    """The places of the files, in their order: those that go out as one album in one tuple.

    What certainly will not be taken stands alone, so that it keeps nothing else back.
    """
    groups: list[tuple[int, ...]] = []
    open_for = ""
    for place, file in enumerate(files):
        family = FAMILIES.get(shown_as(file, terms), "") if fits(file, terms) else ""
        if family and family == open_for and len(groups[-1]) < terms.most_together:
            groups[-1] = (*groups[-1], place)
        else:
            groups.append((place,))
        open_for = family
    return groups


def shown_as(file: Attachment, terms: Terms) -> str:
    """The kind that a chat shows a file as, as far as is known before it is read."""
    is_too_large = terms.photo_limit is not None and file.size is not None and file.size > terms.photo_limit
    return "document" if file.kind == "photo" and is_too_large else file.kind


def fits(file: Attachment, terms: Terms) -> bool:
    """Whether the chat may take it, as far as is known before it is read."""
    too_large = terms.upload_limit is not None and file.size is not None and file.size > terms.upload_limit
    return not (too_large or file.problem is not None or file.size == 0)

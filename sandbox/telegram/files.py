"""Files: what was uploaded, under which id, and the links that expire."""

import base64
import struct
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sandbox import filedata
from sandbox.telegram.errors import bad_request

Json = dict[str, Any]

MAX_DOWNLOAD = 20 * 1024 * 1024
MAX_UPLOAD = 50 * 1024 * 1024
MAX_PHOTO_UPLOAD = 10 * 1024 * 1024
LINK_LIVES_S = 3600
"""A link from getFile works for at least an hour (real time)."""
SIZES = (("s", 90), ("m", 320), ("x", 800), ("y", 1280))
"""The sizes Telegram makes of a photo: the longest side in pixels."""
FOLDERS = {
    "photo": ("AgAC", "photos"),
    "document": ("BQAC", "documents"),
    "voice": ("AwAC", "voice"),
    "video": ("BAAC", "videos"),
    "audio": ("CQAC", "music"),
    "sticker": ("CAAC", "stickers"),
    "animation": ("CgAC", "animations"),
    "video_note": ("DQAC", "video_notes"),
}
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One stored file. `unique_id` is the same for every bot and for ever; `path` is its place for
    downloads; `says` what Telegram says of it in place of the truth.
    """

    unique_id: str
    kind: str
    data: bytes
    name: str
    mime_type: str
    path: str
    says: Json = field(default_factory=dict)

    @property
    def file_id(self) -> str:
        """The id under which a bot fetches or resends it."""
        return f"{FOLDERS[self.kind][0]}AgIAAxkBAAI{self.unique_id}"


class Files:
    """All files of the platform."""

    def __init__(self) -> None:
        self._by_unique: dict[str, File] = {}
        self._by_path: dict[str, File] = {}
        self._links: dict[str, float] = {}
        self._encoded: dict[str, str] = {}

    def add(self, data: bytes, *, kind: str, name: str, mime_type: str, says: Json | None = None) -> File:
        """Store a file of a kind in FOLDERS."""
        number = len(self._by_unique) + 1
        suffix = PurePosixPath(name).suffix or EXTENSIONS.get(mime_type, "")
        file = File(
            unique_id=f"AQAD{number:012x}",
            kind=kind,
            data=data,
            name=name,
            mime_type=mime_type,
            path=f"{FOLDERS[kind][1]}/file_{number}{suffix}",
            says=says or {},
        )
        self._keep(file)
        return file

    def by_id(self, file_id: str) -> File:
        """The file behind a file_id. 400 for a wrong one."""
        unique_id = file_id.partition("AgIAAxkBAAI")[2].partition("-")[0]
        file = self._by_unique.get(unique_id)
        if file is None:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        return file

    def by_unique(self, unique_id: str) -> File | None:
        """The file with this file_unique_id."""
        return self._by_unique.get(unique_id)

    def link(self, file_id: str, *, now: float) -> Json:
        """The File object that getFile answers, with a link that lives from `now` (real epoch seconds)."""
        file = self.by_id(file_id)
        if len(file.data) > MAX_DOWNLOAD:
            raise bad_request("file is too big")
        self._links[file.path] = now
        return {**base(file, file_id), "file_path": file.path}

    def download(self, path: str, *, now: float) -> File | None:
        """The file behind a link, None if there is none or it has expired."""
        issued = self._links.get(path)
        if issued is None or now - issued > LINK_LIVES_S:
            return None
        return self._by_path.get(path)

    def expire_links(self) -> None:
        """Let every link of getFile run out."""
        self._links.clear()

    def clear(self) -> None:
        """Forget all files."""
        for kept in (self._by_unique, self._by_path, self._links, self._encoded):
            kept.clear()

    def dump(self) -> list[Json]:
        """For the state file."""
        return [
            {
                "unique_id": file.unique_id,
                "kind": file.kind,
                "data": self._base64(file),
                "name": file.name,
                "mime_type": file.mime_type,
                "path": file.path,
                "says": file.says,
            }
            for file in self._by_unique.values()
        ]

    def load(self, saved: list[Json]) -> None:
        """From the state file."""
        for fields in saved:
            self._keep(File(**{**fields, "data": base64.b64decode(fields["data"])}))

    def _keep(self, file: File) -> None:
        self._by_unique[file.unique_id] = file
        self._by_path[file.path] = file

    def _base64(self, file: File) -> str:
        if file.unique_id not in self._encoded:
            self._encoded[file.unique_id] = base64.b64encode(file.data).decode()
        return self._encoded[file.unique_id]


def base(file: File, file_id: str | None = None) -> Json:
    """What every kind of file object has."""
    truth = {
        "file_id": file_id or file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": len(file.data),
    }
    return filedata.as_said(truth, file.says)


def photo_sizes(file: File) -> list[Json]:
    """The `photo` of a message: several PhotoSize, smallest first; here all lead to the same bytes."""
    width, height = image_size(file.data) or (800, 600)
    longest = max(width, height)
    sizes = []
    for letter, side in SIZES:
        scale = min(1.0, side / longest)
        sizes.append(
            {
                **base(file, f"{file.file_id}-{letter}"),
                "file_unique_id": f"{file.unique_id}{letter}",
                "width": max(1, round(width * scale)),
                "height": max(1, round(height * scale)),
            }
        )
        if scale == 1.0:
            break
    return sizes


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, GIF or JPEG; None if it is none of them."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return (width, height) if width and height else None
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return (width, height) if width and height else None
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return (width, height) if width and height else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None

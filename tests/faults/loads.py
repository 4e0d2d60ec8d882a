"""What is sent at the limits: files that grow from a seed, cell by cell, and what must become of each."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bot.channels import telegram_limits
from domain.files import FAMILIES

Way = Literal["in", "out"]
WAYS: tuple[Way, ...] = ("in", "out")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
KINDS: Mapping[str, tuple[str, str, bytes]] = {
    "photo": ("png", "image/png", PNG),
    "document": ("pdf", "application/pdf", b"%PDF-1.4\n"),
    "voice": ("ogg", "audio/ogg", b"OggS\0\x02"),
    "audio": ("mp3", "audio/mpeg", b"ID3\x04\0\0"),
    "video": ("mp4", "video/mp4", MP4),
    "animation": ("gif", "image/gif", b"GIF89a\x01\0\x01\0"),
    "video_note": ("mp4", "video/mp4", MP4),
    "sticker": ("webp", "image/webp", b"RIFF\x10\0\0\0WEBPVP8 "),
}
"""Each kind's ending, type and beginning."""
SENT_BY_AGENTS = ("photo", "document", "voice", "audio", "video", "animation")
"""Slack knows neither round videos nor stickers."""
NAMELESS = {"photo": "photo.jpg", "voice": "voice.ogg", "video_note": "video.mp4", "sticker": "sticker.webp"}
"""What Telegram gives no name gets one of ours."""
COUNTS = (1, 2, 10)
WORDS = "All of it, as agreed"
SOME = 1000
"""Bytes by which something is larger, smaller or said to be."""
TRUTH = -1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bytes of one file: what Telegram hands out, what it takes, and what it takes as a picture."""

    down: int = telegram_limits.DOWNLOAD_LIMIT_BYTES
    up: int = telegram_limits.UPLOAD_LIMIT_BYTES
    photo: int = telegram_limits.PHOTO_LIMIT_BYTES

    def of(self, way: Way, kind: str) -> int:
        """The largest file of a kind that goes this way as what it is."""
        if way == "in":
            return self.down
        return min(self.photo, self.up) if kind == "photo" else self.up


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One file. `says` is what its platform announces in place of its size; `refused` that it must not arrive."""

    kind: str
    name: str
    size: int
    seed: int
    says: int | None = TRUTH
    refused: bool = False

    @cached_property
    def digest(self) -> str:
        """Of every byte."""
        head = KINDS[self.kind][2]
        found = hashlib.sha256(head)
        found.update(random.Random(self.seed).randbytes(self.size - len(head)))
        return found.hexdigest()

    def described(self, data: str, name: str, says: str) -> dict[str, Any]:
        """As the sandbox takes it, under its names of the fields."""
        _, mime, head = KINDS[self.kind]
        said = {} if self.says == TRUTH else {says: self.says}
        about = {data: base64.b64encode(head).decode(), name: self.name, "mime": mime}
        return {**about, "size": self.size, "seed": self.seed, "says": said}

    @property
    def shown_in_slack(self) -> str:
        """The name under which it stands in its thread."""
        return NAMELESS.get(self.kind, self.name)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Some files that are sent as one message, one way."""

    way: Way
    what: str
    size: str
    parcels: Sequence[Parcel]
    words: str = ""
    takes: int | None = None  # bytes of one request, where a server in front of Telegram's takes so many

    @property
    def name(self) -> str:
        """`out video 10 at the limit`."""
        return f"{self.way} {self.what} {len(self.parcels)} {self.size}"

    @property
    def bytes(self) -> int:
        """Of all that must arrive."""
        return sum(parcel.size for parcel in self.parcels if not parcel.refused)

    def groups(self, limits: Limits) -> list[list[Parcel]]:
        """What an agent's files must arrive as: neighbours of one family as one album, anything else by itself."""
        found: list[list[Parcel]] = []
        open_for = ""
        for parcel in self.parcels:
            if parcel.refused:
                open_for = ""
                continue
            family = "" if self._is_apart() else FAMILIES.get(shown_as(parcel, limits), "")
            if family and family == open_for and len(found[-1]) < telegram_limits.ALBUM_FILES:
                found[-1].append(parcel)
            else:
                found.append([parcel])
            open_for = family
        return found

    def _is_apart(self) -> bool:
        """Whether the album turns out not to be possible only when it is sent: each file goes by itself then."""
        is_found_out = any(parcel.refused and parcel.says != TRUTH for parcel in self.parcels)
        return is_found_out or (self.takes is not None and self.bytes > self.takes)


def shown_as(parcel: Parcel, limits: Limits) -> str:
    """What it is on the customer's phone: a picture that is too large for one is a document."""
    return "document" if parcel.kind == "photo" and parcel.size > limits.photo else parcel.kind


# ---- the matrix ------------------------------------------------------------------------------------------------------


def cells(seed: int, limits: Limits) -> Iterator[Cell]:
    """Every way, kind and number, at the limit and one byte over; then what is mixed, and what is announced wrongly."""
    made = _Maker(seed=seed, limits=limits)
    for way in WAYS:
        for kind in KINDS if way == "in" else SENT_BY_AGENTS:
            yield from made.of_kind(way, kind)
        yield from made.mixed(way)
        yield from made.announced(way)
    yield from made.sent_by_agents()


@dataclass(kw_only=True)
class _Maker:
    """Gives every file a name and a seed of its own."""

    seed: int
    limits: Limits
    made: int = 0

    def parcel(self, kind: str, size: int, **about: Any) -> Parcel:
        self.made += 1
        name = f"{kind}-{self.made}.{KINDS[kind][0]}"
        return Parcel(kind=kind, name=name, size=size, seed=self.seed * 100_000 + self.made, **about)

    def largest(self, way: Way, *kinds: str) -> list[Parcel]:
        return [self.parcel(kind, self.limits.of(way, kind)) for kind in kinds]

    def of_kind(self, way: Way, kind: str) -> Iterator[Cell]:
        limit = self.limits.of(way, kind)
        is_never_taken = limit == self.limits.of(way, "document")
        for count in COUNTS:
            whole = self.largest(way, *[kind] * count)
            yield Cell(way=way, what=kind, size="at the limit", parcels=whole, words=WORDS if count > 1 else "")
            over = [self.parcel(kind, limit + 1, refused=is_never_taken) for _ in range(count)]
            yield Cell(way=way, what=kind, size="one byte over", parcels=over)

    def mixed(self, way: Way) -> Iterator[Cell]:
        seen = self.largest(way, *("photo", "video") * 5)
        yield Cell(way=way, what="mixed", size="pictures and videos", parcels=seen, words=WORDS)
        limit = self.limits.of(way, "document")
        some = [self.parcel("document", limit + (place == 4), refused=place == 4) for place in range(10)]
        yield Cell(way=way, what="mixed", size="one of them over", parcels=some, words=WORDS)

    def announced(self, way: Way) -> Iterator[Cell]:
        """Sizes that are not said, or said wrongly: of one file, and of the first of two."""
        limit = self.limits.of(way, "document")
        odd: Mapping[str, tuple[int, int | None, bool]] = {
            "not announced": (limit, None, False),
            "announced as more": (limit - SOME, limit, False),
            "announced as less": (limit + 1, SOME, True),
            "over and not announced": (limit + 1, None, True),
        }
        for size, (bytes_, says, refused) in odd.items():
            for count in COUNTS[:2]:
                first = self.parcel("document", bytes_, says=says, refused=refused)
                parcels = [first, *(self.parcel("document", SOME) for _ in range(count - 1))]
                yield Cell(way=way, what="announced", size=size, parcels=parcels)

    def sent_by_agents(self) -> Iterator[Cell]:
        """What only Telegram has rules about."""
        kinds = ("photo", "photo", "document", "document", "voice", "video", "audio", "audio")
        yield Cell(way="out", what="mixed", size="every family", parcels=self.largest("out", *kinds), words=WORDS)
        photo = self.limits.of("out", "photo")
        if photo < self.limits.up:
            large = [self.parcel("photo", photo + (place == 1)) for place in range(4)]
            yield Cell(way="out", what="mixed", size="one too large for a picture", parcels=large, words=WORDS)
        ten = self.largest("out", *["document"] * 10)
        less = 2 * self.limits.up
        yield Cell(way="out", what="mixed", size="past a smaller server", parcels=ten, words=WORDS, takes=less)

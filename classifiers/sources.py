"""Which encoder is meant: one line of config.yaml, taken apart. Nothing is fetched here.

sentence-transformers/all-MiniLM-L6-v2@<40 hex>    a repository of a model hub at one revision
...@<40 hex>#<64 hex>                              the same, its weights file pinned by sha256
models/my-encoder                                  a folder on this machine
https://embed.example.com                          a server that speaks Text Embeddings Inference
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from classifiers.errors import ModelError

HUB = "https://huggingface.co"
SERVER = "server.json"  # beside heads that a server's encoder was used for: what it said of itself

_REPOSITORY = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})", re.ASCII)
_PINNED = re.compile(
    rf"{_REPOSITORY.pattern}@(?P<revision>[0-9a-f]{{40}})(?:#(?:sha256:)?(?P<sha256>[0-9a-f]{{64}}))?", re.ASCII
)
_ODD = re.compile(r"[^\w.-]+", re.ASCII)
_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model comes from. `name` is the repository's, the folder's path or the server's address.

    `revision` and `sha256` are those of a repository, hex in lower case, "" elsewhere or where none is pinned.
    """

    kind: Literal["hub", "folder", "server"]
    name: str
    revision: str = ""
    sha256: str = ""

    @property
    def slug(self) -> str:
        """A folder's name for what is made from it: another revision, another folder."""
        tail = self.revision or hashlib.sha256(self.name.encode()).hexdigest()
        last = self.name.rstrip("/").replace("\\", "/").split("/")
        words = "--".join(last) if self.kind == "hub" else urlsplit(self.name).hostname or last[-1]
        return f"{_ODD.sub('-', words)[:80]}@{tail[:_SHORT]}"

    def __str__(self) -> str:
        """As it is written in config.yaml."""
        pin = f"@{self.revision}" if self.revision else ""
        return f"{self.name}{pin}" + (f"#{self.sha256}" if self.sha256 else "")


def home(model_dir: Path, source: Source | None) -> Path:
    """The model folder of an encoder: that of the default one, or a folder of its own in it."""
    return model_dir / source.slug if source else model_dir


def parse(text: str) -> Source:
    """Take a line apart. Raises ModelError, which says how to write it."""
    text = text.strip()
    if text.startswith(("http://", "https://")):
        if not urlsplit(text).hostname:
            raise ModelError(f"{text} is no address; write https://host or https://host:port")
        return Source(kind="server", name=text.rstrip("/"))
    if found := _PINNED.fullmatch(text):
        return Source(kind="hub", name=found["name"], revision=found["revision"], sha256=found["sha256"] or "")
    if text.startswith((".", "/", "~")) or (text and "@" not in text and Path(text).is_dir()):
        return Source(kind="folder", name=str(Path(text).expanduser()))
    if _REPOSITORY.fullmatch(text.partition("@")[0]):
        raise ModelError(
            f"{text} is not pinned; write NAME@REVISION with the 40 characters of a commit"
            " (`relaydesk init` looks the newest one up); for a folder write ./NAME"
        )
    raise ModelError(f"{text!r} is no encoder; write NAME@REVISION, a folder such as ./models/mine, or https://host")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An encoder that suits, as `relaydesk init` offers it. Sizes are of the download, in megabytes."""

    name: str
    languages: str
    megabytes: int
    about: str


OFFERS = (
    Offer(
        name="intfloat/multilingual-e5-small",
        languages="about 100, Chinese and English among them",
        megabytes=120,
        about="12 layers, 384 numbers; about half the speed of the default",
    ),
    Offer(
        name="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        languages="about 50, Chinese and English among them",
        megabytes=120,
        about="12 layers, 384 numbers; short sentences",
    ),
    Offer(
        name="BAAI/bge-small-zh-v1.5",
        languages="Chinese",
        megabytes=96,
        about="4 layers, 512 numbers; English is left to the n-gram expert",
    ),
)
"""Encoders whose licence lets a company use them. Measured by whom uses them: `relaydesk evaluate`."""

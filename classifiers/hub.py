"""Files of a model hub's repository, at one revision, checked as they come.

The listing of a revision names the sha256 of every large file and the git hash of every small one, and the revision is
itself a hash of all that: what arrives under a pinned revision is what was published under it, through a mirror, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from classifiers.errors import WeightsRefused, WeightsUnavailable
from classifiers.sources import HUB, Source

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
TRIES = 3
LARGEST_BYTES = 1_500_000_000  # what a model may weigh: larger ones are not served on a processor
SMALL_BYTES = 64_000_000  # the largest of the other files: vocabularies of 250,000 words take 17 MB
_PIECE = 1 << 20

Progress = Callable[[str, float], None]
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of a repository. `sha256` is "" for small files, whose `blob` (git's SHA-1 of them) is known instead."""

    path: str
    size: int
    sha256: str
    blob: str


@contextmanager
def _client(endpoint: str) -> Iterator[httpx.Client]:
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise WeightsRefused(f"the model hub {endpoint} is not reached by https; nothing was fetched")
    try:
        with httpx.Client(base_url=endpoint.rstrip("/"), timeout=TIMEOUT, follow_redirects=True) as client:
            yield client
    except httpx.HTTPError as error:
        raise WeightsUnavailable(
            f"the model hub {endpoint} cannot be reached ({type(error).__name__}); set HF_ENDPOINT to a mirror, or give"
            " a folder"
        ) from error


def newest(repository: str, endpoint: str = HUB) -> str:
    """The newest revision of a repository, 40 hex. Raises WeightsUnavailable."""
    with _client(endpoint) as client:
        found = _json(client, f"/api/models/{repository}", repository).get("sha")
    if not isinstance(found, str) or len(found) != 40:
        raise WeightsUnavailable(f"the model hub {endpoint} names no revision of {repository}")
    return found


def listing(source: Source, endpoint: str = HUB) -> dict[str, Entry]:
    """The files of a repository at its revision, by path. Raises WeightsUnavailable, WeightsRefused."""
    with _client(endpoint) as client:
        return _listing(client, source)


def _listing(client: httpx.Client, source: Source) -> dict[str, Entry]:
    rows = _json(client, f"/api/models/{source.name}/tree/{source.revision}?recursive=true", str(source))
    found = {}
    try:
        for row in rows:
            if row["type"] != "file":
                continue
            large = row.get("lfs") or {}
            found[str(row["path"])] = Entry(
                path=str(row["path"]),
                size=int(large.get("size", row["size"])),
                sha256=str(large.get("oid", "")).removeprefix("sha256:"),
                blob=str(row["oid"]),
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsUnavailable(f"the listing of {source} cannot be read ({type(error).__name__})") from error
    return found


def fetch(
    source: Source, wanted: Mapping[str, str], target: Path, progress: Progress, endpoint: str = HUB
) -> dict[str, str]:
    """Fetch files into `target` under their own paths. `wanted` maps a path to the sha256 that it must have, or to ""
    where what the revision says is enough. Returns the sha256 of each.

    Raises WeightsUnavailable (cannot be had), WeightsRefused (too large, or not the file that it should be).
    """
    with _client(endpoint) as client:
        files = _listing(client, source)
        chosen = []
        for path, pin in wanted.items():
            entry = files.get(path)
            if entry is None:
                raise WeightsUnavailable(f"{source} has no {path}")
            if entry.size > (LARGEST_BYTES if entry.sha256 else SMALL_BYTES):
                raise WeightsRefused(
                    f"{path} of {source} is too large ({entry.size / 1e6:.0f} MB); nothing was fetched"
                )
            if pin and entry.sha256 and pin != entry.sha256:
                raise WeightsRefused(f"{path} of {source} is not the pinned file; nothing was fetched")
            chosen.append((entry, pin))
        whole = max(1, sum(entry.size for entry, _ in chosen))
        done = 0
        hashes = {}
        for entry, pin in chosen:

            def told(bytes_so_far: int, name: str = entry.path, before: int = done) -> None:
                progress(f"fetching {PurePosixPath(name).name}", (before + bytes_so_far) / whole)

            hashes[entry.path] = _file(client, source, entry, pin, target / _inside(entry.path), told)
            done += entry.size
    return hashes


def _inside(path: str) -> PurePosixPath:
    """A path that stays in its folder. Raises WeightsRefused."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise WeightsRefused(f"the repository names a file outside its folder: {path!r}")
    return pure


def _file(
    client: httpx.Client, source: Source, entry: Entry, pin: str, target: Path, told: Callable[[int], None]
) -> str:
    """One file, tried again where the line breaks. Its sha256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    address = f"/{source.name}/resolve/{source.revision}/{quote(entry.path)}"
    for _ in range(TRIES - 1):
        with suppress(httpx.TransportError):  # a broken line; the last try says what is wrong
            return _stream(client, address, source, entry, pin, target, told)
    return _stream(client, address, source, entry, pin, target, told)


def _stream(
    client: httpx.Client,
    address: str,
    source: Source,
    entry: Entry,
    pin: str,
    target: Path,
    told: Callable[[int], None],
) -> str:
    large = hashlib.sha256()
    small = hashlib.sha1(f"blob {entry.size}\0".encode(), usedforsecurity=False)  # git's own name for the content
    size = 0
    with client.stream("GET", address) as answer, target.open("wb") as file:
        _refuse_odd(answer, source)
        for piece in answer.iter_bytes(_PIECE):
            size += len(piece)
            if size > entry.size:
                break
            large.update(piece)
            small.update(piece)
            file.write(piece)
            told(size)
    found = large.hexdigest()
    right = found == entry.sha256 if entry.sha256 else small.hexdigest() == entry.blob
    if size != entry.size or not right or (pin and pin != found):
        target.unlink()
        raise WeightsRefused(f"{entry.path} of {source} arrived as another file than the one published; try again")
    return found


def _refuse_odd(answer: httpx.Response, source: Source) -> None:
    if answer.url.scheme != "https" and answer.url.host not in _LOOPBACK:
        raise WeightsRefused(f"the model hub leads to {answer.url.host} without https; nothing was fetched")
    if answer.status_code in (401, 403):
        raise WeightsUnavailable(f"{source} is not public; download it yourself and give the folder")
    if answer.status_code == 404:
        raise WeightsUnavailable(f"the model hub has no {source}; look at name and revision")
    if answer.is_error:
        raise WeightsUnavailable(f"the model hub answered {answer.status_code} for {source}; try again later")


def _json(client: httpx.Client, address: str, what: str) -> Any:  # noqa: ANN401 - JSON
    answer = client.get(address)
    _refuse_odd(answer, Source(kind="hub", name=what))
    try:
        return answer.json()
    except ValueError as error:
        raise WeightsUnavailable(f"the model hub's answer about {what} cannot be read") from error

"""The ring of master keys: text, one key per line, the first one active, older ones while they are needed."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import structlog

from domain.errors import RefusedToStart
from storage import crypto

log = structlog.get_logger()

_LINE: Final = re.compile(r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,39}):(?P<key>[A-Za-z0-9_-]{43}=?)")
_READABLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
REREAD_PAUSE_S: Final = 1.0
"""A source that does not help is not asked for every single key."""
# A ring of hundreds of keys fits; anything larger is not a key file.
_MAX_FILE_BYTES: Final = 65_536
_HEADER: Final = """\
# Relaydesk master keys, one per line as id:key. The first line seals, the others still open what they sealed.
# Without this file nothing in the record can be read again: keep a copy apart from the data and its backups.
"""


@dataclass(frozen=True, kw_only=True)
class MasterRing:
    """Master keys by id; `active` is the one that seals, `source` names for errors where they came from."""

    keys: Mapping[str, bytes] = field(repr=False)
    active: str
    source: str = "memory"

    @classmethod
    def generate(cls) -> Self:
        """A ring of one new random key under a new random id."""
        ring_id = f"k-{secrets.token_hex(4)}"
        return cls(keys={ring_id: crypto.new_key()}, active=ring_id)

    @classmethod
    def parse(cls, text: str, source: str) -> Self:
        """Read the text form: `id:base64url` of 32 bytes per line, active key first; `#` starts a comment.

        Raises:
            RefusedToStart: no key, a malformed line, a repeated id; names source and line, never the content.
        """
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            ring_id, key = _entry(line, f"{source}, line {number}")
            if ring_id in keys:
                raise RefusedToStart(f"{source}, line {number}: the id {ring_id} stands twice; give each key its own")
            keys[ring_id] = key
        if not keys:
            raise RefusedToStart(f"{source}: holds no master key; put your copy back")
        return cls(keys=keys, active=next(iter(keys)), source=source)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a master key file.

        Raises:
            RefusedToStart: missing, unreadable, readable by others, malformed; says which command mends it.
        """
        with _refusing(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    raise RefusedToStart(f"{path}: is not a file")
                if mode & _READABLE_BY_OTHERS:
                    found = f"others may read the master keys (mode {stat.S_IMODE(mode):04o})"
                    raise RefusedToStart(f"{path}: {found}; run: chmod 600 {path}")
                raw = file.read(_MAX_FILE_BYTES + 1)
        if len(raw) > _MAX_FILE_BYTES:
            raise RefusedToStart(f"{path}: larger than {_MAX_FILE_BYTES} bytes, so not a master key file")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RefusedToStart(f"{path}: is not text, so not a master key file") from None
        return cls.parse(text, str(path))

    def text(self) -> str:
        """The text form, active key first: what `parse` reads. Secret."""
        ordered = [self.active, *(ring_id for ring_id in self.keys if ring_id != self.active)]
        encoded = {ring_id: base64.urlsafe_b64encode(key).decode() for ring_id, key in self.keys.items()}
        return "".join(f"{ring_id}:{encoded[ring_id]}\n" for ring_id in ordered)


class RingHolder:
    """The ring a process works with. It reads the source again when a key turns up that it lacks: a rotation."""

    def __init__(self, ring: MasterRing, reread: Callable[[], MasterRing] | None = None) -> None:
        self.ring = ring
        self._reread = reread
        self._asked_at = -REREAD_PAUSE_S

    def key(self, ring_id: str) -> bytes | None:
        """A master key by its id; None where even the newest ring lacks it."""
        if ring_id not in self.ring.keys:
            self.refresh()
        return self.ring.keys.get(ring_id)

    def refresh(self) -> bool:
        """Read the source again; True when that brought another ring. A source that cannot be read changes nothing."""
        asked_at = time.monotonic()
        if self._reread is None or asked_at - self._asked_at < REREAD_PAUSE_S:
            return False
        self._asked_at = asked_at
        try:
            found = self._reread()
        except RefusedToStart as error:
            log.warning("keys.ring_not_read", reason=str(error))
            return False
        is_new = found.active != self.ring.active or found.keys.keys() != self.ring.keys.keys()
        self.ring = found
        return is_new


def add_master_key(path: Path) -> MasterRing:
    """Put a new active key into a master key file, before the ones that are there; returns the whole ring.

    The new file takes the old one's place in one step: whoever dies amid it leaves the one or the other.
    Raises RefusedToStart as `MasterRing.read` does, or when the file cannot be written.
    """
    ring, new = MasterRing.read(path), MasterRing.generate()
    return write_master_file(path, MasterRing(keys={**new.keys, **ring.keys}, active=new.active))


def write_master_file(path: Path, ring: MasterRing) -> MasterRing:
    """Replace a master key file by this ring (mode 0600), durably and in one step."""
    beside = path.with_name(path.name + ".new")
    with _refusing(path):
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write((_HEADER + ring.text()).encode())
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
        _sync_folder(path.parent)
    return MasterRing(keys=ring.keys, active=ring.active, source=str(path))


def create_master_file(path: Path) -> MasterRing:
    """Write a new master key to `path` (mode 0600; a missing folder is made with 0700) and make it durable.

    Raises:
        RefusedToStart: something is already there (it is never overwritten), or the file cannot be written.
    """
    ring = MasterRing.generate()
    with _refusing(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise RefusedToStart(f"{path}: exists already; a master key file is never overwritten") from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write((_HEADER + ring.text()).encode())
                file.flush()
                os.fsync(descriptor)
        except OSError:
            path.unlink()  # half a key file would bar the way to a whole one
            raise
        _sync_folder(path.parent)
    return MasterRing(keys=ring.keys, active=ring.active, source=str(path))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entry(line: str, where: str) -> tuple[str, bytes]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise RefusedToStart(f"{where}: not of the form id:key (32 bytes in base64url); put your copy back")
    try:
        key = base64.b64decode(match["key"].rstrip("=") + "=", altchars=b"-_", validate=True)
    except binascii.Error:
        raise RefusedToStart(f"{where}: the key is damaged; put your copy back") from None
    return match["id"], key


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into an error with the way out."""
    try:
        yield
    except FileNotFoundError:
        raise RefusedToStart(f"{path}: no master key there; run: relaydesk init, or put your copy back") from None
    except OSError as error:
        raise RefusedToStart(f"{path}: {error.strerror}; the master key file cannot be used") from error

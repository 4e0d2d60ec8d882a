"""Sealed files: a backup as it lies in a directory, readable only with the master key ring.

A file is a magic line, a header (JSON, in the clear, bound to all that follows) and frames of at most 1 MiB under a
key of the file's own, which stands in the header wrapped by the active master key. Frames are numbered and the last one
is marked (the STREAM construction of Hoang, Reyhanitabar, Rogaway, Vizár 2015), so that a file that was cut, reordered
or put together of two does not open. The attacker is whoever gets or alters a directory of backups.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import BadBackup, CannotDecrypt
from storage import crypto
from storage.rings import MasterRing

MAGIC: Final = b"relaydesk backup 1\n"
FRAME_BYTES: Final = 1 << 20
_LENGTH_BYTES: Final = 4
_TAG_BYTES: Final = 16
_MOST_HEADER: Final = 1 << 20
_PLACE: Final = ("backup", "key")


def seal(source: Path, target: Path, header: Mapping[str, Any], ring: MasterRing) -> None:
    """Write `source` sealed to `target` (mode 0600, durable; must not exist). `header` must say `set` and `kind`."""
    key = crypto.new_key()
    wrapped = crypto.wrap(ring.keys[ring.active], key, _bound(header))
    whole = {**header, "ring": ring.active, "key": base64.b64encode(wrapped).decode()}
    head = json.dumps(whole, sort_keys=True, ensure_ascii=True).encode()
    cipher, about = AESGCM(key), hashlib.sha256(head).digest()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as plain:
        out.write(MAGIC + len(head).to_bytes(_LENGTH_BYTES, "big") + head)
        number, frame = 0, plain.read(FRAME_BYTES)
        while True:
            following = plain.read(FRAME_BYTES)
            sealed = cipher.encrypt(_nonce(number, is_last=not following), frame, about)
            out.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
            if not following:
                break
            number, frame = number + 1, following
        out.flush()
        os.fsync(out.fileno())


def header(path: Path) -> dict[str, Any]:
    """What a sealed file says of itself. It is proved only when the file is opened. Raises BadBackup."""
    try:
        with path.open("rb") as sealed:
            return _parsed(_head(sealed, path), path)
    except OSError as error:
        raise BadBackup(f"{path}: cannot be read ({error.strerror})") from None


def unseal(source: Path, target: Path, ring: MasterRing) -> dict[str, Any]:
    """Write what `source` holds to `target` (mode 0600; must not exist) and give its header, now proved.

    Raises BadBackup: no backup, cut, altered, or under a master key that `ring` lacks (its name is in the message).
    """
    try:
        with source.open("rb") as sealed:
            head = _head(sealed, source)
            found = _parsed(head, source)
            cipher = AESGCM(_file_key(found, ring, source))
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as plain:
                for frame in _frames(sealed, cipher, hashlib.sha256(head).digest(), source):
                    plain.write(frame)
                plain.flush()
                os.fsync(plain.fileno())
            return found
    except OSError as error:
        raise BadBackup(f"{source}: cannot be read or put back ({error.strerror})") from None


def _frames(sealed: BufferedReader, cipher: AESGCM, about: bytes, source: Path) -> Iterator[bytes]:
    number, is_last = 0, False
    while not is_last:
        length = int.from_bytes(_exactly(sealed, _LENGTH_BYTES, source), "big")
        if not _TAG_BYTES <= length <= FRAME_BYTES + _TAG_BYTES:
            raise BadBackup(f"{source}: is damaged")
        frame = _exactly(sealed, length, source)
        is_last = not sealed.peek(1)
        try:
            yield cipher.decrypt(_nonce(number, is_last=is_last), frame, about)
        except InvalidTag:
            raise BadBackup(f"{source}: was cut or altered") from None
        number += 1


def _file_key(found: Mapping[str, Any], ring: MasterRing, source: Path) -> bytes:
    outer = ring.keys.get(str(found["ring"]))
    if outer is None:
        raise BadBackup(
            f"{source}: needs the master key {found['ring']}, which {ring.source} lacks; "
            "put a copy of the master key file of that time in its place"
        )
    try:
        return crypto.unwrap(outer, base64.b64decode(found["key"]), _bound(found))
    except (CannotDecrypt, ValueError):
        raise BadBackup(f"{source}: was altered, or is under another key than {ring.source} has") from None


def _bound(header_: Mapping[str, Any]) -> bytes:
    return crypto.aad(*_PLACE, f"{header_['set']}/{header_['kind']}")


def _head(sealed: BufferedReader, path: Path) -> bytes:
    if sealed.read(len(MAGIC)) != MAGIC:
        raise BadBackup(f"{path}: is not a backup of Relaydesk, or of a newer release")
    length = int.from_bytes(_exactly(sealed, _LENGTH_BYTES, path), "big")
    if length > _MOST_HEADER:
        raise BadBackup(f"{path}: is damaged")
    return _exactly(sealed, length, path)


def _parsed(head: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(head)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"set", "kind", "ring", "key", "created_at"} <= found.keys():
        raise BadBackup(f"{path}: is damaged")
    return found


def _exactly(sealed: BufferedReader, count: int, path: Path) -> bytes:
    found = sealed.read(count)
    if len(found) < count:
        raise BadBackup(f"{path}: was cut")
    return found


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])

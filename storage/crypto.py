"""Sealing of stored values: AES-256-GCM bound to its place, and keyed hashes for equality look-ups.

A sealed value is one version byte, a random 12-byte nonce, the ciphertext and its 16-byte tag: 29 bytes more
than the plain one. The additional data names table, column and row, so that a value copied elsewhere does not
open (the attacker is whoever can write to the database but has no key).
"""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import CannotDecrypt

KEY_BYTES: Final = 32
OVERHEAD_BYTES: Final = 29
VERSION: Final = 1

_VERSION_BYTE: Final = bytes([VERSION])
_NONCE_BYTES: Final = 12
_LENGTH_BYTES: Final = 4
# Making a cipher costs more than sealing 400 bytes with it (1.6 against 0.9 µs).
CIPHERS_KEPT: Final = 10_000
_ciphers: OrderedDict[bytes, AESGCM] = OrderedDict()


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """Encrypt `plain` under a 32-byte `key`, bound to `aad`. Two calls never give the same bytes."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION_BYTE + nonce + _cipher(key).encrypt(nonce, plain, _VERSION_BYTE + aad)


def open_sealed(key: bytes, blob: bytes, aad: bytes) -> bytes:
    """Give back what `seal` was given.

    Raises:
        CannotDecrypt: the bytes were altered, cut or moved, or sealed under another key or in another format.
    """
    if len(blob) < OVERHEAD_BYTES:
        raise CannotDecrypt(f"a sealed value has at least {OVERHEAD_BYTES} bytes, this one has {len(blob)}")
    if blob[0] != VERSION:
        raise CannotDecrypt(f"sealed in format {blob[0]}; this release reads format {VERSION}")
    try:
        return _cipher(key).decrypt(blob[1 : 1 + _NONCE_BYTES], blob[1 + _NONCE_BYTES :], _VERSION_BYTE + aad)
    except InvalidTag:
        raise CannotDecrypt("a sealed value was altered or moved, or belongs to another key") from None


def aad(table: str, column: str, row_id: str) -> bytes:
    """The place a value is bound to. Length-prefixed, so that no two places give the same bytes."""
    return _framed((table, column, row_id))


def mac(key: bytes, *parts: str | bytes) -> str:
    """HMAC-SHA256 over the length-prefixed parts (text as UTF-8), as 64 hex digits. Same input, same hash."""
    return hmac.digest(key, _framed(parts), "sha256").hex()


def wrap(outer: bytes, key: bytes, aad: bytes) -> bytes:
    """Seal a 32-byte key under another key. Raises ValueError for any other length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    return seal(outer, key, aad)


def unwrap(outer: bytes, blob: bytes, aad: bytes) -> bytes:
    """The key that `wrap` sealed. Raises CannotDecrypt."""
    key = open_sealed(outer, blob, aad)
    if len(key) != KEY_BYTES:
        raise CannotDecrypt("the wrapped value is not a key")
    return key


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(KEY_BYTES)


def forget(key: bytes) -> None:
    """Drop what is held in memory for a key that was destroyed."""
    _ciphers.pop(key, None)


def _cipher(key: bytes) -> AESGCM:
    cipher = _ciphers.get(key)
    if cipher is None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        cipher = _ciphers[key] = AESGCM(key)
        if len(_ciphers) > CIPHERS_KEPT:
            _ciphers.popitem(last=False)
    return cipher


def _framed(parts: Iterable[str | bytes]) -> bytes:
    framed = bytearray()
    for part in parts:
        # surrogatepass: text from outside may hold lone surrogates, and a hash of it must not fail.
        encoded = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        framed += len(encoded).to_bytes(_LENGTH_BYTES, "big")
        framed += encoded
    return bytes(framed)

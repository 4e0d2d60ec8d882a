"""What a message is found by, as it is written with it: keyed hashes of its words, cut to 63 bits, sealed together.

The hashes keep whoever gets the index key apart from the words; the seal keeps whoever gets the database from counting
which hash is how frequent. Both keys are made from the index key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from domain import search
from domain.changes import Changes
from domain.model import Entry, EntryKind, Identity
from storage import crypto

HASH_BYTES: Final = 8
_OF_THE_PERSON: Final = frozenset({EntryKind.CONTACT, EntryKind.FACT, EntryKind.PROFILE, EntryKind.RENAMED})
"""What these hold finds the person, as a name does: earlier names, phone numbers, e-mail addresses, what is known of
them, corrected values too, and what happened elsewhere."""
_TOLD_BY: Final = ("what", "note", "reference")
_MASK: Final = (1 << 63) - 1  # both engines number in signed 64 bits
_REMEMBERED: Final = 50_000
"""Words whose hash is kept in memory: most of what people write is made of fewer."""


class Words:
    """Hashes and seals for one index key. Safe to use from several threads."""

    def __init__(self, index_key: bytes) -> None:
        self._hash_key = hmac.digest(index_key, b"search words", "sha256")
        self._seal_key = hmac.digest(index_key, b"search rows", "sha256")
        self._known: dict[str, bytes] = {}

    def number(self, token: str) -> int:
        """The hash of a token: 63 bits."""
        return int.from_bytes(self._hash(token), "little")

    def pack(self, tokens: Iterable[str]) -> bytes:
        """The hashes of these tokens one after the other, 8 bytes each."""
        known = self._known
        return b"".join([known.get(token) or self._hash(token) for token in tokens])

    def seal(self, plain: bytes, table: str, row_id: str) -> bytes:
        """Seal a row of the index."""
        return crypto.seal(self._seal_key, plain, crypto.aad(table, "sealed", row_id))

    def open(self, blob: bytes, table: str, row_id: str) -> bytes:
        """Open a row of the index. Raises CannotDecrypt."""
        return crypto.open_sealed(self._seal_key, blob, crypto.aad(table, "sealed", row_id))

    def _hash(self, token: str) -> bytes:
        found = self._known.get(token)
        if found is None:
            given = token.encode("utf-8", "surrogatepass")
            number = int.from_bytes(
                hashlib.blake2b(given, digest_size=HASH_BYTES, key=self._hash_key).digest(), "little"
            )
            found = (number & _MASK).to_bytes(HASH_BYTES, "little")
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = found
        return found


@lru_cache(maxsize=4)
def of(index_key: bytes) -> Words:
    """The one `Words` of an index key, with what it remembers."""
    return Words(index_key)


def names_of(identity: Identity) -> tuple[str, ...]:
    """What a person is found by."""
    return search.name_tokens(identity.name, identity.username, identity.address)


def tokens_of(entry: Entry) -> tuple[str, ...]:
    """What a timeline entry is found by."""
    if entry.kind in _OF_THE_PERSON:
        said = _values(entry)
        return search.body_tokens(*said) + search.name_tokens(*said) + _with_its_name(entry)
    return search.body_tokens(entry.body, *(file.name for file in entry.attachments))


def _values(entry: Entry) -> tuple[str, ...]:
    """What an entry says of a person, without the names of its parts."""
    if not entry.body:
        return ()
    if entry.kind is EntryKind.FACT:
        told = json.loads(entry.body)
        return tuple(str(told[name]) for name in _TOLD_BY if told.get(name))
    if entry.kind is EntryKind.PROFILE:
        return tuple(dict.fromkeys(value for _, value in _fields(entry)))
    return (entry.body,)


def _with_its_name(entry: Entry) -> tuple[str, ...]:
    """Each value of a profile together with the name of its field, as the card and many links say it."""
    if entry.kind is not EntryKind.PROFILE or not entry.body:
        return ()
    return tuple(dict.fromkeys(search.exact_token(name, value) for name, value in _fields(entry)))


def _fields(entry: Entry) -> list[tuple[str, str]]:
    """The fields that a line about a profile names, with each of its values."""
    fields = json.loads(entry.body).get("fields", {})
    return [(str(name), str(one["value"])) for name, said in fields.items() for one in said]


def rows(words: Words, changes: Changes) -> list[dict[str, Any]]:
    """The rows of `search_fresh` that a decision writes. A person's names go with the first entry about them."""
    names = () if changes.identity is None else names_of(changes.identity)
    written = []
    for entry in changes.entries:
        tokens: tuple[str, ...] = tokens_of(entry) if entry.body or entry.attachments else ()
        if names and changes.identity is not None and entry.customer_id == changes.identity.customer_id:
            tokens, names = tokens + names, ()
        if tokens:
            sealed = words.seal(words.pack(tokens), "search_fresh", entry.id)
            written.append({"entry_id": entry.id, "words_sealed": sealed})
    return written

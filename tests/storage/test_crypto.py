"""Sealed values open in their own place only, under their own key, unaltered."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import CannotDecrypt
from storage import crypto

KEY = bytes(range(32))
PLACE = crypto.aad("entries", "body", "01JDXQ7Z3V9K2M4N6P8R0S2T4V")
PLAIN = "Wo bleibt mein Paket? 我的包裹在哪里？".encode()

keys = st.binary(min_size=32, max_size=32)
names = st.text(max_size=12)


@given(key=keys, plain=st.binary(max_size=2_000), place=st.binary(max_size=100))
def test_what_is_sealed_opens_again(key: bytes, plain: bytes, place: bytes) -> None:
    """Any bytes under any key and place come back exactly, 29 bytes longer on the way."""
    blob = crypto.seal(key, plain, place)
    assert len(blob) == len(plain) + crypto.OVERHEAD_BYTES
    assert crypto.open_sealed(key, blob, place) == plain


def test_sealing_twice_gives_different_bytes() -> None:
    """Equal texts cannot be told from their ciphertexts."""
    assert len({crypto.seal(KEY, PLAIN, PLACE) for _ in range(200)}) == 200


def test_ciphertext_shows_nothing_of_the_text() -> None:
    """No run of the text survives in the sealed value."""
    blob = crypto.seal(KEY, PLAIN, PLACE)
    assert not any(PLAIN[i : i + 4] in blob for i in range(len(PLAIN) - 4))


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(crypto.aad("customers", "body", "01JDXQ7Z3V9K2M4N6P8R0S2T4V"), id="other table"),
        pytest.param(crypto.aad("entries", "name", "01JDXQ7Z3V9K2M4N6P8R0S2T4V"), id="other column"),
        pytest.param(crypto.aad("entries", "body", "01JDXQ7Z3V9K2M4N6P8R0S2T4W"), id="other row"),
        pytest.param(b"", id="no place"),
    ],
)
def test_moved_ciphertext_is_refused(place: bytes) -> None:
    """A value copied to another table, column or row does not open there."""
    blob = crypto.seal(KEY, PLAIN, PLACE)
    with pytest.raises(CannotDecrypt):
        crypto.open_sealed(KEY, blob, place)


@given(a=st.tuples(names, names, names), b=st.tuples(names, names, names))
def test_two_places_never_give_the_same_bytes(a: tuple[str, str, str], b: tuple[str, str, str]) -> None:
    """The place is unambiguous, however its parts are cut."""
    assert (crypto.aad(*a) == crypto.aad(*b)) == (a == b)


def test_places_that_read_alike_joined_stay_apart() -> None:
    """Moving a letter over the border between two parts is another place."""
    assert crypto.aad("ab", "c", "d") != crypto.aad("a", "bc", "d") != crypto.aad("a", "b", "cd")


@pytest.mark.parametrize("position", range(crypto.OVERHEAD_BYTES + len(PLAIN)))
def test_every_altered_byte_is_noticed(position: int) -> None:
    """Version, nonce, text or tag: whichever byte changes, in whichever bit, nothing is opened."""
    blob = crypto.seal(KEY, PLAIN, PLACE)
    for bit in range(8):
        altered = bytearray(blob)
        altered[position] ^= 1 << bit
        with pytest.raises(CannotDecrypt):
            crypto.open_sealed(KEY, bytes(altered), PLACE)


@given(cut=st.integers(min_value=1, max_value=crypto.OVERHEAD_BYTES + len(PLAIN)), front=st.booleans())
def test_a_cut_value_is_refused(cut: int, front: bool) -> None:
    """Missing bytes at either end, down to none at all, are an error and never a crash."""
    blob = crypto.seal(KEY, PLAIN, PLACE)
    with pytest.raises(CannotDecrypt):
        crypto.open_sealed(KEY, blob[cut:] if front else blob[:-cut], PLACE)


@given(blob=st.binary(max_size=200))
def test_random_bytes_are_refused(blob: bytes) -> None:
    """Noise in the database is CannotDecrypt, whatever it looks like."""
    with pytest.raises(CannotDecrypt):
        crypto.open_sealed(KEY, blob, PLACE)


def test_another_key_does_not_open() -> None:
    """One customer's key is worth nothing for another's text."""
    with pytest.raises(CannotDecrypt):
        crypto.open_sealed(crypto.new_key(), crypto.seal(KEY, PLAIN, PLACE), PLACE)


def test_a_value_of_a_later_format_says_so() -> None:
    """An operator who went back a release reads that, not "altered"."""
    blob = b"\x02" + crypto.seal(KEY, PLAIN, PLACE)[1:]
    with pytest.raises(CannotDecrypt, match="format 2; this release reads format 1"):
        crypto.open_sealed(KEY, blob, PLACE)


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """AES-128 and AES-192 would be accepted by the cipher: only 32 bytes are ours."""
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.seal(bytes(length), PLAIN, PLACE)
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.wrap(KEY, bytes(length), PLACE)


def test_errors_hold_neither_key_nor_text() -> None:
    """What ends up in a log names the trouble only."""
    with pytest.raises(CannotDecrypt) as caught:
        crypto.open_sealed(crypto.new_key(), crypto.seal(KEY, PLAIN, PLACE), PLACE)
    assert str(caught.value) == "a sealed value was altered or moved, or belongs to another key"
    assert caught.value.__suppress_context__


def test_a_wrapped_key_comes_back_and_is_bound_to_its_place() -> None:
    """Wrapping is sealing for keys."""
    data_key = crypto.new_key()
    wrapped = crypto.wrap(KEY, data_key, PLACE)
    assert crypto.unwrap(KEY, wrapped, PLACE) == data_key
    with pytest.raises(CannotDecrypt):
        crypto.unwrap(KEY, wrapped, b"elsewhere")


def test_a_sealed_text_is_not_taken_for_a_key() -> None:
    """Something that opens but is no key is refused before it is used as one."""
    with pytest.raises(CannotDecrypt, match="not a key"):
        crypto.unwrap(KEY, crypto.seal(KEY, PLAIN, PLACE), PLACE)


def test_a_forgotten_key_can_be_used_again() -> None:
    """Forgetting drops the prepared cipher, nothing else; an unknown key is no error."""
    blob = crypto.seal(KEY, PLAIN, PLACE)
    crypto.forget(KEY)
    crypto.forget(KEY)
    assert crypto.open_sealed(KEY, blob, PLACE) == PLAIN


def test_more_keys_than_are_kept_still_work() -> None:
    """The memory of prepared ciphers is bounded and its bound is invisible."""
    first = crypto.new_key()
    blob = crypto.seal(first, PLAIN, PLACE)
    for number in range(crypto.CIPHERS_KEPT + 10):
        crypto.seal(number.to_bytes(32, "big"), b"", b"")
    assert crypto.open_sealed(first, blob, PLACE) == PLAIN


parts = st.lists(st.text(max_size=8) | st.binary(max_size=8), max_size=4)


@given(a=parts, b=parts)
def test_hashes_agree_exactly_when_the_parts_do(a: list[str | bytes], b: list[str | bytes]) -> None:
    """Equal parts give equal hashes; parts that only read alike when joined do not."""
    plain_a = [part if isinstance(part, bytes) else part.encode() for part in a]
    plain_b = [part if isinstance(part, bytes) else part.encode() for part in b]
    assert (crypto.mac(KEY, *a) == crypto.mac(KEY, *b)) == (plain_a == plain_b)


def test_a_hash_is_hmac_sha256_over_framed_parts() -> None:
    """The form is fixed: stored hashes must be found again by every later release."""
    framed = b"\x00\x00\x00\x07address" + b"\x00\x00\x00\x06" + "é请".encode() + b"!"
    assert crypto.mac(KEY, "address", "é请!".encode()) == hmac.new(KEY, framed, hashlib.sha256).hexdigest()


def test_a_hash_needs_its_key() -> None:
    """Without the key nobody can try out which phone number a hash is."""
    assert crypto.mac(KEY, "phone", "+4930123456") != crypto.mac(crypto.new_key(), "phone", "+4930123456")


def test_a_lone_surrogate_can_be_hashed() -> None:
    """Text from outside may hold half a character; looking it up must not fail."""
    assert crypto.mac(KEY, "name", "a\ud800") != crypto.mac(KEY, "name", "a")

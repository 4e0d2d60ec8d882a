"""A sealed file opens whole, with its ring, or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from domain.errors import BadBackup
from storage import vault
from storage.rings import MasterRing

RING = MasterRing(keys={"k-one": bytes(range(32))}, active="k-one", source="master.key")
HEADER = {"set": "s1", "kind": "record", "created_at": 1.5}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "FRAME_BYTES", 64)


def sealed(folder: Path, plain: bytes, name: str = "sealed", **header: object) -> Path:
    (folder / "plain").write_bytes(plain)
    vault.seal(folder / "plain", folder / name, HEADER | header, RING)
    return folder / name


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 1000])
def test_what_was_sealed_is_given_back(tmp_path: Path, size: int) -> None:
    """Of any size, to a file for our eyes only."""
    plain = bytes(n % 251 for n in range(size))
    file = sealed(tmp_path, plain)
    assert vault.header(file)["set"] == "s1"
    assert vault.unseal(file, tmp_path / "back", RING)["created_at"] == 1.5
    assert (tmp_path / "back").read_bytes() == plain
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("sealed", "back")} == {0o600}
    assert plain[:40] not in file.read_bytes() or size < 8


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    """In the header as in a frame."""
    whole = sealed(tmp_path, b"x" * 200).read_bytes()
    for place in range(0, len(whole), 7):
        (tmp_path / "bad").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BadBackup):
            vault.unseal(tmp_path / "bad", tmp_path / f"back{place}", RING)


def test_a_cut_or_longer_or_mixed_file_is_noticed(tmp_path: Path) -> None:
    """At a frame's end, too, and with frames of another file of the same set."""
    one, other = sealed(tmp_path, b"a" * 200, "one"), sealed(tmp_path, b"b" * 200, "other")
    frame = 64 + 16 + 4
    a, b = one.read_bytes(), other.read_bytes()
    for number, bad in enumerate(
        (a[: -(200 % 64 + 20)], a[:-1], a + b[-(200 % 64 + 20) :], a[:-frame] + b[-frame:], a[:30])
    ):
        (tmp_path / f"bad{number}").write_bytes(bad)
        with pytest.raises(BadBackup):
            vault.unseal(tmp_path / f"bad{number}", tmp_path / f"back{number}", RING)


def test_the_missing_master_key_is_named(tmp_path: Path) -> None:
    """And the wrong one under the right name does not open it."""
    file = sealed(tmp_path, b"x")
    foreign = MasterRing(keys={"k-two": bytes(32)}, active="k-two", source="master.key")
    with pytest.raises(BadBackup, match="needs the master key k-one"):
        vault.unseal(file, tmp_path / "back", foreign)
    false = MasterRing(keys={"k-one": bytes(32)}, active="k-one", source="master.key")
    with pytest.raises(BadBackup, match="another key"):
        vault.unseal(file, tmp_path / "back", false)


@pytest.mark.parametrize(
    "content", [b"", b"hello", vault.MAGIC + b"\x00\x00\x00\x02{}", vault.MAGIC + b"\xff\xff\xff\xff"]
)
def test_a_file_that_is_no_backup_is_said_so(tmp_path: Path, content: bytes) -> None:
    """Whatever lies in the directory."""
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(BadBackup):
        vault.header(tmp_path / "odd")
    with pytest.raises(BadBackup, match="cannot be read"):
        vault.header(tmp_path / "nothing")

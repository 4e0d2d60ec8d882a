"""A master key file is made once, read only when nobody else can read it, and never printed."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from domain.errors import RefusedToStart
from storage import crypto
from storage.rings import MasterRing, create_master_file

KEY_A = bytes(range(32))
KEY_B = bytes(range(32, 64))
LINE_A = "a:" + base64.urlsafe_b64encode(KEY_A).decode()
LINE_B = "b.2026-11:" + base64.urlsafe_b64encode(KEY_B).decode().rstrip("=")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_and_reads_back(tmp_path: Path) -> None:
    """Nobody but the owner can read the file or list its folder, and it holds the ring that was returned."""
    path = tmp_path / "deep" / "keys" / "master.key"
    made = create_master_file(path)
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    read = MasterRing.read(path)
    assert read == made
    assert read.source == str(path)
    assert len(read.keys[read.active]) == crypto.KEY_BYTES


def test_a_new_file_is_private_under_any_umask(tmp_path: Path) -> None:
    """The mode is set when the file comes into being, not after."""
    before = os.umask(0)
    try:
        create_master_file(tmp_path / "keys" / "master.key")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "keys" / "master.key") == 0o600
    assert mode_of(tmp_path / "keys") == 0o700


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    """A second init keeps the key that the record depends on, and says so."""
    path = tmp_path / "master.key"
    path.write_text("anything")
    with pytest.raises(RefusedToStart, match="never overwritten"):
        create_master_file(path)
    assert path.read_text() == "anything"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    """A link put in the place of the file cannot lead the key elsewhere."""
    path = tmp_path / "master.key"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedToStart, match="never overwritten"):
        create_master_file(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o610, 0o777])
def test_a_file_others_may_open_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    """Whoever else could have read the keys, the operator learns it and how to mend it."""
    path = tmp_path / "master.key"
    create_master_file(path)
    path.chmod(mode)
    with pytest.raises(RefusedToStart) as caught:
        MasterRing.read(path)
    assert f"(mode {mode:04o})" in str(caught.value)
    assert f"run: chmod 600 {path}" in str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    """Owner only, writable or not, is fine."""
    path = tmp_path / "master.key"
    made = create_master_file(path)
    path.chmod(mode)
    assert MasterRing.read(path) == made


def test_a_missing_file_names_the_ways_out(tmp_path: Path) -> None:
    """Without a key nothing starts: init for a new house, the copy for an old one."""
    with pytest.raises(RefusedToStart, match=r"run: relaydesk init, or put your copy back"):
        MasterRing.read(tmp_path / "master.key")


def test_a_folder_is_not_a_key_file(tmp_path: Path) -> None:
    """A mistyped setting is told apart from a missing key."""
    (tmp_path / "keys").mkdir(mode=0o700)
    with pytest.raises(RefusedToStart, match=r"Is a directory|is not a file"):
        MasterRing.read(tmp_path / "keys")


def test_the_first_line_is_active_and_the_rest_still_open() -> None:
    """Rotation is a new first line; comments, blank lines and a missing padding are welcome."""
    ring = MasterRing.parse(f"# new\n\n  {LINE_B}  \r\n# old\n{LINE_A}\n", "test")
    assert ring.active == "b.2026-11"
    assert ring.keys == {"b.2026-11": KEY_B, "a": KEY_A}


def test_the_text_form_comes_back() -> None:
    """What an environment variable would hold is what was written, in its order."""
    ring = MasterRing(keys={"a": KEY_A, "b": KEY_B}, active="b")
    again = MasterRing.parse(ring.text(), "memory")
    assert again == ring
    assert ring.text().startswith("b:")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no master key"),
        ("# only a comment\n", "holds no master key"),
        (LINE_A.removeprefix("a:"), "line 1: not of the form id:key"),
        (f"{LINE_B}\n{LINE_A[:-4]}", "line 2: not of the form id:key"),
        (LINE_A + "AAAA", "line 1: not of the form id:key"),
        (LINE_A.replace("A", "/", 1), "line 1: not of the form id:key"),
        ("a b" + LINE_A, "line 1: not of the form id:key"),
        ("x" * 41 + LINE_A[1:], "line 1: not of the form id:key"),
        (f"{LINE_A}\n{LINE_A}", "line 2: the id a stands twice"),
    ],
)
def test_damaged_text_is_refused_by_line_and_never_quoted(text: str, reason: str) -> None:
    """The error names source and line; a key that was nearly right is not in it."""
    with pytest.raises(RefusedToStart) as caught:
        MasterRing.parse(text, "RELAYDESK_MASTER_KEY")
    assert str(caught.value).startswith("RELAYDESK_MASTER_KEY")
    assert reason in str(caught.value)
    assert LINE_A[4:20] not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00k", b"a" * 70_000], ids=["binary", "huge"])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """A photo or a database named as the key file gets one clear line."""
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RefusedToStart, match="not a master key file"):
        MasterRing.read(path)


def test_keys_do_not_show() -> None:
    """Printing a ring, in a log or a traceback, shows which keys there are and not what they are."""
    ring = MasterRing.parse(LINE_A, "test")
    shown = f"{ring} {ring!r}"
    assert "active='a'" in shown
    assert LINE_A[2:10] not in shown
    assert repr(KEY_A)[2:10] not in shown


def test_two_generated_rings_share_nothing() -> None:
    """Ids are random too, so that a foreign key file is recognised by its name."""
    one, two = MasterRing.generate(), MasterRing.generate()
    assert one.active != two.active
    assert one.keys[one.active] != two.keys[two.active]

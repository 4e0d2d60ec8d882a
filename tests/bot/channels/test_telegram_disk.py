"""A Bot API server of one's own that lies about files on its disk: nothing outside its folder is ever read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.channels import telegram_files
from bot.channels.telegram import TelegramChannel
from bot.channels.telegram_form import Part
from domain import errors
from domain.model import Attachment
from domain.ports import File
from tests.bot.channels.conftest import config_at, opened
from tests.bot.channels.scripted_api import ScriptedApi, ok

LIMIT = 1_000_000
SECRET = b"of somebody else"
CONTENT = bytes(range(250)) * 20
ROUNDS = 200


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The server's folder with a file in it, and a secret beside the folder."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "server" / "documents").mkdir(parents=True)
    (tmp_path / "server" / "documents" / "a").write_bytes(CONTENT)
    return tmp_path / "server"


@pytest.fixture
async def channel(api: ScriptedApi, home: Path) -> AsyncIterator[TelegramChannel]:
    """A channel at a server whose folder is here."""
    async with opened(replace(config_at(api.url), download_limit=LIMIT, files_folder=home)) as made:
        yield made


async def named(api: ScriptedApi, channel: TelegramChannel, path: object, size: object = None) -> File:
    """What is made of a file that the server says stands there."""
    api.always("getFile", ok({"file_path": str(path), "file_size": size}))
    return await channel.open_file(Attachment(id="U1", kind="document", platform_id="AAQ", name="a", mime="text/plain"))


async def content_of(file: File) -> bytes:
    return b"".join([piece async for piece in file.open()])


@pytest.mark.parametrize(
    "name",
    [
        "documents",
        "pipe",
        "socket",
        "ring",
        "out/secret",
        "documents/../../secret",
        "documents/a/x",
        "nul\0byte",
        "half\ud800",
        "long" * 200,
        "deep/" * 2_000,
        "",
    ],
)
async def test_what_is_no_plain_file_below_the_folder_is_gone(
    api: ScriptedApi, channel: TelegramChannel, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever it is called, and whatever it is: nobody waits for it, and no error tells where it stands."""
    os.mkfifo(home / "pipe")
    (home / "ring").symlink_to(home / "ring")
    (home / "out").symlink_to(home.parent)
    monkeypatch.chdir(home)  # a socket's whole path may be too long for it
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(errors.NeverPossible) as raised:
            await named(api, channel, f"{home}/{name}")
    assert raised.value.code == "gone"
    assert str(home.parent) not in f"{raised.value!r}"


def _linked(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parents[2] / "secret")


def _linked_above(file: Path) -> None:
    file.parents[2].joinpath("a").write_bytes(SECRET)
    file.parent.rename(file.parents[1] / "before")
    file.parent.symlink_to(file.parents[2])


def _piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("exchange", [_linked, _linked_above, _piped, Path.unlink])
async def test_what_is_exchanged_between_look_and_reading_is_gone(
    api: ScriptedApi, channel: TelegramChannel, home: Path, exchange: Callable[[Path], None]
) -> None:
    """A link that leads out, in the place of the file or of a folder above it, and a pipe that nobody writes to."""
    file = await named(api, channel, home / "documents" / "a")
    exchange(home / "documents" / "a")
    with pytest.raises(errors.NeverPossible) as raised:
        await content_of(file)
    assert raised.value.code == "gone"


def test_a_link_that_comes_and_goes_never_leads_out(home: Path) -> None:
    """Somebody exchanges the file for a link and back as fast as they can: it is the file that is read, or nothing."""
    file, spare, link, is_over = home / "documents" / "a", home / "spare", home / "link", threading.Event()
    found: set[bytes] = set()

    def exchange() -> None:
        while not is_over.is_set():
            link.symlink_to(home.parent / "secret")
            link.rename(file)
            spare.write_bytes(CONTENT)
            spare.rename(file)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(ROUNDS):
            try:
                with telegram_files._opened(str(file), home) as read:
                    found.add(read.read())
            except errors.NeverPossible:
                found.add(b"nothing")
    finally:
        is_over.set()
        thread.join()
    assert found <= {CONTENT, b"nothing"}


async def test_a_folder_that_is_itself_a_link_is_one(api: ScriptedApi, home: Path) -> None:
    """A mount is often reached by a link: the server's names below it and those behind it are the same files."""
    other = home.parent / "other"
    other.symlink_to(home)
    async with opened(replace(config_at(api.url), download_limit=LIMIT, files_folder=other)) as channel:
        for above in (other, home):
            assert await content_of(await named(api, channel, above / "documents" / "a")) == CONTENT


async def test_a_file_that_vanishes_while_it_is_read_comes_whole(
    api: ScriptedApi, channel: TelegramChannel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server clears up: whoever had begun to read goes on."""
    monkeypatch.setattr(telegram_files, "PIECE_BYTES", 100)
    file = await named(api, channel, home / "documents" / "a")
    read = bytearray()
    async for piece in file.open():
        (home / "documents" / "a").unlink(missing_ok=True)
        read += piece
    assert read == CONTENT


async def test_a_file_that_grows_for_ever_ends_at_the_limit(
    api: ScriptedApi, channel: TelegramChannel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small it was when it was looked at."""
    monkeypatch.setattr(telegram_files, "PIECE_BYTES", 50_000)
    file, sizes = await named(api, channel, home / "documents" / "a"), [0]

    async def read() -> None:
        with (home / "documents" / "a").open("ab", buffering=0) as growing:
            async for piece in file.open():
                sizes.append(len(piece))
                growing.write(bytes(100_000))

    with pytest.raises(errors.NeverPossible) as raised:
        await read()
    assert raised.value.code == "too_large"
    assert sum(sizes) <= LIMIT


@pytest.mark.parametrize("announced", [len(CONTENT) - 1, len(CONTENT) + 1])
async def test_a_size_that_is_a_lie_is_found_out(
    api: ScriptedApi, channel: TelegramChannel, home: Path, announced: int
) -> None:
    """Less or more than there is: whoever was told that size is not handed another one."""
    file = await named(api, channel, home / "documents" / "a", announced)
    part = Part(file, limit=LIMIT)
    with pytest.raises(errors.NeverPossible) as raised:
        assert len(b"".join([piece async for piece in part.stream()])) <= announced
    assert raised.value.code == "file_changed"


@pytest.mark.parametrize("announced", [None, -1, True, 4.5, "10", [], {}])
async def test_a_size_that_can_be_none_is_looked_up(
    api: ScriptedApi, channel: TelegramChannel, home: Path, announced: object
) -> None:
    """What is no number of bytes is not passed on as one: the file itself says how large it is."""
    file = await named(api, channel, home / "documents" / "a", announced)
    assert (file.size, await content_of(file)) == (len(CONTENT), CONTENT)


async def test_a_file_on_the_disk_that_is_too_large_is_not_begun(
    api: ScriptedApi, channel: TelegramChannel, home: Path
) -> None:
    """Where the server does not say its size, the file does."""
    with (home / "documents" / "a").open("wb") as file:
        file.truncate(LIMIT + 1)
    with pytest.raises(errors.NeverPossible) as raised:
        await named(api, channel, home / "documents" / "a")
    assert raised.value.code == "too_large"

"""Customers' files on their way through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.channels import telegram_files
from bot.channels.telegram import TelegramChannel
from bot.desk import entries, words
from domain import errors
from domain.model import Attachment
from domain.ports import File
from tests.bot.channels.conftest import config_at, opened
from tests.bot.channels.scripted_api import TOKEN, Reply, ScriptedApi, ok, refused

LIMIT = 10_000
CONTENT = bytes(range(250)) * 20


def attachment(size: int | None = len(CONTENT)) -> Attachment:
    return Attachment(id="U1", kind="document", platform_id="AAQ", name="a.pdf", mime="application/pdf", size=size)


async def content_of(file: File) -> bytes:
    return b"".join([piece async for piece in file.open()])


@pytest.fixture
async def channel(api: ScriptedApi) -> AsyncIterator[TelegramChannel]:
    """A channel with a low download limit."""
    async with opened(replace(config_at(api.url), download_limit=LIMIT)) as made:
        yield made


async def test_a_file_comes_through_whole(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Its bytes, its name, its size; asked for by id."""
    api.say("getFile", ok({"file_id": "AAQ", "file_path": "documents/file_1.pdf", "file_size": len(CONTENT)}))
    api.files["documents/file_1.pdf"] = Reply(body=CONTENT, content_type="application/octet-stream")
    file = await channel.open_file(attachment(size=None))
    assert api.asked("getFile")[0].fields == {"file_id": "AAQ"}
    assert (file.name, file.mime, file.size) == ("a.pdf", "application/pdf", len(CONTENT))
    assert await content_of(file) == CONTENT


@pytest.mark.parametrize("known", [True, False])
async def test_a_file_over_the_limit_is_not_fetched(api: ScriptedApi, channel: TelegramChannel, known: bool) -> None:
    """Whether Telegram said its size in the message or says it only now."""
    api.always("getFile", ok({"file_path": "documents/large", "file_size": LIMIT + 1}))
    with pytest.raises(errors.NeverPossible) as raised:
        await channel.open_file(attachment(size=LIMIT + 1 if known else None))
    assert raised.value.code == "too_large"
    assert len(api.asked("getFile")) == (0 if known else 1)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_that_is_larger_than_it_said_is_cut_off(
    api: ScriptedApi, channel: TelegramChannel, chunked: bool
) -> None:
    """The limit holds for the bytes, not for the promise."""
    api.say("getFile", ok({"file_path": "documents/x", "file_size": 10}))
    api.files["documents/x"] = Reply(body=b"x" * (LIMIT + 1), chunked=chunked)
    file = await channel.open_file(attachment(size=10))
    with pytest.raises(errors.NeverPossible, match="too_large"):
        await content_of(file)


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a/../b", "http://evil.example/", "a b", "a?b", "a%2e", "", None, 5]
)
async def test_a_strange_path_is_not_followed(api: ScriptedApi, channel: TelegramChannel, path: object) -> None:
    """Whoever answers for Telegram does not choose what we fetch."""
    api.say("getFile", ok({"file_path": path}))
    with pytest.raises(errors.NeverPossible, match="gone"):
        await channel.open_file(attachment())


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (refused(400, "Bad Request: file is too big"), errors.NeverPossible, "too_large"),
        (refused(400, "Bad Request: invalid file_id"), errors.NeverPossible, "gone"),
        (refused(401, "Unauthorized"), errors.AccessRevoked, "token"),
        (refused(429, "Too Many Requests", retry_after=3), errors.RetryLater, "rate_limited"),
        (Reply(status=500), errors.RetryLater, "file_unreachable"),
        (Reply(cut="before"), errors.RetryLater, "file_unreachable"),
    ],
)
async def test_a_refused_look_up_says_what_must_happen_next(
    api: ScriptedApi, channel: TelegramChannel, reply: Reply, kind: type[errors.DeliveryError], code: str
) -> None:
    """Reading may always be repeated, so nothing is unclear."""
    api.say("getFile", reply)
    with pytest.raises(errors.DeliveryError) as raised:
        await channel.open_file(attachment())
    assert (type(raised.value), raised.value.code) == (kind, code)


async def test_a_file_that_is_unavailable_for_a_moment_is_had(
    api: ScriptedApi, channel: TelegramChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telegram has one sentence for "gone" and "not now": a few tries decide."""
    monkeypatch.setattr(telegram_files, "TRY_AGAIN_S", 0.01)
    unavailable = refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
    api.say("getFile", unavailable, ok({"file_path": "documents/x"}))
    assert (await channel.open_file(attachment())).size == len(CONTENT)
    api.always("getFile", unavailable)
    with pytest.raises(errors.NeverPossible, match="gone"):
        await channel.open_file(attachment())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=404), errors.NeverPossible),
        (Reply(status=500), errors.RetryLater),
        (Reply(status=302, headers={"Location": "/elsewhere"}), errors.RetryLater),
        (Reply(body=CONTENT, cut="body"), errors.RetryLater),
    ],
)
async def test_a_broken_download_is_not_taken_for_the_file(
    api: ScriptedApi, channel: TelegramChannel, reply: Reply, kind: type[errors.DeliveryError]
) -> None:
    """Half a file is no file, redirects are not followed, and no error tells the token."""
    api.say("getFile", ok({"file_path": "documents/x"}))
    api.files["documents/x"] = reply
    file = await channel.open_file(attachment())
    with pytest.raises(errors.DeliveryError) as raised:
        await content_of(file)
    assert type(raised.value) is kind
    assert TOKEN not in f"{raised.value!r} {raised.value.__cause__!r}"


async def test_a_download_that_does_not_begin_in_time_is_tried_later(api: ScriptedApi, hasty: TelegramChannel) -> None:
    """Nobody waits for it for ever."""
    api.say("getFile", ok({"file_path": "documents/x"}))
    api.files["documents/x"] = Reply(body=CONTENT, delay_s=3)
    file = await hasty.open_file(attachment())
    with pytest.raises(errors.RetryLater):
        await content_of(file)


async def test_a_download_whose_time_is_over_is_given_up(api: ScriptedApi) -> None:
    """A server that sends a byte now and then holds up nothing for ever: the thread says why the file is not there."""
    api.say("getFile", ok({"file_path": "documents/x"}))
    api.files["documents/x"] = Reply(body=b"x", is_endless=True)
    async with opened(replace(config_at(api.url), transfer_timeout_s=0.3)) as hurried:
        file = await hurried.open_file(attachment())
        with pytest.raises(errors.NeverPossible) as raised:
            await content_of(file)
    assert raised.value.code == "too_slow"
    for language, reason in (("en", "it took too long to come through"), ("zh", "传输时间太长")):
        with words.reading(language):
            said = entries.file_line(attachment(), raised.value.code)
        assert all(part in said.text for part in ("a.pdf", words.size(len(CONTENT)), reason))


async def test_a_file_that_a_server_of_ones_own_keeps_is_read_from_its_disk(api: ScriptedApi, tmp_path: Path) -> None:
    """A server that runs with --local names it by its path: it is read below the configured folder, nowhere else."""
    home, limit = tmp_path / "server", len(CONTENT)
    home.mkdir()
    (home / "a.pdf").write_bytes(CONTENT)
    (tmp_path / "secret").write_bytes(b"x")
    (home / "link").symlink_to(tmp_path / "secret")
    async with opened(replace(config_at(api.url), download_limit=limit, files_folder=home)) as channel:
        api.always("getFile", ok({"file_path": str(home / "a.pdf"), "file_size": len(CONTENT)}))
        file = await channel.open_file(attachment())
        assert (file.size, await content_of(file)) == (len(CONTENT), CONTENT)
        with (home / "a.pdf").open("ab") as growing:
            growing.write(b"!")
        with pytest.raises(errors.NeverPossible) as raised:
            await content_of(file)
        assert raised.value.code == "too_large", "however large it said it was"
        for wrong in (tmp_path / "secret", home / "link", home / ".." / "secret", home / "gone", home):
            api.always("getFile", ok({"file_path": str(wrong)}))
            with pytest.raises(errors.NeverPossible) as raised:
                await channel.open_file(attachment())
            assert raised.value.code == "gone"
            assert str(tmp_path) not in str(raised.value), "the path holds the token"
        home.rename(tmp_path / "unmounted")
        with pytest.raises(errors.RetryLater):
            await channel.open_file(attachment())
    async with opened(config_at(api.url)) as channel:
        with pytest.raises(errors.NeverPossible, match=r"telegram\.files_folder"):
            await channel.open_file(attachment())


async def test_whoever_takes_a_file_slowly_does_not_make_it_too_slow(api: ScriptedApi) -> None:
    """A disk that stands still, or a platform that pauses while it takes the file, is not Telegram's time."""
    content = bytes(4_000_000)
    api.say("getFile", ok({"file_path": "documents/x"}))
    api.files["documents/x"] = Reply(body=content)
    async with opened(replace(config_at(api.url), transfer_timeout_s=2.0)) as hurried:
        file = await hurried.open_file(attachment())
        read_bytes, paused_s = 0, 2.1
        async for piece in file.open():
            read_bytes += len(piece)
            await asyncio.sleep(paused_s)
            paused_s = 0.0
    assert read_bytes == len(content)

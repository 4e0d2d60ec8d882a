"""Files in both directions: streamed, counted, found again, and the token shown to nobody else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.desk import client
from bot.desk.client import SlackApi
from bot.desk.files import upload_name
from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import AccessRevoked, NeverPossible, RetryLater, Unclear
from domain.events import AgentMessage
from domain.model import Attachment
from domain.ports import DeskDelivery, File
from tests.bot.desk.kit import MAYA, Slack, Store, card_view, delivery, entry, until

PDF = Attachment(id="A1", kind="document", platform_id="tg1", name="invoice 7.pdf", mime="application/pdf", size=1000)


HUGE = 4_000_000
"""Bytes: more than a connection holds while nobody reads."""
SLOWLY_READ = 40_000_000
"""Bytes: more than is taken within half a second by whoever sips, and many times what a connection holds."""


def content(*chunks: bytes, failure: Exception | None = None) -> Callable[[], AsyncIterator[bytes]]:
    """A stream that may break at its end."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        if failure is not None:
            raise failure

    return stream


def file(*chunks: bytes, size: int | None = -1, failure: Exception | None = None) -> File:
    """A customer's file on its way through."""
    length = sum(len(chunk) for chunk in chunks) if size == -1 else size
    return File(name="invoice 7.pdf", mime="application/pdf", size=length, open=content(*chunks, failure=failure))


async def sent(desk: SlackDesk, given: File | None, number: int = 2, **more: object) -> DeskDelivery:
    """A file delivery under a new card, not yet delivered."""
    root = (await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))).platform_id
    made = entry(attachments=(PDF,))
    return delivery(DeliveryKind.DESK_FILE, number, thread_ts=root, file=given, entry=made, **more)


async def shown(slack: Slack, made: DeskDelivery) -> list[dict[str, Any]]:
    """The posts under the card."""
    return (await slack.thread(str(made.thread_ts)))[1:]


@pytest.mark.parametrize("size", [-1, None], ids=["announced", "of unknown size"])
async def test_a_file_of_a_customer_stands_in_the_thread(desk: SlackDesk, slack: Slack, size: int | None) -> None:
    """The bytes arrive as they were, under a readable title."""
    made = await sent(desk, file(b"a" * 70_000, b"b" * 5, size=size))
    receipt = await desk.deliver(made)
    (post,) = await shown(slack, made)
    (there,) = post["files"]
    assert (there["id"], there["title"], there["size"]) == (receipt.platform_id, "invoice 7.pdf", 70_005)
    assert there["name"] == upload_name(made, "invoice 7.pdf")


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "truncated"])
async def test_a_file_whose_answer_was_lost_is_found(desk: SlackDesk, slack: Slack, fault: str) -> None:
    """A file is looked up by its delivery like any post: it is there once."""
    began = datetime.now(UTC)
    made = await sent(desk, file(b"bytes"))
    await slack.fault("files.completeUploadExternal", fault)
    with pytest.raises(Unclear):
        await desk.deliver(made)
    found = await desk.find(made, began)
    (post,) = await shown(slack, made)
    assert found is not None
    assert found.platform_id == post["files"][0]["id"]


async def test_a_broken_upload_has_shown_nothing_and_is_repeated(desk: SlackDesk, slack: Slack) -> None:
    """Until the last step nothing is visible, so any failure before it is a certain no."""
    made = await sent(desk, file(b"bytes"))
    for method in ("files.getUploadURLExternal",):
        for fault in ("drop_after", "500", "429"):
            await slack.fault(method, fault)
            with pytest.raises(RetryLater):
                await desk.deliver(made)
    assert not await shown(slack, made)
    await desk.deliver(made)
    assert len(await shown(slack, made)) == 1


async def test_a_file_that_cannot_be_had_is_named_with_the_reason(desk: SlackDesk, slack: Slack) -> None:
    """Name, size and reason stand where the file would have stood."""
    made = await sent(desk, None, data={"reason": "file_too_large"})
    await desk.deliver(made)
    (post,) = await shown(slack, made)
    assert "invoice 7.pdf (1 kB)" in post["text"]
    assert "the file is too large" in post["text"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (file(b"short", size=50), "the file changed"),
        (file(b"much too long", size=5), "the file changed"),
        (file(b"half", size=50, failure=NeverPossible("file_gone")), "no longer there"),
    ],
)
async def test_a_file_that_breaks_on_its_way_is_named(desk: SlackDesk, slack: Slack, given: File, reason: str) -> None:
    """A source that ends early, goes on too long or fails for good leaves a line, not half a file."""
    made = await sent(desk, given)
    await desk.deliver(made)
    (post,) = await shown(slack, made)
    assert reason in post["text"]
    assert "files" not in post


async def test_a_source_that_is_away_for_a_moment_is_tried_again(desk: SlackDesk, slack: Slack) -> None:
    """The source's own error says what must happen next, and nothing is shown meanwhile."""
    made = await sent(desk, file(b"half", size=50, failure=RetryLater("unreachable")))
    with pytest.raises(RetryLater, match="unreachable"):
        await desk.deliver(made)
    assert not await shown(slack, made)


async def test_an_agents_file_is_read_as_it_is(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """What an agent attaches can be streamed on, byte by byte."""
    root = (await listening.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))).platform_id
    body = bytes(range(256)) * 1000
    upload = {"base64": base64.b64encode(body).decode(), "name": "plan.bin", "mime": "application/octet-stream"}
    await slack.write(MAYA, "see attached", root, files=[upload])
    await until(lambda: bool(store.all))
    read = await listening.parse(store.all[0].payload)
    assert isinstance(read, AgentMessage)
    opened = await listening.open_file(read.attachments[0])
    assert (opened.name, opened.size) == ("plan.bin", len(body))
    assert b"".join([chunk async for chunk in opened.open()]) == body


async def test_a_file_that_is_gone_never_comes(desk: SlackDesk) -> None:
    """An unknown file is a certain no."""
    with pytest.raises(NeverPossible, match="file_not_found"):
        await desk.open_file(PDF)


class FileHost:
    """A host of files that behaves as asked, and notes who showed it a token."""

    def __init__(self) -> None:
        self.tokens: list[str | None] = []

    async def drip(self, request: web.Request) -> web.StreamResponse:
        """A byte now and then, or one and then none."""
        answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            for _ in range(500):
                await answer.write(b"x")
                await asyncio.sleep(0.02 if request.match_info["how"] == "slow" else 10)
        return answer

    async def cut(self, request: web.Request) -> web.Response:
        """Take the beginning of what goes up, then hang up."""
        await request.content.readany()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def sip(self, request: web.Request) -> web.Response:
        """Read what goes up, a little now and then."""
        while not request.content.at_eof():
            await request.content.readany()
            await asyncio.sleep(0.02)
        return web.Response()

    async def take(self, request: web.Request) -> web.Response:
        """Read what goes up."""
        await request.read()
        return web.Response()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer by the path."""
        self.tokens.append(request.headers.get("Authorization"))
        match request.match_info["kind"]:
            case "login":
                return web.Response(text="<html>Sign in</html>", content_type="text/html")
            case "away":
                return web.Response(status=302, headers={"Location": "https://evil.example/"})
            case "busy":
                return web.Response(status=503)
            case "gone":
                return web.Response(status=404)
            case "huge":
                return web.Response(body=bytes(HUGE))
            case "long":
                return web.Response(body=b"x" * 100)
            case _:
                return web.Response(
                    body=b"<b>page</b>", content_type="text/html", headers={"Content-Disposition": "attachment"}
                )


@pytest.fixture
async def host() -> AsyncIterator[tuple[FileHost, str]]:
    """The host and its address."""
    made = FileHost()
    app = web.Application()
    app.router.add_get("/{kind}", made.answer)
    app.router.add_get("/drip/{how}", made.drip)
    app.router.add_post("/sip", made.sip)
    app.router.add_post("/take", made.take)
    app.router.add_post("/cut", made.cut)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield made, f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def read(api: SlackApi, url: str, limit: int | None = None) -> bytes:
    """All bytes of a download."""
    return b"".join([chunk async for chunk in api.download(url, limit)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("login", AccessRevoked),
        ("away", AccessRevoked),
        ("busy", RetryLater),
        ("gone", NeverPossible),
        ("long", NeverPossible),
    ],
)
async def test_a_page_instead_of_a_file_is_seen(
    host: tuple[FileHost, str], path: str, expected: type[Exception]
) -> None:
    """A sign-in page, a redirect, an outage and more bytes than announced are told apart, and none is passed on."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")
    with pytest.raises(expected):
        await read(api, f"{url}/{path}", limit=50)
    await api.close()


@pytest.mark.parametrize("way", ["down", "up"])
async def test_a_file_that_is_too_slow_holds_up_nothing_and_one_that_stopped_comes_again(
    host: tuple[FileHost, str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moves until its time is over would do so each time; what stopped for a moment may come the next time."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")

    async def moved(how: str) -> None:
        async def going() -> AsyncIterator[bytes]:
            for _ in range(SLOWLY_READ // 100_000):
                yield bytes(100_000)
                await asyncio.sleep(0 if how == "slow" else 10)

        await (read(api, f"{url}/drip/{how}") if way == "down" else api.upload(f"{url}/sip", going(), SLOWLY_READ))

    monkeypatch.setattr(client, "FILE_TIMEOUT_S", 0.5)
    with pytest.raises(NeverPossible, match="too_slow"):
        await moved("slow")
    monkeypatch.setattr(client, "STALLED_S", 0.1)
    with pytest.raises(RetryLater):
        await moved("stopped")
    await api.close()


async def test_whoever_takes_a_file_slowly_does_not_make_it_too_slow(
    host: tuple[FileHost, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stands still or an upload that pauses is not Slack's time."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")
    monkeypatch.setattr(client, "FILE_TIMEOUT_S", 2.0)
    read_bytes, paused_s = 0, 2.1
    async for chunk in api.download(f"{url}/huge"):
        read_bytes += len(chunk)
        await asyncio.sleep(paused_s)
        paused_s = 0.0
    assert read_bytes == HUGE
    await api.close()


async def test_a_slow_source_does_not_make_an_upload_too_slow(
    host: tuple[FileHost, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk or the other platform takes to give the file is not Slack's time."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")
    monkeypatch.setattr(client, "FILE_TIMEOUT_S", 1.5)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.6)
            yield b"x" * 1000

    await api.upload(f"{url}/take", slowly(), 3000)
    await api.close()


async def test_an_upload_that_was_cut_while_it_moved_comes_again(host: tuple[FileHost, str]) -> None:
    """A connection that broke says nothing of how fast it was: only time that ran out does."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")

    async def moving() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(RetryLater, match="upload_broken"):
        await api.upload(f"{url}/cut", moving(), 1_000_000_000)
    await api.close()


async def test_a_web_page_that_an_agent_attached_is_a_file(host: tuple[FileHost, str]) -> None:
    """An HTML file is no sign-in page."""
    _, url = host
    api = SlackApi(base_url=f"{url}/api/", bot_token="xoxb-secret")
    assert await read(api, f"{url}/attached.html") == b"<b>page</b>"
    await api.close()


async def test_the_token_goes_to_slack_alone(host: tuple[FileHost, str]) -> None:
    """A file kept elsewhere is not asked for with our token; nor anything behind an address made to look like Slack."""
    made, url = host
    api = SlackApi(bot_token="xoxb-secret")
    for address in (
        f"{url}/login",
        "https://slack.com.evil.example/f",
        "http://files.slack.com/f",
        "file:///etc/passwd",
    ):
        with pytest.raises(NeverPossible, match="foreign_file_host"):
            await read(api, address)
    assert not made.tokens
    await api.close()


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """A configuration can be printed: its secrets are not in it."""
    from tests.bot.desk.kit import SECRET, config

    said = repr(config("http://127.0.0.1:9"))
    assert "xoxb" not in said
    assert "xapp" not in said
    assert SECRET not in said


async def test_a_program_under_another_name_is_told_beside_it(desk: SlackDesk, slack: Slack) -> None:
    """What its first bytes say counts, not its name: the file stands there, and a line says what it is."""
    honest, posing = file(b"%PDF-1.7 ", b"rest"), file(b"MZ", b"\x90\x00 rest")
    for number, given in enumerate((honest, posing), 2):
        made = await sent(desk, given, number)
        await desk.deliver(made)
        (post,) = await shown(slack, made)
        told = "is by its content a Windows program. Do not open it." in post["text"]
        assert told == (given is posing)
        assert post["files"]

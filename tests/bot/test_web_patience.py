"""Whoever connects to the web server and dribbles, stares or comes in crowds: cut off, and others are answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.web import patience, server

SOON_S = 1.0
LATE_S = 3 * 60.0
WHOLE = b"POST /no HTTP/1.1\r\nHost: desk\r\nContent-Length: 0\r\n\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _refuse(_request: Request) -> Response:
    """Answers before the body is read, as a wrong signature is answered."""
    return PlainTextResponse("no", status_code=401)


async def _much(_request: Request) -> Response:
    return PlainTextResponse("x" * 20_000_000)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server that is soon out of patience, and takes four connections."""
    for name in ("HEAD_WITHIN_S", "ANSWER_WITHIN_S", "NEXT_WITHIN_S"):
        monkeypatch.setattr(patience, name, SOON_S)
    monkeypatch.setattr(patience, "MOST", 4)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    site = Starlette(routes=[Route("/no", _refuse, methods=["POST"]), Route("/much", _much)])
    task = asyncio.create_task(server.serve(site, "127.0.0.1", 0, ready=ready.set_result))
    yield int((await ready).rpartition(":")[2])
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _ended(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server cuts the connection; a TimeoutError where it does not."""
    read = b""
    async with asyncio.timeout(LATE_S / 3):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                read += piece
    return read


async def _dribbles(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /no HTTP/1.1\r\nHost: desk\r\nX-Slow: ",
        b"POST /no HTTP/1.1\r\nHost: desk\r\nContent-Length: 999999999999\r\n\r\n",
    ],
    ids=["nothing", "half a head", "a body that was refused"],
)
async def test_a_connection_that_never_comes_to_the_point_is_cut(port: int, said: bytes) -> None:
    """Silent, with a head that never ends, or with a body for which nobody waits any more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    dribbling = asyncio.create_task(_dribbles(writer)) if said else None
    answer = await _ended(reader)
    assert (b" 401 " in answer) == (b"Content-Length" in said)
    if dribbling is not None:
        dribbling.cancel()
    writer.close()


async def test_who_reads_no_answer_is_cut(port: int) -> None:
    """An answer that is asked for and left lying holds its memory and its place no longer than any other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /much HTTP/1.1\r\nHost: desk\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(SOON_S * 2)
    assert len(await _ended(reader)) < 20_000_000
    writer.close()


async def test_a_crowd_leaves_room_again(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than fits is cut at once and gets no answer; when one of them has gone, whoever asks is answered."""
    monkeypatch.setattr(patience, "HEAD_WITHIN_S", LATE_S)  # no silence is cut meanwhile: only the number can be it
    monkeypatch.setattr(patience, "NEXT_WITHIN_S", LATE_S)
    crowd: list[Wire] = [await asyncio.open_connection("127.0.0.1", port) for _ in range(patience.MOST)]
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(WHOLE)
        await writer.drain()
    assert await _ended(reader) == b""
    assert time.monotonic() - began < LATE_S / 2
    writer.close()
    gone, place = crowd.pop()
    place.write(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert b" 401 " in await _ended(gone), "who is in is answered in a crowd, too"
    place.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(WHOLE)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\nno"), LATE_S)
        assert b" 401 " in answer, "the second over the same connection"
    for _, one_writer in (*crowd, (reader, writer)):
        one_writer.close()

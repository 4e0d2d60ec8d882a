"""A Bot API server on a real socket that answers exactly as a test says, and counts what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

TOKEN = "123456:AAscripted-token_which-must-stay-secret"
EMPTY_POLL_S = 0.05
"""How long an empty long poll lasts here, whatever it asked for; above zero, as at Telegram."""

DRIP_S = 0.02
"""Between two pieces of an answer that never ends."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. `cut` closes the connection: request "unread", "before" any answer, or after half of its "body"."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None
    chunked: bool = False
    delay_s: float = 0.0
    is_endless: bool = False  # the body again and again, and no end


def ok(result: object) -> Reply:
    """A success of the Bot API."""
    return Reply(body=json.dumps({"ok": True, "result": result}).encode())


def refused(status: int, description: str, **parameters: object) -> Reply:
    """A refusal of the Bot API."""
    answer: dict[str, object] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        answer["parameters"] = parameters
    return Reply(status=status, body=json.dumps(answer).encode())


HTML = b"<!doctype html><html><body>Please sign in.</body></html>"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What was asked: form fields as text, files as (name, type, bytes)."""

    method: str
    fields: dict[str, str]
    files: dict[str, tuple[str | None, str, bytes]]


class ScriptedApi:
    """`say` queues answers for a method; without any it answers as an idle Bot API does."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.pending: list[tuple[int | None, object]] = []
        self.files: dict[str, Reply] = {}
        self._replies: dict[str, deque[Reply]] = defaultdict(deque)
        self._defaults: dict[str, Reply] = {
            "getMe": ok({"id": 123456, "is_bot": True, "first_name": "Support", "username": "support_bot"}),
            "getWebhookInfo": ok({"url": "", "has_custom_certificate": False, "pending_update_count": 0}),
            "deleteWebhook": ok(True),
            "setWebhook": ok(True),
            "setMyCommands": ok(True),
            "deleteMessage": ok(True),
        }
        self._message_id = 100

    def say(self, method: str, *replies: Reply) -> None:
        """Answer the next calls of `method` so."""
        self._replies[method].extend(replies)

    def always(self, method: str, reply: Reply) -> None:
        """Answer `method` so whenever nothing is queued."""
        self._defaults[method] = reply

    def push(self, *updates: object) -> None:
        """Let updates wait; one with a whole number as `update_id` goes when a higher offset confirms it."""
        for update in updates:
            number = update.get("update_id") if isinstance(update, dict) else None
            usable = isinstance(number, int) and not isinstance(number, bool) and number < 2**31
            self.pending.append((number if usable else None, update))

    def asked(self, method: str) -> list[Call]:
        """The calls of a method so far."""
        return [call for call in self.calls if call.method == method]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call of the Bot API."""
        if request.match_info["token"] != TOKEN:
            return await self._send(request, refused(401, "Unauthorized"))
        queued = self._replies[request.match_info["method"]]
        if queued and queued[0].cut == "unread":
            return await self._send(request, queued.popleft())
        call = await _read(request)
        self.calls.append(call)
        if queued:
            return await self._send(request, queued.popleft())
        if call.method == "getUpdates":
            return await self._send(request, await self._updates(call))
        if call.method in self._defaults:
            return await self._send(request, self._defaults[call.method])
        self._message_id += 1
        return await self._send(request, ok({"message_id": self._message_id, "date": 1_760_000_000}))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a file."""
        reply = self.files.get(request.match_info["path"], Reply(status=404, body=b"gone"))
        return await self._send(request, reply)

    async def _updates(self, call: Call) -> Reply:
        offset = int(call.fields.get("offset", "0"))
        self.pending = [(n, u) for n, u in self.pending if n is None or n >= offset]
        if not self.pending:
            await asyncio.sleep(EMPTY_POLL_S)
        batch = [update for _, update in self.pending]
        self.pending = [(n, u) for n, u in self.pending if n is not None]
        return ok(batch)

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        await asyncio.sleep(reply.delay_s)
        if reply.is_endless:
            return await _endless(request, reply)
        if reply.cut is None:
            response = web.Response(
                status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers
            )
            if reply.chunked:
                response.enable_chunked_encoding()
            return response
        assert request.transport is not None
        if reply.cut == "body":
            head = f"HTTP/1.1 {reply.status} OK\r\nContent-Type: {reply.content_type}\r\n"
            size = f"Content-Length: {len(reply.body)}\r\n\r\n"
            request.transport.write((head + size).encode() + reply.body[: len(reply.body) // 2])
        request.transport.close()
        return web.Response()


async def _endless(request: web.Request, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status)
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # until whoever asked has enough of it
        while True:
            await response.write(reply.body)
            await asyncio.sleep(DRIP_S)
    return response


async def _read(request: web.Request) -> Call:
    fields: dict[str, str] = {}
    files: dict[str, tuple[str | None, str, bytes]] = {}
    if request.content_type.startswith("multipart/"):
        async for part in await request.multipart():
            content = bytes(await part.read())  # type: ignore[union-attr]
            name = part.name or ""  # type: ignore[union-attr]
            if part.filename is None:  # type: ignore[union-attr]
                fields[name] = content.decode()
            else:
                files[name] = (part.filename, part.headers["Content-Type"], content)  # type: ignore[union-attr]
    else:
        fields = {name: str(value) for name, value in (await request.post()).items()}
    return Call(method=request.match_info["method"], fields=fields, files=files)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[ScriptedApi]:
    """A scripted Bot API on a free port."""
    api = ScriptedApi()
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_post("/bot{token}/{method}", api.handle)
    app.router.add_get("/file/bot{token}/{path:.+}", api.download)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()

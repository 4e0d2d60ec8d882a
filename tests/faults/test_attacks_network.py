"""Whoever reaches the port but is neither Telegram nor Slack: refused, nothing stored, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from slack_sdk.signature import SignatureVerifier
from sqlalchemy import func, select

from bot.channels import telegram_hook
from bot.desk import ingress
from bot.settings_secrets import SANDBOX
from storage import tables
from tests import world as worlds
from tests.world import MAYA, World, eventually

TELEGRAM, SLACK = "/telegram/telegram", "/slack/events"
KNOWN = {telegram_hook.SECRET_HEADER: SANDBOX["telegram_webhook_secret"]}
DEEP = b'{"a":' * 990 + b"1" + b"}" * 990
NOT_AN_OBJECT = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 200_000, DEEP, b"\xef\xbb\xbf{}"]
UPDATE = {
    "update_id": 900,
    "message": {
        "message_id": 1,
        "date": 1_700_000_000,
        "chat": {"id": 5, "type": "private"},
        "from": {"id": 5, "is_bot": False, "first_name": "Eve"},
        "text": "let me in",
    },
}


def event(text: str = "a forged answer") -> bytes:
    """What an agent's message looks like."""
    said = {"type": "message", "channel": "C0SUPPORT", "user": MAYA, "ts": "1.1", "thread_ts": "1.0", "text": text}
    return json.dumps({"type": "event_callback", "team_id": "T0SANDBOX", "event_id": text, "event": said}).encode()


def signed(body: bytes, *, age_s: int = 0, secret: str = SANDBOX["slack_signing_secret"]) -> dict[str, str]:
    """Slack's headers."""
    stamp = str(int(time.time()) - age_s)
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
    }


@pytest.fixture
async def open_port(tmp_path: Path) -> AsyncIterator[World]:
    """A running world that both platforms call."""
    async with worlds.world(tmp_path, telegram="webhook", slack="http") as made:
        yield made


async def stored(world: World) -> int:
    """How many rows the inbox has."""
    async with world.house.stores.database.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(tables.inbox))).scalar_one())


async def test_a_stranger_at_the_port_gets_nowhere(open_port: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong secrets, signatures, methods, paths and bodies are 4xx, none a 500; then both platforms are served."""
    world, update = open_port, json.dumps(UPDATE).encode()
    statuses: list[tuple[int, str]] = []
    async with httpx.AsyncClient(base_url=world.address, timeout=20) as client:

        async def tries(method: str, path: str, body: bytes = b"", headers: object = None) -> None:
            answer = await client.request(method, path, content=body, headers=headers)  # type: ignore[arg-type]
            statuses.append((answer.status_code, f"{method} {path} {body[:20]!r} {headers}"[:200]))

        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            for path in (TELEGRAM, SLACK):
                await tries(method, path)
        for path in ("/", "/telegram/", "/telegram/x", f"{TELEGRAM}/", f"{SLACK}/", "/%2e%2e/", f"{SLACK}%00"):
            await tries("POST", path, update, KNOWN)
        for secret in (b"", b"x", b"\xff\xfe", "é".encode(), b"a" * 5000, KNOWN[telegram_hook.SECRET_HEADER][:-1]):
            await tries("POST", TELEGRAM, update, [(telegram_hook.SECRET_HEADER.encode(), secret)])
        await tries("POST", TELEGRAM, update)
        await tries("POST", SLACK, event())
        await tries("POST", SLACK, event(), signed(event("something else")))
        await tries("POST", SLACK, event(), signed(event(), secret="0" * 32))
        for age_s in (400, -400, 10**9):
            await tries("POST", SLACK, event(), signed(event(), age_s=age_s))
        for body in (*NOT_AN_OBJECT, b" " * (5 * 2**20)):
            await tries("POST", TELEGRAM, body, KNOWN)
            await tries("POST", SLACK, body, signed(body if body.isascii() else b""))
        odd = [one for one in statuses if one[0] not in (400, 401, 404, 405, 413)]
        assert odd == []
        monkeypatch.setattr(ingress, "BODY_WITHIN_S", 0.2)
        monkeypatch.setattr(telegram_hook, "BODY_WITHIN_S", 0.2)

        async def dribble() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(1.5)
            yield b"}"

        for path, headers in ((TELEGRAM, KNOWN), (SLACK, {})):
            answer = await client.post(path, content=dribble(), headers=headers)
            assert answer.status_code == 400
        assert await stored(world) == 0
        page = (await client.get("/metrics")).text
        for source in ("telegram", "slack"):
            assert f'relaydesk_forged_requests_total{{source="{source}"}}' in page
    monkeypatch.undo()
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    await (await world.card()).says(MAYA, "On its way")
    assert await eventually(phone.answers, what="both ways work") == ["On its way"]

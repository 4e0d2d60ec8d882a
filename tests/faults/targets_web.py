"""Fuzzed: what comes from the platforms and over HTTP, to the values that are stored or decided on."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette

from bot.channels import telegram_arrivals, telegram_hook, telegram_parse
from bot.channels.backoff import Backoff
from bot.channels.telegram_api import Api
from bot.desk import ingress
from bot.desk.client import SlackApi
from bot.desk.directory import Directory, Profile
from bot.desk.listeners import Listeners
from bot.facts import Facts, Noted, Whom
from bot.web.facts import Endpoint, signature
from domain.errors import MalformedEvent, NotYet
from domain.events import AgentMessage, CustomerMessage, Ignored
from domain.facts import Fact
from domain.model import Actor
from domain.ports import Arrival
from tests.bot.channels.conftest import writable
from tests.faults.targets_base import ANSWERS, FORM, NOW, OWN, SECRET, Held, good_one, recorded


class Telegram(Held):
    """One body of the webhook, or one element of a poll's answer: the inbox row, then the event."""

    def seeds(self) -> list[Any]:
        return recorded("telegram")

    def take(self, raw: bytes) -> str:
        update = telegram_hook._update(raw)
        return "no: not an object" if update is None else self._read(update)

    def _read(self, update: object) -> str:
        stored = telegram_arrivals.arrival("telegram", update)
        assert stored.payload.isascii()
        assert stored.event_key
        assert stored.lane_key.startswith("telegram:")
        try:
            event = telegram_parse.parse(stored.payload, source="telegram", download_limit=1000)
        except MalformedEvent as error:
            return f"no: {error}"
        return _seen(event)

    def good(self) -> None:
        assert "CustomerMessage" in self.take(good_one("telegram"))


class _Everybody(Directory):
    """Knows everybody without asking."""

    async def profile(self, user: str) -> Profile:
        return Profile(name=f"Name of {user[:9]}", team_id="T0SANDBOX", is_outsider=False)

    def name(self, user: str) -> str | None:
        return "Maya" if user else None


class Slack(Held):
    """A signed body over HTTP, which Socket Mode's envelopes hold as well: the inbox row, then the event."""

    def __init__(self) -> None:
        api = SlackApi(base_url="http://127.0.0.1:9/", bot_token="xoxb-fuzz")
        self._everybody = _Everybody(api, {})
        self._listeners = Listeners(self._everybody, OWN)
        self._intake = ingress.Intake(lambda: NOW, self._everybody.hear)
        self._intake.own = OWN
        self._stored: list[Arrival] = []
        self._intake.open(self._accept)

    async def _accept(self, arrivals: Sequence[Arrival]) -> int:
        self._stored += arrivals
        return len(arrivals)

    def seeds(self) -> list[Any]:
        return recorded("slack")

    def take(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return "no: not UTF-8"
        ways = (("application/json", text), (FORM, urlencode({"payload": text})), (FORM, text))
        kind, body = ways[zlib.crc32(raw) % 2] if text.startswith("{") else ways[zlib.crc32(raw) % 3]
        read = ingress._read(body, kind)
        return "no: unreadable" if read is None else self.finish(self._take(*read))

    async def _take(self, kind: str, payload: dict[str, Any]) -> str:
        self._stored.clear()
        await self._intake.take(kind, payload)
        if not self._stored:
            return "nobody's"
        [stored] = self._stored
        assert stored.event_key
        assert stored.lane_key
        try:
            event = await self._listeners.parse(stored.payload)
        except MalformedEvent as error:
            return f"no: {error}"
        except NotYet:
            return "no: not yet"
        return _seen(event)

    def good(self) -> None:
        said = {
            "type": "message",
            "channel": "C0SUPPORT",
            "user": "U0MAYA",
            "ts": "1.2",
            "thread_ts": "1.1",
            "text": "ok",
        }
        body = {"type": "event_callback", "team_id": "T0SANDBOX", "event_id": "Ev", "event": said}
        assert "AgentMessage" in self.take(json.dumps(body).encode())


def _seen(event: object) -> str:
    """A short word for an event: its type and how it is made up, not what it says."""
    if isinstance(event, Ignored):
        return f"ignored {event.reason[:30]}"
    writable(event)
    more = ""
    if isinstance(event, CustomerMessage):
        more = f" {event.kind} {len(event.attachments)} {sorted(event.details)} {event.reply_to is not None}"
    elif isinstance(event, AgentMessage):
        more = f" {len(event.attachments)}"
    return type(event).__name__ + more


@dataclass(frozen=True, kw_only=True)
class _Noting(Facts):
    """Takes facts and keeps none: what is stored is another test's matter."""

    async def note(
        self, whom: Whom, fact: Fact, actor: Actor, *, way: str, key: str | None = None, said: bytes = b""
    ) -> Noted:
        writable(fact)
        return Noted(customer_id="1", entry_id="2", is_new=True)


class Http(Held):
    """Whole requests to the three routes that strangers reach: method, path, headers and body, mostly well signed."""

    def __init__(self) -> None:
        everybody = _Everybody(SlackApi(base_url="http://127.0.0.1:9/", bot_token="xoxb-fuzz"), {})
        intake = ingress.Intake(lambda: NOW, everybody.hear)
        intake.open(_stored)
        hook = telegram_hook.Hook(
            Api(token="1:x", base_url="http://127.0.0.1:9", read_timeout_s=1, transfer_timeout_s=1),
            source="telegram", url="https://example.org", secret=SECRET, watch_every_s=60,
            backoff=Backoff(), max_body_bytes=telegram_hook.MAX_BODY_BYTES,
        )  # fmt: skip
        hook.open(_stored)
        facts = _Noting(**dict.fromkeys(("database", "record", "contacts", "links", "keys", "rules")), now=lambda: NOW)  # type: ignore[arg-type]
        self._site = Starlette(
            routes=[
                *hook.routes(),
                *ingress.HttpIngress(intake, SECRET).routes(),
                *Endpoint(facts, SECRET, region="DE", real=lambda: datetime.now(UTC)).routes(),
            ]
        )

    def seeds(self) -> list[Any]:
        fact = {"kind": "call", "what": "asked for an invoice", "source": "phone", "email": "ann@example.com"}
        paid = {
            "kind": "order",
            "what": "a lamp",
            "amount": "12.50 EUR",
            "at": "2026-03-01T12:00:00Z",
            "phone": "+491701234567",
        }
        made = [_request("/telegram/telegram", one) for one in recorded("telegram")[::4]]
        made += [_request("/slack/events", one) for one in recorded("slack")[::4]]
        made += [_request("/slack/events", one, form=True) for one in recorded("slack")[1::4]]
        return [*made, _request("/api/facts", fact), _request("/api/facts", paid)] * 2 + [
            _request("/api/facts", fact)
        ] * 20

    def take(self, raw: bytes) -> str:
        try:
            given = json.loads(raw)
        except (ValueError, RecursionError):
            given = {"path": "/telegram/telegram", "body": None}
        wish: dict[str, Any] = given if isinstance(given, dict) else {"body": given}
        path, body = str(wish.get("path", "")), _body_of(wish, raw)
        headers = _headers(wish, path, body)
        status = self.finish(_answer(self._site, str(wish.get("method", "POST")), path, headers, body))
        assert status in ANSWERS, f"answered {status}"
        place = path if path in PATHS else "elsewhere"
        return f"{'' if status < 400 else 'no: '}{place} {status} {type(wish.get('body')).__name__}"

    def good(self) -> None:
        for seed in (_request("/telegram/telegram", recorded("telegram")[0]), self.seeds()[-1]):
            word = self.take(json.dumps(seed).encode())
            assert " 200 " in word or " 201 " in word, word


PATHS = ("/telegram/telegram", "/slack/events", "/api/facts")


async def _stored(arrivals: Sequence[Arrival]) -> int:
    assert all(one.event_key and one.lane_key for one in arrivals)
    return len(arrivals)


def _request(path: str, body: object, *, form: bool = False) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": path,
        "signed": True,
        "form": form,
        "headers": {"Idempotency-Key": "k1"},
        "body": body,
    }


def _body_of(wish: Mapping[str, Any], raw: bytes) -> bytes:
    body = wish.get("body")
    if body is None:
        return raw
    text = body if isinstance(body, str) else json.dumps(body)
    return (urlencode({"payload": text}, errors="replace") if wish.get("form") else text).encode(
        "utf-8", "surrogatepass"
    )


def _headers(wish: Mapping[str, Any], path: str, body: bytes) -> dict[str, str]:
    """Those of the input, over those that make the request a good one."""
    made: dict[str, str] = {"content-type": FORM if wish.get("form") else "application/json"}
    given = wish.get("headers")
    own = {str(k).lower(): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    if wish.get("signed"):
        stamp = int(time.time())
        made["x-telegram-bot-api-secret-token"] = SECRET
        made["x-slack-request-timestamp"] = str(stamp)
        told = hmac.new(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        made["x-slack-signature"] = f"v0={told}"
        key = own.get("idempotency-key", "k")
        made["relaydesk-signature"] = signature(SECRET, stamp, key.encode("ascii", "replace").decode(), body)
    return made | own


async def _answer(site: Starlette, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
    """What an ASGI server would get for this request."""
    statuses: list[int] = []
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        first, sent = not sent, True
        return {"type": "http.request", "body": body, "more_body": False} if first else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    raw = [(k.encode("latin-1", "replace"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    scope = {
        "type": "http", "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("::1", 1),
        "method": method, "root_path": "", "path": path, "raw_path": path.encode("utf-8", "replace"),
        "query_string": b"", "headers": raw,
    }  # fmt: skip
    await site(scope, receive, send)
    return statuses[0]

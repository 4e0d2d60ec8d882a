"""HTTP mode: every good request is stored before it is answered, every bad one gets its own 4xx, none a 500."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette

from bot.desk.ingress import BODY_LIMIT, HTTP_PATH, HttpIngress, Intake
from bot.desk.payloads import HTTP_SETTLE_S
from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.events import AgentAction, AgentMessage, DeskCommand
from domain.ports import Arrival
from tests.bot.desk.kit import MAYA, NOON, SECRET, SUPPORT, Slack, Store, card_view, config, delivery, until

VERIFIER = SignatureVerifier(SECRET)
EVENT = {
    "type": "event_callback",
    "team_id": "T0SANDBOX",
    "event_id": "Ev1",
    "event": {
        "type": "message",
        "channel": SUPPORT,
        "user": MAYA,
        "text": "hello",
        "ts": "1700000001.000100",
        "thread_ts": "1700000000.000100",
    },
}


def signed(body: bytes, content_type: str = "application/json", *, age_s: int = 0) -> dict[str, str]:
    """The headers Slack sends with a body."""
    stamp = str(int(time.time()) - age_s)
    signature = VERIFIER.generate_signature(timestamp=stamp, body=body)
    return {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
    }


@asynccontextmanager
async def serving(desk: SlackDesk | HttpIngress) -> AsyncIterator[str]:
    """The desk's route behind a real server; its address."""
    options = uvicorn.Config(
        Starlette(routes=desk.routes()), host="127.0.0.1", port=0, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(options)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{HTTP_PATH}"
    server.should_exit = True
    await running


@pytest.fixture
async def desk(slack: Slack, store: Store) -> AsyncIterator[SlackDesk]:
    """A desk in HTTP mode that knows where to store."""
    made = SlackDesk(config(slack.url, mode="http"))
    running = asyncio.create_task(made.run(store.accept))
    await until(made.reconnected.is_set)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close()


@pytest.fixture
async def url(desk: SlackDesk) -> AsyncIterator[str]:
    """Where Slack would post to."""
    async with serving(desk) as address:
        yield address


async def post(url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """One request."""
    async with httpx.AsyncClient() as client:
        return await client.post(url, content=body, headers=headers)


async def test_a_signed_event_is_stored_and_then_answered(url: str, store: Store) -> None:
    """200 means that it is in the inbox; the same event again is known."""
    body = json.dumps(EVENT).encode()
    for _ in range(2):
        assert (await post(url, body, signed(body))).status_code == 200
    (arrival,) = store.all
    assert (arrival.kind, arrival.thread) == ("events_api", (SUPPORT, "1700000000.000100"))
    assert arrival.settle_s == HTTP_SETTLE_S


async def test_a_line_is_not_stored_before_an_earlier_one_that_has_come() -> None:
    """Each is a request of its own: the second waits while the first is being stored; another thread does not."""
    begun, gate, stored = asyncio.Event(), asyncio.Event(), list[str]()

    async def accept(arrivals: Sequence[Arrival]) -> int:
        if not begun.is_set():
            begun.set()
            await gate.wait()
        stored.extend(one.event_key.rpartition(":")[2] for one in arrivals)
        return len(arrivals)

    def said(ts: str, thread: str) -> bytes:
        fields = {**cast("dict[str, str]", EVENT["event"]), "ts": ts, "thread_ts": thread}
        return json.dumps({**EVENT, "event_id": f"Ev{ts}", "event": fields}).encode()

    intake = Intake(lambda: NOON, lambda _: None)
    intake.open(accept)
    async with serving(HttpIngress(intake, SECRET)) as url, asyncio.TaskGroup() as posting:
        posting.create_task(post(url, first := said("3.0", "1.0"), signed(first)))
        await begun.wait()
        posting.create_task(post(url, second := said("4.0", "1.0"), signed(second)))
        assert (await post(url, other := said("5.0", "2.0"), signed(other))).status_code == 200
        assert stored == ["5.0"]
        gate.set()
    assert stored == ["5.0", "3.0", "4.0"]


async def test_a_store_that_fails_makes_slack_send_it_again(url: str, store: Store) -> None:
    """503 and nothing stored; the retry is stored."""
    store.failures = 1
    body = json.dumps(EVENT).encode()
    assert (await post(url, body, signed(body))).status_code == 503
    assert not store.all
    assert (await post(url, body, signed(body))).status_code == 200
    assert len(store.all) == 1


async def test_before_the_start_slack_is_told_to_come_again(slack: Slack) -> None:
    """A route that answers before anybody can store says so."""
    early = SlackDesk(config(slack.url, mode="http"))
    body = json.dumps(EVENT).encode()
    async with serving(early) as url:
        assert (await post(url, body, signed(body))).status_code == 503
    await early.close()


async def test_the_url_check_is_answered_and_not_stored(url: str, store: Store) -> None:
    """Slack's question whether we are there gets its challenge back, only when it is signed."""
    body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    answer = await post(url, body, signed(body))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    assert (await post(url, body, signed(body) | {"X-Slack-Signature": "v0=0"})).status_code == 401
    assert not store.all


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"X-Slack-Signature": "v0=" + "0" * 64}, "forged"),
        ({"X-Slack-Signature": ""}, "empty"),
        ({"X-Slack-Signature": "v0=ümläut"}, "beyond ASCII"),
        ({"X-Slack-Request-Timestamp": "yesterday"}, "no number"),
        ({"X-Slack-Request-Timestamp": "9" * 400}, "huge"),
        ({"X-Slack-Request-Timestamp": "9" * 5000}, "too many digits"),
        ({"X-Slack-Request-Timestamp": "1e9"}, "float"),
        ({"X-Slack-Request-Timestamp": "-5"}, "negative"),
        ({"X-Slack-Request-Timestamp": ""}, "no time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_request_that_is_not_slacks_is_refused(
    url: str, store: Store, headers: dict[str, str], why: str
) -> None:
    """401 for whatever is wrong with signature or time, nothing is stored."""
    body = json.dumps(EVENT).encode()
    given = [(name.encode(), value.encode("latin-1")) for name, value in (signed(body) | headers).items()]
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=body, headers=given)
    assert answer.status_code == 401, why
    assert not store.all


async def test_a_request_without_headers_or_too_old_is_refused(url: str, desk: SlackDesk, store: Store) -> None:
    """A replay of more than five minutes ago and a request without a signature get 401, and are counted."""
    body = json.dumps(EVENT).encode()
    assert (await post(url, body, signed(body, age_s=301))).status_code == 401
    assert (await post(url, body, {"Content-Type": "application/json"})).status_code == 401
    assert not store.all
    assert desk.intake_counts["refused_signature"] == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"[1]", b"null", b'"text"', b"1", b"{}", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000],
    ids=["empty", "cut", "list", "list1", "null", "string", "number", "nothing", "bytes", "not-utf8", "deep"],
)
async def test_a_body_that_is_no_json_object_is_refused(url: str, store: Store, body: bytes) -> None:
    """400, signed or not, never 500."""
    headers = signed(body) if body.isascii() else signed(b"{}")
    assert (await post(url, body, headers)).status_code == 400
    assert not store.all


@pytest.mark.parametrize("body", [b"payload=%7B", b"payload=[]", b"payload=%FF%FE", b"=", b"payload="])
async def test_a_form_that_is_no_payload_is_refused(url: str, store: Store, body: bytes) -> None:
    """400 for a form whose payload is none."""
    answer = await post(url, body, signed(body, "application/x-www-form-urlencoded"))
    assert answer.status_code == 400
    assert not store.all


async def test_a_body_over_the_limit_is_refused(url: str, store: Store) -> None:
    """413 for more than 1 MiB, announced or streamed."""
    body = b" " * (BODY_LIMIT + 1)
    assert (await post(url, body, signed(body))).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=pieces(), headers=signed(b" "))
    assert answer.status_code == 413
    assert not store.all


async def test_what_slack_sends_over_http_is_what_it_sends_over_a_socket(
    url: str, desk: SlackDesk, slack: Slack, store: Store
) -> None:
    """Events, buttons and commands all come in over the one address, with real signatures."""
    await slack.post("slack/settings", transport="http", events_url=url)
    root = (await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))).platform_id
    await slack.write(MAYA, "an answer", root)
    await slack.post("slack/press", user=MAYA, channel=SUPPORT, ts=root, action_id="assign_me")
    await slack.post("slack/command", user=MAYA, channel=SUPPORT, command="/relaydesk", text="on")
    await until(lambda: len(store.all) == 3)
    kinds = {type(await desk.parse(arrival.payload)) for arrival in store.all}
    assert kinds == {AgentMessage, AgentAction, DeskCommand}
    assert sorted(arrival.kind for arrival in store.all) == ["events_api", "interactive", "slash_commands"]


async def test_a_form_with_percent_signs_keeps_its_text(url: str, store: Store) -> None:
    """A command's text arrives as typed, Chinese too."""
    fields = {"command": "/relaydesk", "text": "退款 100% & <x>", "user_id": MAYA, "trigger_id": "1.2.3"}
    body = urlencode(fields).encode()
    assert (await post(url, body, signed(body, "application/x-www-form-urlencoded; charset=utf-8"))).status_code == 200
    assert json.loads(store.all[0].payload)["text"] == "退款 100% & <x>"


def test_an_empty_signing_secret_is_refused() -> None:
    """There is no way to switch the check off by leaving the secret out."""
    with pytest.raises(ValueError, match="signing_secret"):
        HttpIngress(Intake(lambda: NOON, lambda _: None), "")


@pytest.mark.parametrize("mode", ["http", "socket"])
async def test_what_slack_was_refused_before_is_looked_for(slack: Slack, mode: str) -> None:
    """Once the web server listens the gaps are filled again; over Socket Mode its own connections say so."""
    made = SlackDesk(config(slack.url, mode=mode))
    made.listening()
    assert made.reconnected.is_set() == (mode == "http")
    await made.close()


async def test_what_slack_repeats_is_a_doubt(slack: Slack, store: Store) -> None:
    """What Slack repeats did not reach us at first, as others may not have: that is told before it is stored."""
    told: list[int] = []
    made = SlackDesk(config(slack.url, mode="http"), doubted=lambda: told.append(len(store.all)))
    running = asyncio.create_task(made.run(store.accept))
    await until(made.reconnected.is_set)
    body = json.dumps(EVENT).encode()
    async with serving(made) as url:
        for headers, doubts in ((signed(body), []), (signed(body) | {"X-Slack-Retry-Num": "1"}, [1])):
            assert (await post(url, body, headers)).status_code == 200
            assert told == doubts
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close()

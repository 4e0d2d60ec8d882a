"""Signed calls to the on-call service: what it can check, and what each of its answers means."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.hooks import Hook, signature
from bot.web import server
from domain.errors import NeverPossible, RetryLater
from domain.ports import HookDelivery

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
DELIVERY = HookDelivery(id="01J", body={"conversation": 1001, "queue": "账务"})


class Service:
    """Answers with a status and remembers what came."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        headers = {"location": self.url} if 300 <= self.status < 400 else {}
        return Response(status_code=self.status, headers=headers)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service on a port of its own."""
    made, ready = Service(), asyncio.get_running_loop().create_future()
    site = Starlette(routes=[Route("/hook", made.take, methods=["POST"])])
    task = asyncio.create_task(server.serve(site, "127.0.0.1", 0, ready=ready.set_result))
    made.url = f"{await ready}/hook"
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_call_carries_its_name_and_a_signature_over_time_and_body(service: Service) -> None:
    """The service needs the shared secret and the raw body, nothing else."""
    hook = Hook(service.url, "a-secret-of-the-two", lambda: NOON)
    receipt = await hook.send(DELIVERY)
    await hook.close()
    ((headers, body),) = service.requests
    assert receipt.at == NOON
    assert headers["relaydesk-delivery"] == "01J"
    at, mac = (part.partition("=")[2] for part in headers["relaydesk-signature"].split(","))
    assert int(at) == NOON.timestamp()
    assert mac == hmac.new(b"a-secret-of-the-two", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert signature("another", int(at), body) != headers["relaydesk-signature"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, RetryLater),
        (503, RetryLater),
        (429, RetryLater),
        (408, RetryLater),
        (400, NeverPossible),
        (404, NeverPossible),
        (302, NeverPossible),
    ],
)
async def test_each_answer_says_what_to_do_next(service: Service, status: int, error: type[Exception]) -> None:
    """Busy is tried again, refused is given up; a redirect is followed nowhere, least of all with our signature."""
    service.status = status
    hook = Hook(service.url, "a-secret-of-the-two")
    with pytest.raises(error):
        await hook.send(DELIVERY)
    await hook.close()
    assert len(service.requests) == 1


async def test_a_service_that_is_away_is_called_again() -> None:
    """Nobody listens there now."""
    hook = Hook("http://127.0.0.1:1/hook", "a-secret-of-the-two")
    with pytest.raises(RetryLater):
        await hook.send(DELIVERY)
    await hook.close()

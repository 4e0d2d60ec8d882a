"""Health, metrics and errors over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot import metrics
from bot.web import app, errors, headers, health, server
from domain.errors import RefusedToStart
from tests import patience

SECRET = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"


async def _fine() -> None:
    return None


async def _current() -> tuple[str, str]:
    return "0001", "0001"


async def _refuses() -> None:
    raise ConnectionRefusedError(f"postgresql://desk:{SECRET}@db")


async def _hangs() -> None:
    await asyncio.sleep(60)


async def _old() -> tuple[str | None, str]:
    return "0001", "0002"


async def _none() -> tuple[str | None, str]:
    return None, "0002"


WELL = health.Vitals(
    database=_fine,
    migrations=_current,
    model=lambda: "starter-1",
    heard={
        "telegram": health.Listening(age_s=lambda: 1.0, limit_s=90),
        "slack": health.Listening(age_s=lambda: 2.0, limit_s=60),
        "sweep": health.Listening(age_s=lambda: 0.5, limit_s=15),
    },
)


async def _broken(_request: Request) -> Response:
    raise RuntimeError(SECRET)


async def _teapot(_request: Request) -> Response:
    raise HTTPException(418, "Only tea.")


async def _own_policy(_request: Request) -> Response:
    return PlainTextResponse("page", headers={"content-security-policy": "default-src 'self'"})


async def _echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


ROUTES = [
    Route("/broken", _broken),
    Route("/teapot", _teapot),
    Route("/page", _own_policy),
    Route("/telegram/bot", _echo, methods=["POST"]),
]


@contextlib.asynccontextmanager
async def _served(vitals: health.Vitals = WELL) -> AsyncIterator[httpx.AsyncClient]:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(app.build(vitals, ROUTES), "127.0.0.1", 0, ready=address.set_result))
    try:
        async with httpx.AsyncClient(base_url=await asyncio.wait_for(address, patience.LONG_S), verify=False) as client:
            yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
async def test_a_crowd_asks_the_database_once(path: str) -> None:
    """Whoever reaches the port may ask; thirty who ask at once cost one look, and the next one looks anew."""
    looks = []

    async def slowly() -> None:
        looks.append(path)
        await asyncio.sleep(0.2)

    crowd = 30
    async with _served(replace(WELL, database=slowly, measure=slowly)) as client:
        answers = await asyncio.gather(*(client.get(path) for _ in range(crowd)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(looks) < crowd / 2
        before = len(looks)
        await client.get(path)
        assert len(looks) == before + 1


async def test_who_hangs_up_takes_the_answer_from_nobody_else() -> None:
    """One of the crowd goes away while all wait for one look: the others get theirs."""

    async def look() -> str:
        await asyncio.sleep(0.05)
        return "well"

    together = app._Together(look)
    first, second = (asyncio.create_task(together()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "well"
    assert first.cancelled()


async def test_alive_means_that_the_loop_turns() -> None:
    """A platform's bad day does not make a supervisor restart us."""
    async with _served(replace(WELL, database=_refuses)) as client:
        answer = await client.get("/livez")
    assert answer.status_code == 200
    assert answer.json()["alive"] is True


async def test_ready_means_that_a_message_would_be_stored_read_and_shown() -> None:
    """Everything well: 200, and each check says what it found."""
    async with _served() as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    body = answer.json()
    assert body["ready"] is True
    assert [check["name"] for check in body["checks"]] == [
        "database",
        "migrations",
        "model",
        "telegram",
        "slack",
        "sweep",
    ]


@pytest.mark.parametrize(("age_s", "status"), [(3.0, 200), (16.0, 503), (float("inf"), 503)])
async def test_a_process_that_does_not_sweep_knows_whether_anybody_does(age_s: float, status: int) -> None:
    """The heartbeat is a row: every process is red when whoever sweeps has left none for three pauses."""

    async def beat() -> float:
        return age_s

    async with _served(replace(WELL, beat=beat, beat_limit_s=15.0)) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == status
    check = next(check for check in answer.json()["checks"] if check["name"] == "heartbeat")
    assert check["ok"] is (status == 200)


def _heard(name: str, age_s: float) -> health.Vitals:
    return replace(WELL, heard={**WELL.heard, name: health.Listening(age_s=lambda: age_s, limit_s=60)})


@pytest.mark.parametrize(
    ("vitals", "check", "found"),
    [
        (replace(WELL, database=_refuses), "database", "ConnectionRefusedError"),
        (replace(WELL, database=_hangs), "database", "no answer within 0.2 s"),
        (replace(WELL, migrations=_old), "migrations", "0001, wanted 0002"),
        (replace(WELL, migrations=_none), "migrations", "none, wanted 0002"),
        (replace(WELL, model=lambda: None), "model", "not loaded"),
        (_heard("telegram", 91), "telegram", "not heard from for 91 s (limit 60 s)"),
        (_heard("slack", float("inf")), "slack", "not heard from yet (limit 60 s)"),
        (_heard("sweep", 400), "sweep", "not heard from for 400 s (limit 60 s)"),
        (replace(WELL, draining=lambda: True), "running", "stopping"),
    ],
)
async def test_each_thing_that_is_not_well_makes_it_unready_and_is_named(
    vitals: health.Vitals, check: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, exactly that check is red, with what was found; no message of an exception, which could hold secrets."""
    monkeypatch.setattr(health.readiness, "__defaults__", (0.2,))
    async with _served(vitals) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    red = [entry for entry in answer.json()["checks"] if not entry["ok"]]
    assert [(entry["name"], entry["found"]) for entry in red] == [(check, found)]
    assert SECRET not in answer.text


async def test_metrics_are_read_by_prometheus_own_parser() -> None:
    """The page parses, carries our names alone beside the process's, and has bounded labels."""
    metrics.messages_in.labels(source="telegram").inc()
    async with _served() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == metrics.CONTENT_TYPE
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["relaydesk_messages_in"].samples
    ages = {sample.labels["platform"]: sample.value for sample in families["relaydesk_heard_age_seconds"].samples}
    assert ages == {"telegram": 1.0, "slack": 2.0, "sweep": 0.5}
    assert all(name.startswith(("relaydesk_", "process_", "python_")) for name in families)


async def test_what_waits_is_measured_when_somebody_asks() -> None:
    """A read of the page brings gauges up to date; a database that fails does not take the page away."""

    async def measure() -> None:
        metrics.lanes_waiting.labels(side="in").set(7)

    async with _served(replace(WELL, measure=measure)) as client:
        assert 'relaydesk_lanes_waiting{side="in"} 7.0' in (await client.get("/metrics")).text
    async with _served(replace(WELL, measure=_refuses)) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert 'relaydesk_build_info{model="starter-1",version="0.1.0"} 1.0' in answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/none", 404, "not_found"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("DELETE", "/telegram/bot", 405, "method_not_allowed"),
        ("GET", "/teapot", 418, "im_a_teapot"),
        ("GET", "/broken", 500, "internal_server_error"),
        ("GET", "/../etc/passwd%00", 404, "not_found"),
    ],
)
async def test_every_error_has_one_shape(method: str, path: str, status: int, code: str) -> None:
    """{"error": {"code", "message"}}, and never a trace or a word of what failed."""
    async with _served() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error"}
    assert body["error"]["code"] == code
    assert body["error"]["message"].endswith(".")
    assert SECRET not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/none", "/broken"])
async def test_every_answer_carries_the_security_headers(path: str) -> None:
    """Errors included; the server does not say what it is."""
    async with _served() as client:
        answer = await client.get(path)
    assert {name: answer.headers.get(name) for name in headers.DEFAULTS} == dict(headers.DEFAULTS)
    assert "server" not in answer.headers


async def test_a_page_may_set_a_policy_of_its_own() -> None:
    """The defaults are for routes that say nothing."""
    async with _served() as client:
        answer = await client.get("/page")
    assert answer.headers["content-security-policy"] == "default-src 'self'"


async def test_routes_of_channels_and_desk_are_mounted_as_they_are() -> None:
    """What an adapter brings is served."""
    async with _served() as client:
        assert (await client.post("/telegram/bot", content=b"raw")).text == "raw"


async def test_a_taken_port_is_told_with_the_way_out() -> None:
    """No traceback for the commonest mistake of all."""
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RefusedToStart, match=f"cannot listen on 127.0.0.1 port {port} .*choose another web.port"):
            await server.serve(app.build(WELL), "127.0.0.1", port)
    with pytest.raises(RefusedToStart, match="is no address of this machine"):
        await server.serve(app.build(WELL), "999.1.1.1", 0)


async def test_the_signals_stay_with_the_process_and_the_port_is_free_after_a_stop() -> None:
    """The server ends when its task is cancelled, within a second, also with an idle connection open."""
    before = signal.getsignal(signal.SIGTERM)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(server.serve(app.build(WELL), "127.0.0.1", 0, ready=address.set_result))
    url = await asyncio.wait_for(address, patience.LONG_S)
    assert signal.getsignal(signal.SIGTERM) is before
    async with httpx.AsyncClient() as client:
        await client.get(f"{url}/livez")
        with patience.Own() as took:
            task.cancel()
            await asyncio.wait([task], timeout=patience.LONG_S)
        assert took.seconds < 1
        assert task.cancelled()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/livez")


def test_an_unknown_exception_is_told_as_our_defect() -> None:
    """The handler of refusals never shows another exception's text."""
    answer = asyncio.run(_refused(errors.refused))
    assert answer.status_code == 500
    assert SECRET.encode() not in bytes(answer.body)


async def _refused(handler: Callable[[Request, Exception], Awaitable[Response]]) -> Response:
    return await handler(Request({"type": "http"}), RuntimeError(SECRET))

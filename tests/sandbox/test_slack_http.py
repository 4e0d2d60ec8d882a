"""Deliveries over HTTP to a real server whose signatures slack_sdk's own verifier checks."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from sandbox.slack import workspace
from tests import patience
from tests.sandbox import slack_kit, telegram_kit
from tests.sandbox.slack_kit import MAYA, SUPPORT, App, Json, People, actions, button

SOON_AGAIN = {"retry_delays_s": [0, 0.1, 0.2]}
IMPATIENT = {"ack_timeout_s": 0.1, "retry_delays_s": [0.0] * 1000}
Reply = Callable[["Received"], web.Response]


@dataclass(kw_only=True)
class Received:
    """One request that reached the app's server."""

    headers: dict[str, str]
    body: bytes
    signed: bool

    @property
    def json(self) -> Json:
        """The payload, from JSON or from the form's `payload`."""
        if self.headers["Content-Type"] == "application/json":
            value: Json = json.loads(self.body)
        else:
            value = json.loads(parse_qs(self.body.decode())["payload"][0])
        return value

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(kw_only=True)
class Server:
    """The app's request URL: keeps what came, answers what `reply` says; the handshake it answers by itself."""

    url: str = ""
    secret: str = workspace.SIGNING_SECRET
    shakes_hands: bool = True
    came: "asyncio.Queue[Received]" = field(default_factory=asyncio.Queue)
    reply: Reply = field(default=lambda _received: web.Response())
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def serve(self, request: web.Request) -> web.Response:
        """Verify, remember, answer."""
        body = await request.read()
        headers = dict(request.headers)
        received = Received(
            headers=headers, body=body, signed=SignatureVerifier(self.secret).is_valid_request(body, headers)
        )
        if b"url_verification" in body:
            return web.json_response({"challenge": received.json["challenge"]} if self.shakes_hands else {})
        self.came.put_nowait(received)
        await self.may_answer.wait()
        return self.reply(received)

    async def next(self) -> Received:
        """The next request."""
        return await asyncio.wait_for(self.came.get(), slack_kit.SOON_S)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A request URL on a free port."""
    async with serving() as found:
        yield found


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A request URL for the length of a `with` block."""
    found = Server()
    app = web.Application()
    app.router.add_post("/slack/events", found.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield found
    finally:
        await runner.cleanup()


async def test_an_event_is_signed_and_wrapped(slack: tuple[App, People], server: Server) -> None:
    """slack_sdk's SignatureVerifier accepts it; it carries no retry header."""
    _app, people = slack
    await people.do("settings", events_url=server.url)
    await people.post(SUPPORT, "over HTTP")
    received = await server.next()
    assert received.signed
    assert received.json["event"]["text"] == "over HTTP"
    assert "X-Slack-Retry-Num" not in received.headers


async def test_another_secret_signs_otherwise(slack: tuple[App, People], server: Server) -> None:
    """With the signing secret changed on one side only, the verifier refuses."""
    _app, people = slack
    await people.do("settings", events_url=server.url, signing_secret="another")
    await people.post(SUPPORT, "x")
    assert not (await server.next()).signed


async def test_a_url_must_answer_the_handshake(slack: tuple[App, People], server: Server) -> None:
    """A URL that does not return the challenge is not taken; with verify off it gets no event until it does."""
    _app, people = slack
    server.shakes_hands = False
    refused = await people.refused("settings", events_url=server.url)
    assert refused.endswith("challenge_failed")
    assert (await people.see("settings"))["settings"]["events_url"] == ""
    await people.do("settings", events_url=server.url, verify=False, retry_delays_s=[0.1] * 2000)
    await people.post(SUPPORT, "waits")

    async def tried_again() -> bool:
        return bool((await people.log("delivery"))[0]["requests"] > 1)

    await patience.eventually(tried_again, what="it would have been sent again")
    assert server.came.empty()
    server.shakes_hands = True
    received = await server.next()
    assert received.json["event"]["text"] == "waits"
    assert received.headers["X-Slack-Retry-Reason"] == "challenge_failed"


async def test_a_failing_url_gets_the_event_again_with_number_and_reason(
    slack: tuple[App, People], server: Server
) -> None:
    """500 gives http_error, silence gives http_timeout; after the third retry it is over."""
    _app, people = slack
    await people.do("settings", events_url=server.url, **SOON_AGAIN)
    server.reply = lambda _received: web.Response(status=500)
    await people.post(SUPPORT, "broken")
    first = await server.next()
    again = [await server.next() for _ in range(3)]
    assert [r.headers["X-Slack-Retry-Num"] for r in again] == ["1", "2", "3"]
    assert {r.headers["X-Slack-Retry-Reason"] for r in again} == {"http_error"}
    assert {r.json["event_id"] for r in again} == {first.json["event_id"]}
    assert all(r.signed for r in again)
    await people.post(SUPPORT, "broken too")  # takes as long again, and nothing of the first comes between
    ids = {(await server.next()).json["event_id"] for _ in range(4)}
    assert len(ids - {first.json["event_id"]}) == len(ids) == 1
    server.may_answer.clear()
    await people.do("settings", **IMPATIENT)
    await people.post(SUPPORT, "slow")
    await server.next()
    assert (await server.next()).headers["X-Slack-Retry-Reason"] == "http_timeout"


async def test_an_app_may_ask_for_no_retry(slack: tuple[App, People], server: Server) -> None:
    """X-Slack-No-Retry: 1 ends the matter."""
    _app, people = slack
    await people.do("settings", events_url=server.url, **SOON_AGAIN)
    enough = {"X-Slack-No-Retry": "1"}
    server.reply = lambda received: web.Response(status=500, headers=enough if b"once" in received.body else {})
    await people.post(SUPPORT, "once")
    await people.post(SUPPORT, "again")
    texts = [(await server.next()).json["event"]["text"] for _ in range(5)]
    assert sorted(texts) == ["again"] * 4 + ["once"]


async def test_a_websocket_goes_before_the_url(slack: tuple[App, People], server: Server) -> None:
    """While a websocket is open it gets the events, unless HTTP is asked for."""
    app, people = slack
    await people.do("settings", events_url=server.url)
    await app.connect()
    await people.post(SUPPORT, "socket")
    assert (await app.event("message"))["text"] == "socket"
    await people.do("settings", transport="http")
    await people.post(SUPPORT, "url")
    assert (await server.next()).json["event"]["text"] == "url"
    await app.silence()


async def test_a_press_comes_as_a_form_and_its_answer_counts(slack: tuple[App, People], server: Server) -> None:
    """Interactivity is payload=…; a submission's errors come back in the body."""
    app, people = slack
    await people.do("settings", events_url=server.url, subscriptions=[])
    blocks = [actions(button("assign", value="1"))]
    ts = (await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=blocks))["ts"]
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    received = await server.next()
    assert received.signed
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert received.json["actions"][0]["value"] == "1"
    view = slack_kit.modal(slack_kit.text_input("note"))
    view_id = (await app.web.views_open(trigger_id=received.json["trigger_id"], view=view))["view"]["id"]
    server.reply = lambda _received: web.json_response({"response_action": "errors", "errors": {"note": "no"}})
    said = await people.do("submit", user=MAYA, view_id=view_id, values={"note": {"words": "x"}})
    assert said["errors"] == {"note": "no"}
    assert (await server.next()).json["type"] == "view_submission"


async def test_commands_and_options_have_their_own_urls(slack: tuple[App, People], server: Server) -> None:
    """A slash command is a plain form; plain text in the answer is shown to its user."""
    app, people = slack
    async with serving() as options, serving() as commands:
        await people.do(
            "settings",
            events_url=server.url,
            options_url=options.url,
            commands_url=commands.url,
            subscriptions=[],
        )
        commands.reply = lambda _received: web.Response(text="done")
        said = await people.do("command", user=MAYA, channel=SUPPORT, command="/desk", text="open 1042")
        assert said["answer"] == {"text": "done"}
        form = (await commands.next()).form
        assert (form["command"], form["text"], form["user_id"]) == ("/desk", "open 1042", MAYA)
        assert form["response_url"].startswith(app.url)
        select = {"type": "external_select", "action_id": "who"}
        blocks = [actions(select)]
        ts = (await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=blocks))["ts"]
        option = {"text": {"type": "plain_text", "text": "Ada"}, "value": "c1"}
        options.reply = lambda _received: web.json_response({"options": [option]})
        found = await people.do("suggest", user=MAYA, channel=SUPPORT, ts=ts, action_id="who", value="a")
        assert found["options"] == [option]
        assert server.came.empty()


async def test_the_command_line_names_the_url(server: Server) -> None:
    """Started with --slack-events-url, it shakes hands before the first event, also when the app comes later."""
    server.secret = "from-the-command-line"
    arguments = ("--slack-events-url", server.url, "--slack-signing-secret", server.secret)
    with telegram_kit.running(*arguments) as desk:
        async with slack_kit.opened(desk.url) as (_app, people):
            await people.post(SUPPORT, "hello")
            received = await server.next()
            assert received.signed
            assert received.json["event"]["text"] == "hello"

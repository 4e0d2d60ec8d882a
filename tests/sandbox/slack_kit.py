"""What the tests of the Slack side share: the real SDK as the app, the control interface as the people."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import workspace
from tests import patience

Json = dict[str, Any]
SUPPORT, TECH, LEADS, RANDOM = (
    workspace.CHANNEL_SUPPORT,
    workspace.CHANNEL_TECH,
    workspace.CHANNEL_LEADS,
    workspace.CHANNEL_RANDOM,
)
MAYA, LINA, JONAS, STRANGER = (
    workspace.USER_MAYA,
    workspace.USER_LINA,
    workspace.USER_JONAS,
    workspace.USER_STRANGER,
)
SOON_S = patience.LONG_S
UNHURRIED = {"ack_timeout_s": SOON_S, "trigger_lifetime_s": SOON_S}
"""An app that gets no processor for a while is not taken for one that is gone. What is about that sets its own."""
FENCE = '{"type":"fence","envelope_id":"fence","payload":{}}'
"""A frame that stands behind everything that was put on its websocket before."""


class App:
    """The app under Slack's eyes: a web client, and websockets when asked for."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.web = AsyncWebClient(
            token=workspace.BOT_TOKEN, base_url=f"{url}/slack/api/", session=session, retry_handlers=[]
        )
        self.sockets: list[SocketModeClient] = []
        self.came: asyncio.Queue[SocketModeRequest] = asyncio.Queue()
        self.answers: dict[str, Json] = {}
        """What to answer to an interactive payload, by its type; a slash command by its name."""
        self.acknowledge: Callable[[SocketModeRequest], bool] = lambda _request: True

    async def connect(self) -> SocketModeClient:
        """One more websocket, ready when this returns."""
        socket = SocketModeClient(workspace.APP_TOKEN, web_client=self.web, ping_interval=1)
        socket.socket_mode_request_listeners.append(self._received)
        ready = asyncio.Event()

        async def hello(_client: AsyncBaseSocketModeClient, message: Json, _raw: str | None) -> None:
            if message.get("type") == "hello":
                ready.set()

        socket.message_listeners.append(hello)
        self.sockets.append(socket)
        await socket.connect()  # type: ignore[no-untyped-call]  # slack_sdk
        await asyncio.wait_for(ready.wait(), SOON_S)
        return socket

    async def event(self, kind: str, *, subtype: str | None = None) -> Json:
        """The next event of this type; others are passed over."""
        while True:
            event: Json = (await self.request("events_api")).payload["event"]
            if event["type"] == kind and event.get("subtype") == subtype:
                return event

    async def request(self, kind: str) -> SocketModeRequest:
        """The next envelope of this type."""
        while True:
            request = await asyncio.wait_for(self.came.get(), SOON_S)
            if request.type == kind:
                return request

    async def silence(self) -> None:
        """Nothing (more) has come on the websockets: a fence on each of them is the next thing to arrive."""
        for _ in self.sockets:  # they take turns
            async with self.session.post(f"{self.url}/control/slack/raw", json={"frame": FENCE}) as response:
                assert (await response.json())["ok"]
        for _ in self.sockets:
            request = await asyncio.wait_for(self.came.get(), SOON_S)
            assert request.type == "fence", request.to_dict()

    async def close(self) -> None:
        """Close the websockets."""
        for socket in self.sockets:
            await socket.close()  # type: ignore[no-untyped-call]  # slack_sdk
            await socket.aiohttp_client_session.close()

    async def _received(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self.came.put_nowait(request)
        if request.type == "fence" or not self.acknowledge(request):
            return
        kind = str(request.payload.get("type") or request.payload.get("command") or "")
        answer: Json = {"envelope_id": request.envelope_id}
        if kind in self.answers:
            answer["payload"] = self.answers[kind]
        await client.send_socket_mode_response(answer)


class People:
    """The people in the small Slack, and its administrator."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def do(self, what: str, **fields: object) -> Json:
        """A control request below /control/slack/ that must succeed."""
        answer = await self.attempt(what, **fields)
        assert answer["ok"], answer
        return answer

    async def refused(self, what: str, **fields: object) -> str:
        """The error of a control request that must not succeed."""
        answer = await self.attempt(what, **fields)
        assert not answer["ok"], answer
        return str(answer["error"])

    async def attempt(self, what: str, **fields: object) -> Json:
        """A control request and its answer."""
        async with self._session.post(f"{self.url}/control/slack/{what}", json=fields) as response:
            answer: Json = await response.json()
            assert (response.status == 200) == answer["ok"]
            return answer

    async def see(self, what: str, **query: str) -> Json:
        """A GET below /control/slack/."""
        async with self._session.get(f"{self.url}/control/slack/{what}", params=query) as response:
            answer: Json = await response.json()
            assert answer["ok"], answer
            return answer

    async def post(self, channel: str, text: str, *, user: str = MAYA, **fields: object) -> str:
        """Write a message; its ts."""
        return str((await self.do("post", user=user, channel=channel, text=text, **fields))["ts"])

    async def fault(self, method: str, fault: str, **fields: object) -> None:
        """Add a fault to the Slack side."""
        wish = {"platform": "slack", "method": method, "fault": fault, **fields}
        async with self._session.post(f"{self.url}/control/faults", json=wish) as response:
            assert (await response.json())["ok"]

    async def no_faults(self) -> None:
        """Both platforms behave again, and handle what they have kept waiting."""
        async with self._session.delete(f"{self.url}/control/faults") as response:
            assert (await response.json())["ok"]

    async def log(self, kind: str, key: str | None = None) -> list[Json]:
        """The judge's records of one kind."""
        query = {"platform": "slack", "kind": kind} | ({"key": key} if key else {})
        async with self._session.get(f"{self.url}/control/log", params=query) as response:
            records: list[Json] = (await response.json())["records"]
            return records


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[App, People]]:
    """The app and the people of a running sandbox."""
    async with aiohttp.ClientSession() as session:
        app = App(url, session)
        people = People(url, session)
        try:
            yield app, people
        finally:
            await app.close()
            async with asyncio.timeout(SOON_S):  # the next test must find no connection of this one
                while (await people.see("connections"))["connections"]:
                    await people.do("disconnect", reason="cut")  # one that is half open notices nothing by itself
                    await asyncio.sleep(0.01)


async def post_card(app: App, *blocks: Json) -> str:
    """The app posts blocks into #support; the ts."""
    answer = await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=list(blocks))
    return str(answer["ts"])


async def error_of(call: Awaitable[object]) -> str:
    """The error code of a Web API call that must be refused."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


def button(action_id: str, text: str = "Assign to me", **fields: object) -> Json:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **fields}


def section(text: str, **fields: object) -> Json:
    """A section block."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **fields}


def actions(*elements: Json, **fields: object) -> Json:
    """An actions block."""
    return {"type": "actions", "elements": list(elements), **fields}


def text_input(block_id: str, action_id: str = "words", **fields: object) -> Json:
    """An input block with a text field."""
    return {
        "type": "input",
        "block_id": block_id,
        "label": {"type": "plain_text", "text": "Words"},
        "element": {"type": "plain_text_input", "action_id": action_id},
        **fields,
    }


def modal(*blocks: Json, **fields: object) -> Json:
    """A modal."""
    return {
        "type": "modal",
        "callback_id": "dialog",
        "title": {"type": "plain_text", "text": "Title"},
        "submit": {"type": "plain_text", "text": "Save"},
        "blocks": list(blocks),
        **fields,
    }

"""Stored Slack payloads become domain events: Bolt dispatches, the listeners read.

Bolt never listens to Slack here. It gets each payload from the inbox, after it was stored and acknowledged, with an
`authorize` of ours that asks nobody: so no failing auth.test, unmatched payload or slow listener can lose anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.error import BoltUnhandledRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot.desk import lines, presses
from bot.desk.client import QUIET
from bot.desk.directory import Directory
from bot.desk.payloads import Own, Payload, mapping, moment, string, time_of
from domain.errors import MalformedEvent, RelaydeskError
from domain.events import DeskCommand, DeskNotice, Event, Ignored

NOTICES = frozenset(
    {
        "app_uninstalled",
        "channel_archive",
        "channel_left",
        "group_archive",
        "group_left",
        "tokens_revoked",
    }
)
_FOUND = "relaydesk_found"


@dataclass(slots=True)
class _Found:
    """What the listeners made of one payload."""

    event: Event | Ignored | None = None
    error: Exception | None = None


class _Known(AsyncAuthorize):
    """Says who we are from memory. Listeners call nobody, so they get no token."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    async def __call__(self, **_known: object) -> AuthorizeResult:
        own = self._listeners.own
        return AuthorizeResult(
            enterprise_id=None,
            team_id=own.team_id or None,
            bot_user_id=own.bot_user_id or None,
            bot_id=own.bot_id or None,
            bot_token="",
        )


class Listeners:
    """Reads stored payloads. `own` is replaced once Slack has told who we are."""

    def __init__(self, directory: Directory, own: Own) -> None:
        self.own = own
        self._directory = directory
        self._app = AsyncApp(
            name="relaydesk",
            logger=QUIET,
            client=AsyncWebClient(logger=QUIET, retry_handlers=[]),
            authorize=_Known(self),
            process_before_response=True,
            raise_error_for_unhandled_request=True,
            request_verification_enabled=False,  # done on the bytes, before they were stored
            ssl_check_enabled=False,
            url_verification_enabled=False,
            ignoring_self_events_enabled=False,  # done by `payloads.whose`, which also reads what was edited
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        self._app.event("message")(self._on_message)
        self._app.event("member_left_channel")(self._on_member)
        self._app.event("reaction_added")(self._on_reaction)
        self._app.event("reaction_removed")(self._on_reaction)
        self._app.event("app_home_opened")(self._on_home)
        self._app.event(re.compile("|".join(sorted(NOTICES))))(self._on_notice)
        self._app.action(re.compile(".*"))(self._on_action)
        self._app.command(re.compile(".*"))(self._on_command)
        self._app.view_submission(re.compile(".*"))(self._on_submission)
        self._app.shortcut(re.compile(".*"))(self._on_shortcut)
        self._app.error(self._on_error)

    async def parse(self, payload: str) -> Event | Ignored:
        """Read a stored payload.

        Raises MalformedEvent with a reason, or NotYet where Slack must first say who somebody is.
        """
        try:
            body = json.loads(payload)
            if "\\ud" in payload or "\\u0000" in payload:
                body = _storable(body)
        except (ValueError, RecursionError):
            raise MalformedEvent("not JSON") from None
        if not isinstance(body, dict):
            raise MalformedEvent("not a JSON object")
        found = _Found()
        try:
            await self._app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=body, context={_FOUND: found}))
        except Exception as error:
            raise MalformedEvent(f"odd shape: {type(error).__name__}") from error
        if isinstance(found.error, RelaydeskError):
            raise found.error
        if isinstance(found.error, BoltUnhandledRequestError):
            return Ignored(reason=_nature(body))
        if found.error is not None:
            raise MalformedEvent(f"odd shape: {type(found.error).__name__}") from None
        if found.event is None:
            raise MalformedEvent("odd shape: nothing in it that could be read")
        return found.event

    async def _on_error(self, error: Exception, context: AsyncBoltContext) -> None:
        context[_FOUND].error = error

    async def _on_message(self, event: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await lines.message(event, self.own, self._directory)

    async def _on_action(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await presses.button(body, self.own, self._directory)
        await ack()

    async def _on_command(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = presses.command(body)
        await ack()

    async def _on_submission(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await presses.window(body, self.own, self._directory)
        await ack()

    async def _on_shortcut(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await presses.shortcut(body, self.own, self._directory)
        await ack()

    async def _on_member(self, event: Payload, context: AsyncBoltContext) -> None:
        if not self.own.bot_user_id or string(event, "user") != self.own.bot_user_id:
            context[_FOUND].event = Ignored(reason="member")
            return
        context[_FOUND].event = DeskNotice(
            at=time_of(string(event, "event_ts")), kind="removed", channel=string(event, "channel") or None
        )

    async def _on_reaction(self, event: Payload, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await presses.reaction(event, body, self.own, self._directory)

    async def _on_home(self, event: Payload, body: Payload, context: AsyncBoltContext) -> None:
        user, key = string(event, "user"), string(body, "event_id")
        if string(event, "tab") != "home" or not user:
            context[_FOUND].event = Ignored(reason="home_messages")
            return
        at = moment(event.get("event_ts") or body.get("event_time"))
        context[_FOUND].event = DeskCommand(agent_id=user, at=at, channel="", text="home", key=key)

    async def _on_notice(self, event: Payload, body: Payload, context: AsyncBoltContext) -> None:
        kind = string(event, "type").replace("group_", "channel_")
        kind = "removed" if kind == "channel_left" else kind
        at = moment(event.get("event_ts") or body.get("event_time"))
        context[_FOUND].event = DeskNotice(at=at, kind=kind, channel=string(event, "channel") or None)


def _storable(value: object) -> object:
    """The value with U+FFFD for what not every database takes: halves of a character, and NUL."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {str(_storable(name)): _storable(one) for name, one in value.items()}
    return value


def _nature(body: Payload) -> str:
    event = mapping(body.get("event"))
    return (string(event, "type") or string(body, "type") or "unknown")[:60]

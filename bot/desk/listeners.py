"""Stored Slack payloads become domain events: Bolt dispatches, the listeners read.

Bolt never listens to Slack here. It gets each payload from the inbox, after it was stored and acknowledged, with an
`authorize` of ours that asks nobody: so no failing auth.test, unmatched payload or slow listener can lose anything.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.error import BoltUnhandledRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot.desk import blocks, fact_window, forms, modals, rich
from bot.desk.client import QUIET
from bot.desk.directory import Directory
from bot.desk.payloads import (
    LOOKING,
    NEW_MESSAGE,
    RECEIVED_AT,
    TAKE_BACK,
    Own,
    Payload,
    emoji_of,
    is_on_card,
    mapping,
    moment,
    read_form,
    string,
    thread_of,
    whose,
)
from domain import files, text
from domain.errors import MalformedEvent, NotYet, RelaydeskError
from domain.events import (
    WRITTEN,
    ActionName,
    AgentAction,
    AgentEdit,
    AgentMessage,
    AgentReaction,
    DeskCommand,
    DeskNotice,
    Event,
    FactEntered,
    Ignored,
)
from domain.model import Attachment

ACTIONS = frozenset(get_args(ActionName))
MAX_NAMES = 20
"""People looked up for one message: more mentions than that read `@someone`."""
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
_USER = re.compile(r"<@([UW][A-Z0-9]+)")
_CALL = re.compile(r"<(?:@[UW]|!(?:subteam\^|here|channel|everyone|group))")
_FOUND = "relaydesk_found"
CLIP = "slack_audio"
"""Something said into Slack: the customer hears it as a voice message."""


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
        context[_FOUND].event = await self._message(event)

    async def _on_action(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await self._action(body)
        await ack()

    async def _on_command(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = _command(body)
        await ack()

    async def _on_submission(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await self._noted(body) or await self._submission(body)
        await ack()

    async def _on_shortcut(self, ack: AsyncAck, body: Payload, context: AsyncBoltContext) -> None:
        context[_FOUND].event = await self._shortcut(body)
        await ack()

    async def _on_member(self, event: Payload, context: AsyncBoltContext) -> None:
        if not self.own.bot_user_id or string(event, "user") != self.own.bot_user_id:
            context[_FOUND].event = Ignored(reason="member")
            return
        context[_FOUND].event = DeskNotice(at=_at(event), kind="removed", channel=string(event, "channel") or None)

    async def _on_reaction(self, event: Payload, body: Payload, context: AsyncBoltContext) -> None:
        item = mapping(event.get("item"))
        place, ts, user = string(item, "channel"), string(item, "ts"), string(event, "user")
        name, is_on = emoji_of(event), string(event, "type") == "reaction_added"
        if not (place and ts and user) or not (name in self.own.reactions or (name in (LOOKING, TAKE_BACK) and is_on)):
            context[_FOUND].event = Ignored(reason="reaction")
            return
        is_stranger = await self._is_stranger(user, {"user_team": string(body, "team_id")})
        if name not in (LOOKING, TAKE_BACK):
            context[_FOUND].event = AgentReaction(
                agent_id=user,
                at=_time(string(event, "event_ts")),
                channel=place,
                ts=ts,
                name=name,
                is_on=is_on,
                is_stranger=is_stranger,
            )
            return
        context[_FOUND].event = AgentAction(
            agent_id=user,
            at=_time(string(event, "event_ts")),
            channel=place,
            thread_ts=ts,
            conversation_id=None,
            action="acknowledge" if name == LOOKING else "take_back",
            value="reaction",
            key=string(body, "event_id"),
            is_stranger=is_stranger,
        )

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

    async def _message(self, event: Payload) -> Event | Ignored:
        subtype = string(event, "subtype")
        if subtype in ("message_changed", "message_deleted"):
            return await self._edit(event, subtype)
        if subtype not in NEW_MESSAGE:
            return Ignored(reason=subtype)
        if reason := whose(event, self.own):
            return Ignored(reason=reason)
        channel, thread_ts, ts = (string(event, key) for key in ("channel", "thread_ts", "ts"))
        if not thread_ts or thread_ts == ts:
            return Ignored(reason="not_in_thread")
        user = string(event, "user")
        if not (channel and ts and user):
            raise MalformedEvent("a message without channel, time or author")
        composed = await self._composed(event)
        return AgentMessage(
            agent_id=user,
            at=_time(ts),
            channel=channel,
            thread_ts=thread_ts,
            ts=ts,
            text=composed.text,
            spans=composed.spans,
            mentions=_calls_somebody(event),
            attachments=_attachments(event.get("files")),
            is_stranger=await self._is_stranger(user, event),
        )

    async def _edit(self, event: Payload, subtype: str) -> Event | Ignored:
        changed, before = mapping(event.get("message")), mapping(event.get("previous_message"))
        inner = changed if subtype == "message_changed" else before
        channel, ts = string(event, "channel"), string(inner, "ts") or string(event, "deleted_ts")
        if reason := whose(inner, self.own) or whose(before, self.own):
            return Ignored(reason=reason)
        thread_ts = string(inner, "thread_ts") or string(before, "thread_ts")
        if not thread_ts or thread_ts == ts:
            return Ignored(reason="not_in_thread")
        user = string(before, "user") or string(inner, "user")
        if not (channel and ts and user):
            raise MalformedEvent("a changed message without channel, time or author")
        gone = subtype == "message_deleted" or string(changed, "subtype") == "tombstone"
        if not gone and before and before.get("text") == changed.get("text"):
            return Ignored(reason="same_text")
        at = string(mapping(changed.get("edited")), "ts") or string(event, "event_ts") or string(event, "ts") or ts
        new = rich.Composed(text="") if gone else await self._composed(changed)
        return AgentEdit(
            agent_id=user,
            at=_time(at),
            channel=channel,
            thread_ts=thread_ts,
            ts=ts,
            text=None if gone else new.text,
            spans=new.spans,
            mentions=not gone and _calls_somebody(changed),
        )

    async def _action(self, body: Payload) -> AgentAction | DeskCommand | Ignored:
        action = mapping(body["actions"][0])
        action_id, action_ts = string(action, "action_id"), string(action, "action_ts")
        user, channel = mapping(body.get("user")), string(mapping(body.get("channel")), "id")
        thread = thread_of(body)
        name = action_id.partition(":")[0]
        given = string(mapping(action.get("selected_option")), "value") or string(action, "value")
        if not string(user, "id"):
            raise MalformedEvent("an action without a user")
        try:
            conversation_id, version, value = blocks.read_value(given)
        except ValueError:
            return Ignored(reason=f"action:{name[:40]}")
        if value and "=" in value:  # an option of a menu that holds several kinds of steps
            name, _, chosen = value.partition("=")
            value = chosen or None
        if name not in ACTIONS:
            return Ignored(reason=f"action:{name[:40]}")
        if name == "on_duty":  # on somebody's own page: the same as the command
            return DeskCommand(
                agent_id=string(user, "id"), at=_time(action_ts), channel="", text=value or "", key=f"{action_ts}:duty"
            )
        return AgentAction(
            agent_id=string(user, "id"),
            at=_time(action_ts),
            channel=channel or (thread[0] if thread else ""),
            thread_ts=thread[1] if thread else None,
            conversation_id=conversation_id,
            action=name,  # one of ACTIONS, which are the literal's words
            value=value,
            version=version,
            key=f"{action_ts}:{action_id}",
            is_stranger=await self._is_stranger(string(user, "id"), {"user_team": user.get("team_id")}),
            trigger=string(body, "trigger_id") if is_on_card(body) else "",
        )

    async def _noted(self, body: Payload) -> FactEntered | None:
        """What happened elsewhere, as a colleague noted it in a window."""
        user = mapping(body.get("user"))
        if string(mapping(body.get("view")), "callback_id") != fact_window.FACT:
            return None
        stranger = await self._is_stranger(string(user, "id"), {"user_team": user.get("team_id")})
        return fact_window.read(body, _received(body), is_stranger=stranger)

    async def _submission(self, body: Payload) -> AgentMessage | AgentAction | Ignored:
        """An answer that was written in a window: it stands in the thread as a post of ours."""
        view, user = mapping(body.get("view")), mapping(body.get("user"))
        form = read_form(view)
        if not form:
            return await self._form(body)
        if not string(user, "id"):
            return Ignored(reason="window")
        seen, answers = form.get("s"), form.get("q")
        return AgentMessage(
            agent_id=string(user, "id"),
            at=_received(body),
            channel=form["p"],
            thread_ts=form["t"],
            ts=f"{WRITTEN}{form['e']}",
            text=modals.typed_in(view),
            seen=moment(seen) if isinstance(seen, int | float) else None,
            answers=answers if isinstance(answers, str) and answers else None,
            is_stranger=await self._is_stranger(string(user, "id"), {"user_team": user.get("team_id")}),
        )

    async def _form(self, body: Payload) -> AgentAction | Ignored:
        """A form of ours that was sent: the action it stands for."""
        user, sent = mapping(body.get("user")), forms.read(body)
        if sent is None or not string(user, "id"):
            return Ignored(reason="form")
        key = string(mapping(body.get("view")), "id")
        return AgentAction(
            agent_id=string(user, "id"),
            at=_received(body),
            channel=sent.channel,
            thread_ts=sent.thread_ts,
            conversation_id=sent.conversation_id,
            action=sent.action,
            value=sent.value,
            version=sent.version,
            note=sent.note,
            key=key,
            is_stranger=await self._is_stranger(string(user, "id"), {"user_team": user.get("team_id")}),
        )

    async def _shortcut(self, body: Payload) -> AgentAction | Ignored:
        """A shortcut on a message that needs nothing more than the click."""
        name = string(body, "callback_id").removeprefix(forms.PREFIX)
        user, thread = mapping(body.get("user")), thread_of(body)
        if name not in forms.STRAIGHT or thread is None or not string(user, "id"):
            return Ignored(reason="shortcut")
        ts = string(body, "action_ts")
        return AgentAction(
            agent_id=string(user, "id"),
            at=_time(ts),
            channel=thread[0],
            thread_ts=thread[1],
            conversation_id=None,
            action=name,
            key=f"{ts}:{name}",
            is_stranger=await self._is_stranger(string(user, "id"), {"user_team": user.get("team_id")}),
        )

    async def _is_stranger(self, user: str, event: Payload) -> bool:
        own = self.own.team_id
        home = string(event, "user_team") or string(event, "source_team")
        if own and home and home != own:
            return True
        profile = await self._directory.profile(user)
        return profile.is_outsider or bool(own and profile.team_id and profile.team_id != own)

    async def _composed(self, message: Payload) -> rich.Composed:
        written, blocks_ = string(message, "text"), message.get("blocks")
        mentioned = dict.fromkeys((*_USER.findall(written), *rich.users(blocks_)))
        for user in list(mentioned)[:MAX_NAMES]:
            with suppress(NotYet):  # a name is never worth waiting for: without one it reads `@someone`
                await self._directory.profile(user)
        composed = rich.read(blocks_, self._directory.name)
        if composed is not None and (composed.text or not written):
            return composed
        return rich.Composed(text=text.slack_to_plain(written, self._directory.name))


def _calls_somebody(message: Payload) -> bool:
    """Whether a message mentions a colleague, a group or everybody."""
    return bool(_CALL.search(string(message, "text"))) or rich.calls(message.get("blocks"))


def _storable(value: object) -> object:
    """The value with U+FFFD for what not every database takes: halves of a character, and NUL."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {str(_storable(name)): _storable(one) for name, one in value.items()}
    return value


def _received(body: Payload) -> datetime:
    try:
        at = datetime.fromisoformat(string(body, RECEIVED_AT))
    except ValueError:
        raise MalformedEvent("without the time it was received") from None
    if at.tzinfo is None:
        raise MalformedEvent("received at a time without a zone")
    return at


def _command(body: Payload) -> DeskCommand:
    user = string(body, "user_id")
    if not user:
        raise MalformedEvent("a command without a user")
    return DeskCommand(
        agent_id=user,
        at=_received(body),
        channel=string(body, "channel_id"),
        text=string(body, "text").strip(),
        key=string(body, "trigger_id"),
    )


def _attachments(files: object) -> tuple[Attachment, ...]:
    if not isinstance(files, list):
        return ()
    return tuple(_attachment(mapping(file)) for file in files if string(mapping(file), "id"))


def _attachment(file: Payload) -> Attachment:
    mime = string(file, "mimetype") or "application/octet-stream"
    size = file.get("size")
    gone = string(file, "mode") in ("tombstone", "hidden_by_limit")
    return Attachment(
        id=string(file, "id"),
        kind="voice" if string(file, "subtype") == CLIP else files.kind_of(mime),
        platform_id=string(file, "id"),
        name=text.safe_filename(string(file, "name") or string(file, "title")),
        mime=mime,
        size=size if isinstance(size, int) else None,
        problem="file_gone" if gone else None,
    )


def _time(ts: str) -> datetime:
    try:
        return moment(ts)
    except ValueError:
        raise MalformedEvent("a time that is none") from None


def _at(event: Payload) -> datetime:
    return _time(string(event, "event_ts"))


def _nature(body: Payload) -> str:
    event = mapping(body.get("event"))
    return (string(event, "type") or string(body, "type") or "unknown")[:60]

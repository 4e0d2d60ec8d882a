"""What a Web API method gets, and how it reads its arguments."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.events import HISTORY_SCOPES, READ_SCOPES
from sandbox.slack.model import Channel, Json, Token, User

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

Item = TypeVar("Item")
WRITE_SCOPES = {"channel": "channels:manage", "group": "groups:write", "im": "im:write"}


@dataclass(slots=True, kw_only=True)
class Call:
    """One authenticated call. A handler returns the fields beside `ok`, or raises SlackError."""

    side: "SlackSide"
    method: str
    args: Json
    token: Token
    warnings: list[str] = field(default_factory=list)

    @property
    def bot(self) -> User:
        """The user behind the bot token."""
        return self.side.bot

    def need(self, *scopes: str) -> None:
        """SlackError `missing_scope` unless the token holds one of these."""
        if not any(scope in self.token.scopes for scope in scopes):
            raise SlackError("missing_scope", needed=scopes[0], provided=",".join(self.token.scopes))

    def has(self, scope: str) -> bool:
        """Whether the token holds this scope."""
        return scope in self.token.scopes

    def text(self, name: str) -> str | None:
        """A string argument, None if absent or empty."""
        value = self.args.get(name)
        return None if value is None or value == "" else str(value)

    def required(self, name: str, error: str | None = None) -> str:
        """A string argument that must be there."""
        value = self.text(name)
        if value is None:
            raise SlackError(error) if error else invalid_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean argument in any of the spellings that Slack takes."""
        value = self.args.get(name)
        if value is None or value == "":
            return default
        return value is True or str(value).lower() in ("1", "true")

    def number(self, name: str, default: int, *, most: int) -> int:
        """A whole number from 1 to `most`; SlackError `invalid_limit` otherwise."""
        value = self.args.get(name)
        if value is None or value == "" or value == 0 or value == "0":
            return default
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise SlackError("invalid_limit") from None
        if not 1 <= number <= most:
            raise SlackError("invalid_limit")
        return number

    def json(self, name: str, error: str) -> Any:  # noqa: ANN401 — whatever JSON the caller sent
        """A structured argument: already an object in a JSON body, else a JSON string in a form."""
        value = self.args.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            try:
                return json.loads(value)
            except ValueError:
                raise SlackError(error) from None
        return value

    def cursor(self) -> str | None:
        """The plain text inside the cursor argument."""
        value = self.text("cursor")
        if value is None:
            return None
        try:
            return base64.b64decode(value, validate=True).decode().removeprefix("next:")
        except (binascii.Error, ValueError):
            raise SlackError("invalid_cursor") from None

    def channel(self, name: str = "channel", *, to_post: bool = False) -> Channel:
        """The channel that the argument names, as far as the bot may know of it."""
        return self.side.channel_for_bot(self.required(name, "channel_not_found"), to_post=to_post)

    def readable_channel(self) -> Channel:
        """A channel whose messages the bot may read."""
        channel = self.channel()
        self.need(HISTORY_SCOPES[channel.kind])
        if self.side.bot.id not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def known_channel(self) -> Channel:
        """A channel about which the bot may ask."""
        channel = self.channel()
        self.need(READ_SCOPES[channel.kind])
        return channel


def next_cursor(plain: str | None) -> Json:
    """`response_metadata` with the cursor of the next page, empty on the last."""
    if plain is None:
        return {"next_cursor": ""}
    return {"next_cursor": base64.b64encode(f"next:{plain}".encode()).decode()}


def page(call: Call, items: list[Item], *, default: int = 100, most: int = 1000) -> tuple[list[Item], Json]:
    """A page of a list by index, and its `response_metadata`."""
    limit = call.number("limit", default, most=most)
    cursor = call.cursor()
    try:
        start = int(cursor) if cursor is not None else 0
    except ValueError:
        raise SlackError("invalid_cursor") from None
    end = start + limit
    return items[start:end], next_cursor(str(end) if end < len(items) else None)


Handler = Callable[[Call], Json]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A Web API method. `scopes`: the token needs one of them, () means any token of the right kind will do."""

    handler: Handler
    scopes: tuple[str, ...] = ()
    tier: int = 3
    form_only: bool = False
    token: str = "bot"

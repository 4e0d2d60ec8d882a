"""How control requests are read: typed fields of a JSON object, one clear refusal for each mistake."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.control import ControlError, body
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Json, User

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide


class Wish:
    """The JSON object of a control request."""

    def __init__(self, side: "SlackSide", fields: Json) -> None:
        self.side = side
        self.fields = fields

    def text(self, name: str) -> str:
        """A field that must be a text with something in it."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise ControlError(f"{name} must be a text")
        return value

    def maybe(self, name: str) -> str | None:
        """A text field that may be missing."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise ControlError(f"{name} must be a text")
        return value or None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A field that is true or false."""
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise ControlError(f"{name} must be true or false")
        return value

    def table(self, name: str) -> Json:
        """A field that is an object, empty if missing."""
        value = self.fields.get(name, {})
        if not isinstance(value, dict):
            raise ControlError(f"{name} must be an object")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ControlError(f"{name} must be a list of texts")
        return value

    def seconds(self, name: str) -> float:
        """A field that is a number of seconds, 0 or more."""
        value: Any = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ControlError(f"{name} must be a number of seconds, 0 or more")
        return float(value)

    def person(self, name: str = "user") -> User:
        """The person who acts: known, not a bot, not deactivated."""
        user = self.side.user(self.text(name))
        if user.is_bot:
            raise SlackError("is_bot")
        if user.deleted:
            raise SlackError("account_inactive")
        return user

    def channel(self, person: User | None = None) -> Channel:
        """The channel, by id or #name; a private one exists only for its members."""
        asked = self.text("channel")
        channel = self.side.channels.get(asked)
        if channel is None:
            name = asked.removeprefix("#")
            channel = next((c for c in self.side.channels.values() if c.name == name and c.kind != "im"), None)
        if channel is None or (person is not None and channel.kind != "channel" and person.id not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def writable_channel(self, person: User) -> Channel:
        """A channel in which this person may write."""
        channel = self.channel(person)
        if channel.is_archived:
            raise SlackError("is_archived")
        if person.id not in channel.members:
            raise SlackError("not_in_channel")
        return channel


Answer = Callable[[Wish], Awaitable[Json]]


def route(side: "SlackSide", answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler: `{"ok": true, …}`, or 400 and `{"ok": false, "error": …}` with Slack's own word for the refusal."""

    async def handle(request: web.Request) -> web.Response:
        fields = await body(request) if request.method == "POST" else dict(request.query)
        fields |= request.match_info
        try:
            said = await answer(Wish(side, fields))
        except SlackError as error:
            return web.json_response(error.body(), status=400)
        return web.json_response({"ok": True, **said})

    return handle

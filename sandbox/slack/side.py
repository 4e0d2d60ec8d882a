"""The Slack side as one object: people, channels, messages, files, views, tokens, and the way to the app."""

import random
import time
from dataclasses import dataclass
from typing import Any

from sandbox.slack import saved, workspace
from sandbox.slack.deliveries import Deliveries
from sandbox.slack.errors import SlackError
from sandbox.slack.held import Held
from sandbox.slack.limits import Limits
from sandbox.slack.model import Channel, Json, Token, User
from sandbox.slack.settings import Settings
from sandbox.slack.sockets import Sockets
from sandbox.state import Sandbox

MICROS = 1_000_000


@dataclass(slots=True, kw_only=True)
class Trigger:
    """Permission to open one modal for one user, for three seconds."""

    user: str
    born: float
    view_id: str | None = None
    used: bool = False


@dataclass(slots=True, kw_only=True)
class ResponseUrl:
    """Permission to answer one interaction, five times within half an hour."""

    channel: str
    user: str
    born: float
    message_ts: str | None = None
    thread_ts: str | None = None
    uses_left: int = 5


class SlackSide(Held):
    """Everything that the local Slack knows. Handlers change it synchronously, inside the event loop."""

    def __init__(self, desk: Sandbox, *, settings: Settings | None = None) -> None:
        self._first_settings = settings or Settings()
        super().__init__(desk, saved.copy_settings(self._first_settings))
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.limits = Limits()
        self.sockets = Sockets(self)
        self.deliveries = Deliveries(self, self.sockets)
        self._ids = random.Random()
        self._floor_us = 0
        self._fill()

    # The core's protocol

    async def start(self) -> None:
        """Nothing waits in the background: deliveries begin with the first event."""

    async def stop(self) -> None:
        """Close every websocket, cancel every delivery under way."""
        await self.deliveries.stop()
        await self.sockets.stop()

    def reset(self) -> None:
        """The workspace of the first start; open websockets stay, deliveries under way are forgotten."""
        self.deliveries.forget()
        self.settings = saved.copy_settings(self._first_settings)
        self._floor_us = max([self._floor_us, *(c.last_us for c in self.channels.values())])
        self._fill()

    def dump(self) -> dict[str, Any]:
        """Everything but deliveries under way, open modals and short-lived permissions."""
        return saved.dump(self)

    def load(self, saved_state: dict[str, Any]) -> None:
        """Take up what `dump` gave."""
        saved.load(self, saved_state)

    def view(self) -> dict[str, Any]:
        """For `GET /control/state`."""
        return {
            "connections": self.sockets.count(),
            "waiting": self.deliveries.waiting(),
            "messages": sum(len(c.messages) for c in self.channels.values()),
            "settings": self.settings.json(),
        }

    def _fill(self) -> None:
        self.users = {user.id: user for user in workspace.people()}
        self.bot_user_id = workspace.BOT_USER_ID
        self.groups = {group.id: group for group in workspace.groups()}
        self.channels = {channel.id: channel for channel in workspace.channels(self.now_s())}
        for channel in self.channels.values():
            channel.last_us = self._floor_us
        self.files.clear()
        self.views.clear()
        self.triggers.clear()
        self.response_urls.clear()
        self.app_homes_seen.clear()
        self.limits.clear()
        self.tokens = {
            workspace.BOT_TOKEN: Token(value=workspace.BOT_TOKEN, kind="bot", scopes=workspace.DEFAULT_BOT_SCOPES),
            workspace.APP_TOKEN: Token(value=workspace.APP_TOKEN, kind="app", scopes=workspace.APP_SCOPES),
        }

    # Time and ids

    def now_us(self) -> int:
        """Product time in whole microseconds."""
        return int(self.desk.clock.now() * MICROS)

    def now_s(self) -> int:
        """Product time in whole seconds."""
        return int(self.desk.clock.now())

    def event_ts(self) -> str:
        """Product time as Slack writes it, for events that are not messages."""
        seconds, micros = divmod(self.now_us(), MICROS)
        return f"{seconds:010d}.{micros:06d}"

    def new_id(self, prefix: str) -> str:
        """An id that nothing else has, also after a reset: the prefix and 13 digits or capitals."""
        return f"{prefix}{self._ids.getrandbits(52):013X}"

    # Look-ups

    @property
    def bot(self) -> User:
        """The app's bot user, as it is installed now."""
        return self.users[self.bot_user_id]

    def user(self, user_id: object, error: str = "user_not_found") -> User:
        """The user, or SlackError."""
        user = self.users.get(str(user_id))
        if user is None:
            raise SlackError(error)
        return user

    def channel(self, channel_id: object) -> Channel:
        """The channel with this id, or SlackError `channel_not_found`."""
        channel = self.channels.get(str(channel_id))
        if channel is None:
            raise SlackError("channel_not_found")
        return channel

    def channel_for_bot(self, reference: object, *, to_post: bool = False) -> Channel:
        """What a bot means by `channel`: an id; to post also a #name, or a user id for the direct message."""
        name = str(reference)
        channel = self.channels.get(name)
        if channel is None and to_post and name in self.users:
            return self.direct_message(name)
        if channel is None and to_post:
            plain = name.removeprefix("#")
            channel = next((c for c in self.channels.values() if c.name == plain and c.kind != "im"), None)
        if channel is None or (channel.kind != "channel" and self.bot.id not in channel.members):
            raise SlackError("channel_not_found")
        return channel

    def direct_message(self, user_id: str) -> Channel:
        """The direct message of the bot and a person, opened if there is none."""
        person = self.user(user_id)
        for channel in self.channels.values():
            if channel.kind == "im" and channel.im_user == user_id:
                return channel
        if person.is_bot or person.deleted:
            raise SlackError("cannot_dm_bot" if person.is_bot else "user_disabled")
        channel = Channel(
            id=self.new_id("D"),
            name="",
            kind="im",
            creator=self.bot.id,
            created_s=self.now_s(),
            members=[self.bot.id, user_id],
            im_user=user_id,
            last_us=self._floor_us,
        )
        self.channels[channel.id] = channel
        self.desk.publish({"type": "slack.channel", "channel": channel.json(self.bot.id)})
        return channel

    # Short-lived permissions

    def new_trigger(self, user: str, view_id: str | None = None) -> str:
        """A trigger_id for an interaction of this user."""
        trigger_id = f"{self._ids.getrandbits(40)}.{self._ids.getrandbits(40)}.{self._ids.getrandbits(128):032x}"
        self.triggers[trigger_id] = Trigger(user=user, born=time.monotonic(), view_id=view_id)
        if len(self.triggers) > 2_000:
            for old in list(self.triggers)[:1_000]:
                del self.triggers[old]
        return trigger_id

    def use_trigger(self, trigger_id: object) -> Trigger:
        """Take a trigger_id once, in time; SlackError otherwise."""
        trigger = self.triggers.get(str(trigger_id))
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if time.monotonic() - trigger.born > self.settings.trigger_lifetime_s:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def new_response_url(
        self, channel: str, user: str, *, message_ts: str | None = None, thread_ts: str | None = None
    ) -> str:
        """A response_url for an interaction in a channel."""
        key = f"{self._ids.getrandbits(160):040x}"
        self.response_urls[key] = ResponseUrl(
            channel=channel, user=user, born=time.monotonic(), message_ts=message_ts, thread_ts=thread_ts
        )
        if len(self.response_urls) > 10_000:
            for old in list(self.response_urls)[:5_000]:
                del self.response_urls[old]
        return f"{self.desk.url}/slack/response/{key}"

    # Small objects that many payloads carry

    def user_in_payload(self, user: User) -> Json:
        """The `user` of an interactive payload."""
        return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}

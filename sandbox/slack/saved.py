"""The Slack side as JSON, for the sandbox's state file."""

import base64
from dataclasses import fields, replace
from typing import Any

from sandbox.slack import workspace
from sandbox.slack.held import Held
from sandbox.slack.model import Channel, Ephemeral, File, Message, Token, User, Usergroup, View
from sandbox.slack.settings import Settings

PLAIN_CHANNEL_FIELDS = tuple(f.name for f in fields(Channel) if f.name not in ("messages", "top", "ephemerals"))


def copy_settings(settings: Settings) -> Settings:
    """A copy that can be changed."""
    return replace(settings)


def dump(held: Held) -> dict[str, Any]:
    """Nothing is copied: turn it into text before anything else runs."""
    return {
        "settings": held.settings.json(),
        "users": [_flat(user) for user in held.users.values()],
        "bot": held.bot_user_id,
        "groups": [_flat(group) for group in held.groups.values()],
        "tokens": [_flat(token) for token in held.tokens.values()],
        "files": [_file(file) for file in held.files.values()],
        "homes": [_flat(view) for view in held.views.values() if view.body["type"] == "home"],
        "app_homes_seen": sorted(held.app_homes_seen),
        "channels": [_channel(channel) for channel in held.channels.values()],
    }


def load(held: Held, saved: dict[str, Any]) -> None:
    """Replace everything by what was saved."""
    settings = saved["settings"]
    settings["retry_delays_s"] = tuple(settings["retry_delays_s"])
    if settings["subscriptions"] is not None:
        settings["subscriptions"] = tuple(settings["subscriptions"])
    settings["shortcuts"] = tuple(settings.get("shortcuts", {}).items())
    held.settings = Settings(**settings)
    held.users = {user["id"]: User(**user) for user in saved["users"]}
    held.bot_user_id = saved.get("bot", workspace.BOT_USER_ID)  # a save of before an app could be installed anew
    held.groups = {group["id"]: Usergroup(**group) for group in saved["groups"]}
    held.tokens = {token["value"]: Token(**{**token, "scopes": tuple(token["scopes"])}) for token in saved["tokens"]}
    held.files = {file["id"]: _read_file(file) for file in saved["files"]}
    held.views = {view["id"]: View(**view) for view in saved["homes"]}
    held.app_homes_seen = set(saved["app_homes_seen"])
    held.channels = {channel["id"]: _read_channel(channel) for channel in saved["channels"]}


def _flat(value: User | Usergroup | Token | View) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _file(file: File) -> dict[str, Any]:
    flat = {f.name: getattr(file, f.name) for f in fields(file)}
    flat["stored"] = None if file.stored is None else base64.b64encode(file.stored).decode()
    return flat


def _read_file(flat: dict[str, Any]) -> File:
    stored = flat.pop("stored")
    return File(**flat, stored=None if stored is None else base64.b64decode(stored))


def _channel(channel: Channel) -> dict[str, Any]:
    flat: dict[str, Any] = {name: getattr(channel, name) for name in PLAIN_CHANNEL_FIELDS}
    flat["top"] = channel.top
    flat["messages"] = [[m.body, m.metadata, m.state, m.replies] for m in channel.messages.values()]
    flat["ephemerals"] = [[e.user, e.body, e.state] for e in channel.ephemerals]
    return flat


def _read_channel(flat: dict[str, Any]) -> Channel:
    channel = Channel(**{name: flat[name] for name in PLAIN_CHANNEL_FIELDS})
    for body, metadata, state, replies in flat["messages"]:
        channel.messages[body["ts"]] = Message(body=body, metadata=metadata, state=state, replies=replies)
    channel.top = flat["top"]
    channel.ephemerals = [Ephemeral(user=user, body=body, state=state) for user, body, state in flat["ephemerals"]]
    return channel

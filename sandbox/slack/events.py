"""Events as the Events API words them: who hears them, and the wrapper around them."""

import json
from typing import TYPE_CHECKING

from sandbox.slack import workspace
from sandbox.slack.delivery import Delivery
from sandbox.slack.model import Channel, Json, Message, User

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

MESSAGE_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}
HISTORY_SCOPES = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
READ_SCOPES = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}
"""Events about channels need the channel's read scope, messages its history scope."""


def emit(side: "SlackSide", event: Json, *, scope: str | None, subscription: str | None = None) -> None:
    """Send an event to the app if it is subscribed and holds the scope. The event is read at once, not kept."""
    kind = event["type"]
    subscriptions = side.settings.subscriptions
    if subscriptions is not None and (subscription or kind) not in subscriptions:
        return
    bot_tokens = [t for t in side.tokens.values() if t.kind == "bot" and not t.revoked]
    if kind not in ("tokens_revoked", "app_uninstalled") and not any(
        scope is None or scope in token.scopes for token in bot_tokens
    ):
        return
    event_id = side.new_id("Ev")
    shared = "false"
    if channel := side.channels.get(event.get("channel", "") if isinstance(event.get("channel"), str) else ""):
        shared = "true" if channel.is_ext_shared else "false"
    body = (
        f'{{"token":"{workspace.VERIFICATION_TOKEN}","team_id":"{workspace.TEAM_ID}"'
        f',"context_team_id":"{workspace.TEAM_ID}","context_enterprise_id":null'
        f',"api_app_id":"{workspace.APP_ID}","event":{json.dumps(event)},"type":"event_callback"'
        f',"event_id":"{event_id}","event_time":{side.now_s()},"authorizations":{_authorizations(side)}'
        f',"is_ext_shared_channel":{shared},"event_context":"4-{event_id}"}}'
    )
    label = f"{kind}.{event['subtype']}" if "subtype" in event else kind
    side.deliveries.send(Delivery(id=event_id, kind="events_api", label=label, body=body))


def message(side: "SlackSide", channel: Channel, stored: Message, *, subtype: str | None = None) -> None:
    """A new message, and app_mention if it names the bot."""
    if side.bot.id not in channel.members:
        return
    event = {
        **stored.body,
        "channel": channel.id,
        "event_ts": stored.ts,
        "channel_type": channel.kind,
    }
    if subtype is not None:
        event["subtype"] = subtype
    if stored.metadata is not None:
        event["metadata"] = stored.metadata
    _message(side, channel, event)
    author = stored.body.get("user")
    if channel.kind != "im" and author != side.bot.id and f"<@{side.bot.id}>" in stored.body["text"]:
        mention = {**event, "type": "app_mention"}
        del mention["channel_type"]
        emit(side, mention, scope="app_mentions:read")


def message_changed(side: "SlackSide", channel: Channel, new: Json, previous: Json) -> None:
    """An edit, of a person or of a bot, or a root that became a tombstone."""
    _hidden(side, channel, "message_changed", {"message": new, "previous_message": previous})


def message_deleted(side: "SlackSide", channel: Channel, previous: Json) -> None:
    """A message that is gone."""
    _hidden(side, channel, "message_deleted", {"previous_message": previous, "deleted_ts": previous["ts"]})


def reaction(side: "SlackSide", kind: str, channel: Channel, user: str, emoji: str, target: Json) -> None:
    """`reaction_added` or `reaction_removed`."""
    if side.bot.id not in channel.members:
        return
    event = {
        "type": kind,
        "user": user,
        "reaction": emoji,
        "item": {"type": "message", "channel": channel.id, "ts": target["ts"]},
        "item_user": target.get("user", ""),
        "event_ts": side.event_ts(),
    }
    emit(side, event, scope="reactions:read")


def member(side: "SlackSide", kind: str, channel: Channel, user: User, inviter: str | None = None) -> None:
    """`member_joined_channel` or `member_left_channel`; the bot's own removal also gives channel_left or group_left."""
    is_bot = user.id == side.bot.id
    if not is_bot and side.bot.id not in channel.members:
        return
    event: Json = {
        "type": kind,
        "user": user.id,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": user.team_id,
        "event_ts": side.event_ts(),
    }
    if inviter is not None:
        event["inviter"] = inviter
    emit(side, event, scope=READ_SCOPES[channel.kind])
    if is_bot and kind == "member_left_channel":
        left = "channel_left" if channel.kind == "channel" else "group_left"
        emit(
            side,
            {"type": left, "channel": channel.id, "actor_id": inviter or "", "event_ts": side.event_ts()},
            scope=READ_SCOPES[channel.kind],
        )


def channel_changed(side: "SlackSide", kind: str, channel: Channel, user: str) -> None:
    """`archive`, `unarchive` or `rename`; a private channel says so with group_… and to members only."""
    private = channel.kind == "group"
    if private and side.bot.id not in channel.members:
        return
    event: Json = {"type": f"{'group' if private else 'channel'}_{kind}", "event_ts": side.event_ts()}
    if kind == "rename":
        event["channel"] = {"id": channel.id, "name": channel.name, "name_normalized": channel.name}
        event["channel"] |= {"created": channel.created_s, "is_channel": not private, "is_mpim": False}
    else:
        event |= {"channel": channel.id, "user": user, "is_moved": 0}
    emit(side, event, scope=READ_SCOPES[channel.kind])


def app_home_opened(side: "SlackSide", user: str, tab: str, view: Json | None) -> None:
    """A person looks at the app's home."""
    channel = side.direct_message(user)
    event: Json = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": tab,
        "event_ts": side.event_ts(),
    }
    if view is not None:
        event["view"] = view
    emit(side, event, scope=None)


def user_change(side: "SlackSide", user: User) -> None:
    """A profile, a role or an account has changed."""
    event = {"type": "user_change", "user": user.json(), "cache_ts": side.now_s(), "event_ts": side.event_ts()}
    emit(side, event, scope="users:read")


def group_members_changed(
    side: "SlackSide", group_id: str, added: list[str], removed: list[str], before_s: int
) -> None:
    """People came to or left a user group."""
    group = side.groups[group_id]
    event: Json = {
        "type": "subteam_members_changed",
        "subteam_id": group_id,
        "team_id": workspace.TEAM_ID,
        "date_previous_update": before_s,
        "date_update": group.updated_s,
        "added_users": added,
        "added_users_count": len(added),
        "removed_users": removed,
        "removed_users_count": len(removed),
        "event_ts": side.event_ts(),
    }
    emit(side, event, scope="usergroups:read")


def tokens_revoked(side: "SlackSide") -> None:
    """The bot token does not work any more."""
    event = {
        "type": "tokens_revoked",
        "tokens": {"oauth": [], "bot": [side.bot.id]},
        "event_ts": side.event_ts(),
    }
    emit(side, event, scope=None)


def app_uninstalled(side: "SlackSide") -> None:
    """The app was taken out of the workspace."""
    emit(side, {"type": "app_uninstalled", "event_ts": side.event_ts()}, scope=None)


def _authorizations(side: "SlackSide") -> str:
    return json.dumps(
        [
            {
                "enterprise_id": None,
                "team_id": workspace.TEAM_ID,
                "user_id": side.bot.id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ]
    )


def _hidden(side: "SlackSide", channel: Channel, subtype: str, fields: Json) -> None:
    if side.bot.id not in channel.members:
        return
    ts = channel.next_ts(side.now_us())
    event = {
        "type": "message",
        "subtype": subtype,
        "hidden": True,
        **fields,
        "channel": channel.id,
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.kind,
    }
    _message(side, channel, event)


def _message(side: "SlackSide", channel: Channel, event: Json) -> None:
    emit(side, event, scope=HISTORY_SCOPES[channel.kind], subscription=MESSAGE_SUBSCRIPTIONS[channel.kind])

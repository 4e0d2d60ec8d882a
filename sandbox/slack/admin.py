"""`/control/slack/`: what an administrator or a tester does: settings, tokens, members, profiles, websockets."""

from typing import Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.slack import events, install, people, workspace
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Json, Token, User
from sandbox.slack.settings import Transport
from sandbox.slack.side import SlackSide
from sandbox.slack.sockets import REASONS
from sandbox.slack.wishes import Wish, route

SECONDS = (
    "ack_timeout_s",
    "trigger_lifetime_s",
    "response_url_lifetime_s",
    "disconnect_grace_s",
    "ticket_lifetime_s",
)
URLS = ("events_url", "interactivity_url", "options_url", "commands_url")
MOST_SHORTCUTS = 10
TRANSPORTS: tuple[Transport, ...] = ("auto", "socket", "http")
OTHER_SETTINGS = (
    "retry_delays_s",
    "transport",
    "signing_secret",
    "subscriptions",
    "shortcuts",
    "limits",
    "scopes",
    "revoke",
    "restore",
    "bot_token",
    "app_token",
    "verify",
)
PROFILE = ("name", "real_name", "display_name", "email", "title", "tz", "tz_label", "locale", "presence", "team_id")
FLAGS = ("deleted", "is_admin", "is_restricted", "is_ultra_restricted", "is_stranger")


def add_routes(app: web.Application, side: SlackSide) -> None:
    """Mount what administrators and testers do."""
    doing = {
        "settings": settings,
        "invite": invite,
        "kick": kick,
        "archive": archive,
        "unarchive": unarchive,
        "rename": rename,
        "create": create,
        "user": user,
        "usergroup": usergroup,
        "disconnect": disconnect,
        "reinstall": install.reinstall,
    }
    for name, answer in doing.items():
        app.router.add_post(f"/control/slack/{name}", route(side, answer))
    app.router.add_get("/control/slack/settings", route(side, show_settings))
    app.router.add_get("/control/slack/connections", route(side, connections))


async def show_settings(wish: Wish) -> Json:
    """The settings, the tokens with their scopes, and whether limits are on."""
    side = wish.side
    return {
        "settings": side.settings.json(),
        "limits": side.desk.limits,
        "tokens": [
            {"token": t.value, "kind": t.kind, "scopes": list(t.scopes), "revoked": t.revoked}
            for t in side.tokens.values()
        ],
    }


async def settings(wish: Wish) -> Json:
    """Any of the settings; `scopes` of the bot token ("all" for the default set), `revoke` and `restore` a token.

    A new `events_url` must answer url_verification now, unless `verify` is false: then it must before its first event.
    """
    known = {*SECONDS, *URLS, *OTHER_SETTINGS}
    if unknown := sorted(set(wish.fields) - known):
        raise ControlError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
    current = wish.side.settings
    for name in SECONDS:
        if name in wish.fields:
            setattr(current, name, wish.seconds(name))
    if "retry_delays_s" in wish.fields:
        current.retry_delays_s = _delays(wish.fields["retry_delays_s"])
    if "transport" in wish.fields:
        current.transport = _transport(wish.text("transport"))
    if "signing_secret" in wish.fields:
        current.signing_secret = wish.text("signing_secret")
    if "subscriptions" in wish.fields:
        given = wish.fields["subscriptions"]
        current.subscriptions = None if given is None else tuple(wish.texts("subscriptions"))
    if "shortcuts" in wish.fields:
        current.shortcuts = _shortcuts(wish.table("shortcuts"))
    if "limits" in wish.fields:
        wish.side.desk.limits = wish.flag("limits")
    _change_tokens(wish)
    await _change_urls(wish)
    wish.side.publish("settings")
    return await show_settings(wish)


def _shortcuts(given: Json) -> tuple[tuple[str, str], ...]:
    if len(given) > MOST_SHORTCUTS or not all(isinstance(name, str) and name for name in given.values()):
        raise ControlError(f"shortcuts is callback id to name, at most {MOST_SHORTCUTS}")
    return tuple(given.items())


async def invite(wish: Wish) -> Json:
    """`{channel, users, by?}`"""
    target = _open_channel(wish)
    users = [wish.side.user(one) for one in wish.texts("users")]
    for one in users:
        if one.id in target.members:
            raise SlackError("already_in_channel")
    for one in users:
        people.join(wish.side, target, one, inviter=wish.maybe("by") or workspace.USER_JONAS)
    return {"members": target.members}


async def kick(wish: Wish) -> Json:
    """`{channel, user, by?}`"""
    target = wish.channel()
    gone = wish.side.user(wish.text("user"))
    if gone.id not in target.members:
        raise SlackError("not_in_channel")
    people.leave(wish.side, target, gone, kicked_by=wish.maybe("by") or workspace.USER_JONAS)
    return {"members": target.members}


async def archive(wish: Wish) -> Json:
    """`{channel, by?}`"""
    return _archive(wish, archived=True)


async def unarchive(wish: Wish) -> Json:
    """`{channel, by?}`"""
    return _archive(wish, archived=False)


async def rename(wish: Wish) -> Json:
    """`{channel, name, by?}`"""
    target = _open_channel(wish)
    name = wish.text("name").removeprefix("#")
    if any(other.name == name for other in wish.side.channels.values()):
        raise SlackError("name_taken")
    people.rename(wish.side, target, name, _actor(wish))
    return {"channel": target.json(wish.side.bot.id)}


async def create(wish: Wish) -> Json:
    """`{name, users, private?}` → `{channel}`; the bot is a member only if it is among the users."""
    name = wish.text("name").removeprefix("#")
    if any(other.name == name for other in wish.side.channels.values()):
        raise SlackError("name_taken")
    users = [wish.side.user(one).id for one in wish.texts("users")]
    target = Channel(
        id=wish.side.new_id("C"),
        name=name,
        kind="group" if wish.flag("private") else "channel",
        creator=_actor(wish).id,
        created_s=wish.side.now_s(),
        members=users,
    )
    wish.side.channels[target.id] = target
    wish.side.publish("channel", channel=target.json(wish.side.bot.id))
    return {"channel": target.json(wish.side.bot.id)}


async def user(wish: Wish) -> Json:
    """`{id, …}`: change a profile or an account, or add somebody under a new id → `{user}`."""
    known = {"id", *PROFILE, *FLAGS, "tz_offset", "dnd"}
    if unknown := sorted(set(wish.fields) - known):
        raise ControlError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}")
    user_id = wish.text("id")
    person = wish.side.users.get(user_id)
    is_new = person is None
    if person is None:
        person = User(id=user_id, name=wish.text("name"), real_name=wish.text("real_name"), team_id=workspace.TEAM_ID)
    for name in PROFILE:
        if name in wish.fields:
            setattr(person, name, wish.text(name))
    for name in FLAGS:
        if name in wish.fields:
            setattr(person, name, wish.flag(name))
    if "tz_offset" in wish.fields:
        person.tz_offset_s = int(wish.fields["tz_offset"])
    if "dnd" in wish.fields:
        person.dnd = wish.table("dnd")
    wish.side.users[user_id] = person
    if is_new or set(wish.fields) - {"id", "presence", "dnd"}:
        people.changed(wish.side, person)
    return {"user": person.json()}


async def usergroup(wish: Wish) -> Json:
    """`{id, users}`: set the members of a user group → `{usergroup}`."""
    group = wish.side.groups.get(wish.text("id"))
    if group is None:
        raise SlackError("no_such_subteam")
    people.change_group(wish.side, group.id, [wish.side.user(one).id for one in wish.texts("users")])
    return {"usergroup": group.json(workspace.TEAM_ID, include_users=True, include_count=True)}


async def connections(wish: Wish) -> Json:
    """The open websockets."""
    return {"connections": wish.side.sockets.view(), "waiting": wish.side.deliveries.waiting()}


async def disconnect(wish: Wish) -> Json:
    """`{reason?, connection?}`: a disconnect frame to one websocket or all; reason "cut" cuts without a word."""
    reason = wish.maybe("reason") or "refresh_requested"
    number: Any = wish.fields.get("connection")
    if number is not None and not isinstance(number, int):
        raise ControlError("connection must be a whole number")
    if reason == "cut":
        return {"connections": wish.side.sockets.cut(number=number)}
    if reason not in REASONS:
        raise ControlError(f"reason must be cut or one of {', '.join(REASONS)}")
    return {"connections": wish.side.sockets.disconnect(reason, number=number)}


def _delays(given: object) -> tuple[float, ...]:
    if not isinstance(given, list) or any(
        isinstance(one, bool) or not isinstance(one, int | float) or one < 0 for one in given
    ):
        raise ControlError("retry_delays_s must be a list of seconds")
    return tuple(float(one) for one in given)


def _transport(given: str) -> Transport:
    for transport in TRANSPORTS:
        if given == transport:
            return transport
    raise ControlError(f"transport must be one of {', '.join(TRANSPORTS)}")


def _change_tokens(wish: Wish) -> None:
    tokens = wish.side.tokens
    if "bot_token" in wish.fields:
        value = wish.text("bot_token")
        tokens[value] = Token(value=value, kind="bot", scopes=workspace.DEFAULT_BOT_SCOPES)
    if "app_token" in wish.fields:
        value = wish.text("app_token")
        tokens[value] = Token(value=value, kind="app", scopes=workspace.APP_SCOPES)
    if "scopes" in wish.fields:
        granted = workspace.DEFAULT_BOT_SCOPES if wish.fields["scopes"] == "all" else tuple(wish.texts("scopes"))
        for token in tokens.values():
            if token.kind == "bot":
                token.scopes = granted
    for name, revoked in (("revoke", True), ("restore", False)):
        if name in wish.fields:
            found = tokens.get(wish.text(name))
            if found is None:
                raise ControlError(f"{name}: there is no such token")
            found.revoked = revoked
            if revoked and found.kind == "bot":
                events.tokens_revoked(wish.side)


async def _change_urls(wish: Wish) -> None:
    current = wish.side.settings
    before = current.events_url
    for name in URLS:
        if name in wish.fields:
            setattr(current, name, wish.maybe(name) or "")
    if current.events_url == before and "verify" not in wish.fields:
        return
    wish.side.deliveries.unverified()
    if current.events_url and wish.flag("verify", default=True):
        reason = await wish.side.deliveries.verify()
        if reason:
            current.events_url = before
            raise ControlError(f"events_url did not answer url_verification: {reason}")


def _open_channel(wish: Wish) -> Channel:
    target = wish.channel()
    if target.is_archived:
        raise SlackError("is_archived")
    return target


def _archive(wish: Wish, *, archived: bool) -> Json:
    target = wish.channel()
    if target.is_archived == archived:
        raise SlackError("already_archived" if archived else "not_archived")
    people.archive(wish.side, target, _actor(wish), archived=archived)
    return {"channel": target.json(wish.side.bot.id)}


def _actor(wish: Wish) -> User:
    return wish.side.user(wish.maybe("by") or workspace.USER_JONAS)

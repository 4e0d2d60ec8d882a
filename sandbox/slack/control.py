"""`/control/slack/`: what people do in the small Slack, for the page and for tests. The shapes are in README.md."""

import mimetypes
import uuid

from aiohttp import web

from sandbox import filedata
from sandbox.control import ControlError
from sandbox.slack import composed, events, interactions, messages, modals, typed, workspace
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, File, Json, Message, User, View
from sandbox.slack.side import SlackSide
from sandbox.slack.wishes import Wish, route

MESSAGES_SHOWN = 200


def add_routes(app: web.Application, side: SlackSide) -> None:
    """Mount what people do and see."""
    doing = {
        "post": post,
        "edit": edit,
        "delete": delete,
        "react": react,
        "unreact": unreact,
        "press": press,
        "suggest": suggest,
        "submit": submit,
        "close": close,
        "command": command,
        "shortcut": shortcut,
        "home": home,
        "dismiss": dismiss,
        "raw": raw,
    }
    for name, answer in doing.items():
        app.router.add_post(f"/control/slack/{name}", route(side, answer))
    app.router.add_get("/control/slack/channels", route(side, channels))
    app.router.add_get("/control/slack/channel/{channel}", route(side, channel))
    app.router.add_get("/control/slack/thread/{channel}/{ts}", route(side, thread))
    app.router.add_get("/control/slack/views", route(side, views))
    app.router.add_get("/control/slack/people", route(side, people))

    async def file(request: web.Request) -> web.Response:
        found = side.files.get(request.match_info["file"])
        if found is None or found.stored is None:
            raise ControlError("there is no such file", status=404)
        return web.Response(body=found.stored, content_type=found.mimetype)

    app.router.add_get("/control/slack/file/{file}", file)


async def post(wish: Wish) -> Json:
    """`{user, channel, text, thread_ts?, broadcast?, raw?, composed?, blocks?, files?}` → `{ts, message}`.

    `files` are `[{base64, times?, size?, seed?, says?, name, mime?}]`, as `filedata.made` reads them.
    """
    user = wish.person()
    target = wish.writable_channel(user)
    text = wish.maybe("text") or ""
    files = [_file(wish, user, one) for one in wish.fields.get("files") or ()]
    if not text.strip() and not files:
        raise SlackError("no_text")
    if len(text) > messages.MAX_TEXT_CHARS:
        raise SlackError("msg_too_long")
    sent = text if wish.flag("raw") else typed.as_sent(text)
    for one in files:
        one.channels = [target.id]
        wish.side.files[one.id] = one
    message = messages.post(
        wish.side,
        target,
        user,
        sent,
        blocks=_composed(wish, text),
        thread_ts=wish.maybe("thread_ts"),
        broadcast=wish.flag("broadcast"),
        files=files,
        needs_thread=True,
        extra={"client_msg_id": str(uuid.uuid4())},
        via="person",
    )
    return {"channel": target.id, "ts": message.ts, "message": message.body}


async def edit(wish: Wish) -> Json:
    """`{user, channel, ts, text, raw?, composed?, blocks?}`: one's own messages only."""
    user = wish.person()
    target = wish.writable_channel(user)
    message = _own(wish, target, user, "cant_update_message")
    text = wish.text("text")
    sent = text if wish.flag("raw") else typed.as_sent(text)
    blocks = _composed(wish, text)
    messages.edit(wish.side, target, message, user, text=sent, blocks=blocks, via="person")
    return {"message": message.body}


def _composed(wish: Wish, text: str) -> list[Json] | None:
    """The blocks that stand beside a person's text: as given, or read from what was typed (`composed`)."""
    given = wish.fields.get("blocks")
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise ControlError("blocks must be a list of objects")
        return given
    return composed.blocks(text) if wish.flag("composed") and text else None


async def delete(wish: Wish) -> Json:
    """`{user, channel, ts}`: one's own messages, an admin also others'."""
    user = wish.person()
    target = wish.writable_channel(user)
    message = messages.find(target, wish.text("ts"))
    if message.body["user"] != user.id and not user.is_admin:
        raise SlackError("cant_delete_message")
    messages.delete(wish.side, target, message, by=user, via="person")
    return {}


async def react(wish: Wish) -> Json:
    """`{user, channel, ts, emoji}`"""
    user = wish.person()
    target = wish.writable_channel(user)
    message = messages.find(target, wish.text("ts"))
    messages.react(wish.side, target, message, user, wish.text("emoji").strip(":"))
    return {"message": message.body}


async def unreact(wish: Wish) -> Json:
    """`{user, channel, ts, emoji}`"""
    user = wish.person()
    target = wish.writable_channel(user)
    message = messages.find(target, wish.text("ts"))
    messages.unreact(wish.side, target, message, user, wish.text("emoji").strip(":"))
    return {"message": message.body}


async def press(wish: Wish) -> Json:
    """`{user, channel, ts | view_id, action_id, block_id?, value? | selected_option? | …}` → `{answer}`."""
    user = wish.person()
    answer = await interactions.press(
        wish.side,
        user,
        _place(wish, user),
        action_id=wish.text("action_id"),
        block_id=wish.maybe("block_id"),
        given=wish.fields,
    )
    return {"answer": answer.payload}


async def suggest(wish: Wish) -> Json:
    """`{user, channel, ts | view_id, action_id, block_id?, value}` → `{options}`."""
    user = wish.person()
    options = await interactions.suggest(
        wish.side,
        user,
        _place(wish, user),
        action_id=wish.text("action_id"),
        block_id=wish.maybe("block_id"),
        typed=wish.maybe("value") or "",
    )
    return {"options": options}


async def submit(wish: Wish) -> Json:
    """`{user, view_id, values: {block_id: {action_id: value}}}` → `{closed, errors, view}`."""
    user = wish.person()
    return await interactions.submit(wish.side, user, _view(wish, user), wish.table("values"))


async def close(wish: Wish) -> Json:
    """`{user, view_id, all?}`"""
    user = wish.person()
    await interactions.close(wish.side, user, _view(wish, user), whole_stack=wish.flag("all"))
    return {}


async def command(wish: Wish) -> Json:
    """`{user, channel, command: "/name", text?}` → `{answer}`."""
    user = wish.person()
    name = wish.text("command")
    if not name.startswith("/"):
        raise ControlError("command must begin with /")
    answer = await interactions.command(wish.side, user, wish.channel(user), name, wish.maybe("text") or "")
    return {"answer": answer}


async def shortcut(wish: Wish) -> Json:
    """`{user, callback_id}` for a global one, with `channel` and `ts` for one on a message → `{answer}`."""
    user = wish.person()
    place = _place(wish, user) if wish.maybe("ts") else None
    return {"answer": await interactions.shortcut(wish.side, user, wish.text("callback_id"), place)}


async def home(wish: Wish) -> Json:
    """`{user, tab?}`: look at the app's home → `{view}` as it was before (null until the app publishes one)."""
    user = wish.person()
    view = modals.home_of(wish.side, user.id)
    shown = None if view is None else view.json()
    events.app_home_opened(wish.side, user.id, wish.maybe("tab") or "home", shown)
    return {"view": shown}


async def dismiss(wish: Wish) -> Json:
    """`{user, channel, ts}`: take an ephemeral message off one's screen."""
    user = wish.person()
    target = wish.channel(user)
    for ephemeral in target.ephemerals:
        if ephemeral.user == user.id and ephemeral.body["ts"] == wish.text("ts"):
            target.ephemerals.remove(ephemeral)
            wish.side.publish("ephemeral_closed", channel=target.id, user=user.id, ts=ephemeral.body["ts"])
            return {}
    raise SlackError("message_not_found")


async def raw(wish: Wish) -> Json:
    """`{frame}`: any text, as malformed as wanted, on the next websocket, unchanged and without a second attempt."""
    frame = wish.fields.get("frame")
    if not isinstance(frame, str):
        raise ControlError("frame must be a text")
    text = frame.encode("utf-8", "replace").decode()
    if not wish.side.sockets.send_raw(text):
        raise ControlError("no websocket is open", status=409)
    wish.side.desk.log.add("slack", "frame_injected", "", {"chars": len(text)})
    return {}


async def channels(wish: Wish) -> Json:
    """All channels, `?user=` those that this person sees, with their member ids."""
    user = wish.side.user(wish.fields["user"]) if wish.fields.get("user") else None
    return {
        "channels": [
            {**c.json(wish.side.bot.id), "members": c.members, "messages": len(c.messages), "im_user": c.im_user}
            for c in wish.side.channels.values()
            if user is None or c.kind == "channel" or user.id in c.members
        ]
    }


async def channel(wish: Wish) -> Json:
    """The newest messages of a channel, oldest first (`?limit=`, `?before=ts`, `?user=`), and what is seen by one only.

    → `{channel, messages, ephemerals: {user: […]}, views: {user: […]}, has_more}`; each root carries `replies`.
    """
    user = wish.side.user(wish.fields["user"]) if wish.fields.get("user") else None
    target = wish.channel(user)
    before = wish.maybe("before")
    page, rest = messages.newest_first(
        target, oldest="", latest=before or "", inclusive=False, before=None, limit=_limit(wish)
    )
    ephemerals: dict[str, list[Json]] = {}
    for ephemeral in target.ephemerals:
        if user is None or ephemeral.user == user.id:
            ephemerals.setdefault(ephemeral.user, []).append(ephemeral.body)
    opened: dict[str, list[Json]] = {}
    for view in wish.side.views.values():
        if view.body["type"] == "modal" and (user is None or view.user == user.id):
            opened.setdefault(view.user, []).append(view.json())
    return {
        "channel": {**target.json(wish.side.bot.id), "members": target.members},
        "messages": [_with_replies(target, message) for message in reversed(page)],
        "ephemerals": ephemerals,
        "views": opened,
        "has_more": rest is not None,
    }


async def thread(wish: Wish) -> Json:
    """One root with all its replies → `{message}`."""
    target = wish.channel()
    root = target.messages.get(wish.text("ts"))
    if root is None:
        raise SlackError("thread_not_found")
    return {"message": _with_replies(target, root)}


async def views(wish: Wish) -> Json:
    """Open modals and the home tab, `?user=` of one person; the top of a stack comes last."""
    user = wish.maybe("user")
    return {
        "views": [view.json() | {"user": view.user} for view in wish.side.views.values() if user in (None, view.user)]
    }


async def people(wish: Wish) -> Json:
    """Everybody, the user groups, and the ids of the app."""
    side = wish.side
    return {
        "users": [user.json() | {"presence": user.presence, "locale": user.locale} for user in side.users.values()],
        "usergroups": [
            group.json(workspace.TEAM_ID, include_users=True, include_count=True) for group in side.groups.values()
        ],
        "team_id": workspace.TEAM_ID,
        "app_id": workspace.APP_ID,
        "bot_id": side.bot.bot_id,
        "bot_user_id": side.bot.id,
        "shortcuts": dict(side.settings.shortcuts),
    }


def _place(wish: Wish, user: User) -> interactions.Place:
    if (view_id := wish.maybe("view_id")) is not None:
        return interactions.place_in_view(wish.side, user, view_id)
    return interactions.place_in_channel(user, wish.channel(user), wish.text("ts"))


def _view(wish: Wish, user: User) -> View:
    view = modals.find(wish.side, wish.text("view_id"))
    if view.user != user.id or view.body["type"] != "modal":
        raise SlackError("not_found")
    return view


def _own(wish: Wish, target: Channel, user: User, otherwise: str) -> Message:
    message = messages.find(target, wish.text("ts"))
    if message.body["user"] != user.id:
        raise SlackError(otherwise)
    return message


def _with_replies(target: Channel, message: Message) -> Json:
    body = message.json(with_metadata=True)
    if not message.replies:
        return body
    return {**body, "replies": [target.messages[ts].json(with_metadata=True) for ts in message.replies]}


def _file(wish: Wish, user: User, given: object) -> File:
    if not isinstance(given, dict) or not isinstance(given.get("base64"), str):
        raise ControlError("a file is {base64, times, size, seed, says, name, mime}")
    stored = filedata.made(given, "base64")
    name = str(given.get("name") or "file")
    mime = str(given.get("mime") or mimetypes.guess_type(name)[0] or "application/octet-stream")
    return File(
        id=wish.side.new_id("F"),
        name=name,
        title=name,
        mimetype=mime,
        size=len(stored),
        user=user.id,
        created_s=wish.side.now_s(),
        secret="",
        stored=stored,
        completed=True,
        says=filedata.says(given),
    )


def _limit(wish: Wish) -> int:
    value = wish.fields.get("limit", MESSAGES_SHOWN)
    if not str(value).isdigit() or int(value) < 1:
        raise ControlError("limit must be a whole number from 1")
    return int(value)

"""conversations.*"""

import re

from sandbox.slack import events, messages, people
from sandbox.slack.errors import SlackError
from sandbox.slack.methods.call import WRITE_SCOPES, Call, Method, next_cursor, page
from sandbox.slack.model import Channel, Json, Message

TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
CHANNEL_NAME = re.compile(r"[^\W_A-Z](?:[^\WA-Z]|-){0,79}")


def list_(call: Call) -> Json:
    """conversations.list"""
    channels = _of_types(call, member_of=None)
    items, metadata = page(call, channels)
    return {"channels": [c.json(call.side.bot.id) for c in items], "response_metadata": metadata}


def of_user(call: Call) -> Json:
    """users.conversations"""
    member = call.text("user") or call.side.bot.id
    call.side.user(member)
    items, metadata = page(call, _of_types(call, member_of=member))
    return {"channels": [c.json(call.side.bot.id) for c in items], "response_metadata": metadata}


def info(call: Call) -> Json:
    """conversations.info"""
    channel = call.known_channel()
    body = channel.json(call.side.bot.id)
    if not call.flag("include_num_members"):
        body.pop("num_members", None)
    return {"channel": body}


def history(call: Call) -> Json:
    """conversations.history"""
    channel = call.readable_channel()
    found, before = messages.newest_first(
        channel,
        oldest=_time(call, "oldest"),
        latest=_time(call, "latest"),
        inclusive=call.flag("inclusive"),
        before=call.cursor(),
        limit=call.number("limit", 100, most=999),
    )
    return {
        "messages": _show(call, found),
        "has_more": before is not None,
        "pin_count": 0,
        **({"response_metadata": next_cursor(before)} if before is not None else {}),
    }


def replies(call: Call) -> Json:
    """conversations.replies"""
    channel = call.readable_channel()
    root = channel.messages.get(call.required("ts", "thread_not_found"))
    if root is None:
        raise SlackError("thread_not_found")
    found, start_at = messages.thread_page(
        channel,
        root,
        oldest=_time(call, "oldest"),
        latest=_time(call, "latest"),
        inclusive=call.flag("inclusive"),
        start_at=call.cursor(),
        limit=call.number("limit", 1000, most=1000),
    )
    return {
        "messages": _show(call, found),
        "has_more": start_at is not None,
        **({"response_metadata": next_cursor(start_at)} if start_at is not None else {}),
    }


def members(call: Call) -> Json:
    """conversations.members"""
    channel = call.known_channel()
    items, metadata = page(call, channel.members)
    return {"members": list(items), "response_metadata": metadata}


def join(call: Call) -> Json:
    """conversations.join"""
    channel = call.channel()
    call.need("channels:join")
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.side.bot.id in channel.members:
        call.warnings.append("already_in_channel")
    else:
        people.join(call.side, channel, call.bot)
    return {"channel": channel.json(call.side.bot.id)}


def leave(call: Call) -> Json:
    """conversations.leave"""
    channel = call.channel()
    call.need(WRITE_SCOPES[channel.kind])
    if call.side.bot.id not in channel.members:
        return {"not_in_channel": True}
    people.leave(call.side, channel, call.bot)
    return {}


def open_(call: Call) -> Json:
    """conversations.open, for direct messages with one person"""
    call.need("im:write")
    if (reference := call.text("channel")) is not None:
        channel = call.side.channel_for_bot(reference)
        return {"no_op": True, "already_open": True, "channel": _opened(call, channel)}
    users = [user for user in (call.text("users") or "").split(",") if user]
    if len(users) != 1:
        raise SlackError("users_list_not_supplied" if not users else "not_enough_users")
    known = set(call.side.channels)
    channel = call.side.direct_message(users[0])
    again = {"no_op": True, "already_open": True} if channel.id in known else {}
    return {**again, "channel": _opened(call, channel)}


def create(call: Call) -> Json:
    """conversations.create"""
    private = call.flag("is_private")
    kind = "group" if private else "channel"
    call.need(WRITE_SCOPES[kind])
    name = _name(call)
    channel = Channel(
        id=call.side.new_id("C"),
        name=name,
        kind="group" if private else "channel",
        creator=call.side.bot.id,
        created_s=call.side.now_s(),
        members=[call.side.bot.id],
    )
    call.side.channels[channel.id] = channel
    call.side.desk.log.add("slack", "channel", channel.id, {"name": name, "via": "conversations.create"})
    call.side.publish("channel", channel=channel.json(call.side.bot.id))
    return {"channel": channel.json(call.side.bot.id)}


def archive(call: Call) -> Json:
    """conversations.archive"""
    channel = _managed(call)
    if channel.is_archived:
        raise SlackError("already_archived")
    people.archive(call.side, channel, call.bot, archived=True)
    return {}


def unarchive(call: Call) -> Json:
    """conversations.unarchive"""
    channel = call.channel()
    call.need(WRITE_SCOPES[channel.kind])
    if not channel.is_archived:
        raise SlackError("not_archived")
    people.archive(call.side, channel, call.bot, archived=False)
    return {}


def rename(call: Call) -> Json:
    """conversations.rename"""
    channel = _managed(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    if channel.creator != call.side.bot.id:
        raise SlackError("not_authorized")
    people.rename(call.side, channel, _name(call), call.bot)
    return {"channel": channel.json(call.side.bot.id)}


def invite(call: Call) -> Json:
    """conversations.invite"""
    channel = _managed(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    users = [call.side.user(user) for user in call.required("users", "no_user").split(",") if user]
    for user in users:
        if user.id == call.side.bot.id:
            raise SlackError("cant_invite_self")
        if user.id in channel.members:
            raise SlackError("already_in_channel")
    for user in users:
        people.join(call.side, channel, user, inviter=call.side.bot.id)
    return {"channel": channel.json(call.side.bot.id)}


def kick(call: Call) -> Json:
    """conversations.kick"""
    channel = _managed(call)
    user = call.side.user(call.required("user", "user_not_found"))
    if user.id == call.side.bot.id:
        raise SlackError("cant_kick_self")
    if user.id not in channel.members:
        raise SlackError("not_in_channel")
    people.leave(call.side, channel, user)
    return {}


def _of_types(call: Call, *, member_of: str | None) -> list[Channel]:
    kinds: set[str] = set()
    for name in (call.text("types") or "public_channel").replace(" ", "").split(","):
        if name not in TYPES:
            raise SlackError("invalid_types")
        kind = TYPES[name]
        if kind != "mpim":
            call.need(events.READ_SCOPES[kind])
            kinds.add(kind)
    exclude_archived = call.flag("exclude_archived")
    return [
        channel
        for channel in call.side.channels.values()
        if channel.kind in kinds
        and not (exclude_archived and channel.is_archived)
        and (channel.kind == "channel" or call.side.bot.id in channel.members)
        and (member_of is None or member_of in channel.members)
    ]


def _managed(call: Call) -> Channel:
    channel = call.channel()
    call.need(WRITE_SCOPES[channel.kind])
    if channel.kind == "im":
        raise SlackError("method_not_supported_for_channel_type")
    if call.side.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _name(call: Call) -> str:
    name = call.required("name", "invalid_name_required").removeprefix("#")
    if not CHANNEL_NAME.fullmatch(name):
        raise SlackError("invalid_name_maxlength" if len(name) > 80 else "invalid_name_specials")
    if any(channel.name == name for channel in call.side.channels.values()):
        raise SlackError("name_taken")
    return name


def _opened(call: Call, channel: Channel) -> Json:
    return channel.json(call.side.bot.id) if call.flag("return_im") else {"id": channel.id}


def _time(call: Call, name: str) -> str:
    value = call.text(name)
    if value is None or value == "now":
        return ""
    seconds, dot, micros = value.partition(".")
    if not seconds.isdigit() or (dot and not micros.isdigit()):
        if name == "oldest":
            raise SlackError("invalid_ts_oldest")
        raise SlackError("invalid_ts_latest")
    return value


def _show(call: Call, found: list[Message]) -> list[Json]:
    with_metadata = call.flag("include_all_metadata")
    if with_metadata and not call.has("metadata.message:read"):
        raise SlackError("missing_scope", needed="metadata.message:read", provided=",".join(call.token.scopes))
    return [message.json(with_metadata=with_metadata) for message in found]


METHODS = {
    "conversations.list": Method(handler=list_, tier=2, form_only=True),
    "users.conversations": Method(handler=of_user, form_only=True),
    "conversations.info": Method(handler=info, form_only=True),
    "conversations.history": Method(handler=history, form_only=True),
    "conversations.replies": Method(handler=replies, form_only=True),
    "conversations.members": Method(handler=members, tier=4, form_only=True),
    "conversations.join": Method(handler=join),
    "conversations.leave": Method(handler=leave),
    "conversations.open": Method(handler=open_),
    "conversations.create": Method(handler=create, tier=2),
    "conversations.archive": Method(handler=archive, tier=2),
    "conversations.unarchive": Method(handler=unarchive, tier=2),
    "conversations.rename": Method(handler=rename, tier=2),
    "conversations.invite": Method(handler=invite),
    "conversations.kick": Method(handler=kick),
}

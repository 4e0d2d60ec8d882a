"""Messages: stored, edited, deleted, reacted to. Every effect reaches the judge's log, the app and the page."""

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

from sandbox.slack import events, workspace
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Ephemeral, File, Json, Message, User

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

MAX_TEXT_CHARS = 40_000
MAX_REACTIONS = 23
EARLIER_KEPT = 3
SLACKBOT = "USLACKBOT"
TOMBSTONE_TEXT = "This message was deleted."


def find(channel: Channel, ts: object) -> Message:
    """The stored message, or SlackError `message_not_found`; a tombstone is not found."""
    message = channel.messages.get(str(ts))
    if message is None or message.body.get("subtype") == "tombstone":
        raise SlackError("message_not_found")
    return message


def post(
    side: "SlackSide",
    channel: Channel,
    author: User,
    text: str,
    *,
    blocks: list[Json] | None = None,
    attachments: list[Json] | None = None,
    metadata: Json | None = None,
    thread_ts: str | None = None,
    broadcast: bool = False,
    files: list[File] | None = None,
    extra: Json | None = None,
    needs_thread: bool = False,
    via: str,
) -> Message:
    """Store a message and tell everyone. `via` names what caused it, for the log.

    A reply to a thread that does not exist becomes a message of the channel without a word, as Slack does it with
    an app whose root was deleted meanwhile; with `needs_thread` it is SlackError `thread_not_found`.
    """
    root = _root(channel, thread_ts) if thread_ts else None
    if root is None and thread_ts and needs_thread:
        raise SlackError("thread_not_found")
    ts = channel.next_ts(side.now_us())
    body: Json = {"type": "message", "user": author.id, "text": text, "ts": ts, "team": author.team_id}
    if author.is_bot:
        body |= {"bot_id": author.bot_id, "app_id": author.app_id, "bot_profile": _bot_profile(author)}
    elif author.team_id != workspace.TEAM_ID:
        body |= {"user_team": author.team_id, "source_team": author.team_id}
    if blocks:
        body["blocks"] = blocks
    if attachments:
        body["attachments"] = attachments
    if files:
        body |= {"files": [f.json(side.desk.url, workspace.TEAM_ID) for f in files], "upload": True}
    if extra:
        body |= extra
    subtype = "file_share" if files else None
    if root is not None:
        body["thread_ts"] = root.ts
        if broadcast:
            body |= {"subtype": "thread_broadcast", "root": dict(root.body)}
            subtype = None
    message = Message(body=body, metadata=metadata)
    channel.messages[ts] = message
    if root is None or broadcast:
        channel.top.append(ts)
    if root is not None:
        _count_reply(root, message)
    side.desk.log.add(
        "slack",
        "post",
        f"{channel.id}:{ts}",
        {
            "channel": channel.id,
            "ts": ts,
            "thread_ts": None if root is None else root.ts,
            "user": author.id,
            "text": text,
            "blocks": blocks,
            "metadata": metadata,
            "files": [f.id for f in files or ()],
            "via": via,
        },
    )
    events.message(side, channel, message, subtype=subtype)
    side.publish("message", channel=channel.id, message=body)
    return message


def edit(
    side: "SlackSide",
    channel: Channel,
    message: Message,
    editor: User,
    *,
    text: str,
    blocks: list[Json] | None,
    attachments: list[Json] | None = None,
    metadata: Json | None = None,
    via: str,
) -> None:
    """Replace text and blocks. The same content again is the same effect: no second event, one more request."""
    key = f"{channel.id}:{message.ts}"
    body = message.body
    unchanged = (
        body["text"] == text
        and _same_blocks(body.get("blocks"), blocks)
        and (attachments is None or body.get("attachments") == attachments)
        and (metadata is None or metadata == message.metadata)
    )
    if unchanged and "edited" in body:
        side.desk.log.again("slack", "update", key)
        return
    previous = dict(body)
    message.earlier = (body.get("blocks", []), *message.earlier)[:EARLIER_KEPT]
    body["text"] = text
    body["edited"] = {"user": editor.id, "ts": channel.next_ts(side.now_us())}
    if blocks is None:
        body.pop("blocks", None)
    else:
        body["blocks"] = blocks
    if attachments is not None:
        body["attachments"] = attachments
    if metadata is not None:
        message.metadata = metadata
    side.desk.log.add(
        "slack",
        "update",
        key,
        {
            "channel": channel.id,
            "ts": message.ts,
            "user": editor.id,
            "text": text,
            "blocks": blocks,
            "metadata": message.metadata,
            "via": via,
        },
    )
    events.message_changed(side, channel, body, previous)
    side.publish("message_changed", channel=channel.id, message=body)


def delete(side: "SlackSide", channel: Channel, message: Message, *, by: User, via: str) -> None:
    """Take a message away; a root with replies leaves a tombstone."""
    previous = dict(message.body)
    ts = message.ts
    side.desk.log.add(
        "slack", "delete", f"{channel.id}:{ts}", {"channel": channel.id, "ts": ts, "user": by.id, "via": via}
    )
    if message.replies:
        message.body = {
            "type": "message",
            "subtype": "tombstone",
            "text": TOMBSTONE_TEXT,
            "user": SLACKBOT,
            "hidden": True,
            "ts": ts,
            **{k: previous[k] for k in THREAD_FIELDS if k in previous},
        }
        message.metadata = None
        events.message_changed(side, channel, message.body, previous)
        side.publish("message_changed", channel=channel.id, message=message.body)
        return
    _remove(channel, message)
    if message.is_reply and (root := channel.messages.get(str(message.thread_ts))) is not None:
        _uncount_reply(channel, root, ts)
    events.message_deleted(side, channel, previous)
    side.publish("message_deleted", channel=channel.id, ts=ts, thread_ts=previous.get("thread_ts"))


def react(side: "SlackSide", channel: Channel, message: Message, user: User, emoji: str) -> None:
    """Add a reaction, or SlackError `already_reacted`."""
    reactions: list[Json] = message.body.setdefault("reactions", [])
    key = f"{channel.id}:{message.ts}:{user.id}:{emoji}"
    for reaction in reactions:
        if reaction["name"] == emoji:
            if user.id in reaction["users"]:
                side.desk.log.again("slack", "reaction", key)
                raise SlackError("already_reacted")
            reaction["users"].append(user.id)
            reaction["count"] += 1
            break
    else:
        if len(reactions) >= MAX_REACTIONS:
            raise SlackError("too_many_emoji")
        reactions.append({"name": emoji, "users": [user.id], "count": 1})
    side.desk.log.add(
        "slack", "reaction", key, {"channel": channel.id, "ts": message.ts, "user": user.id, "emoji": emoji}
    )
    events.reaction(side, "reaction_added", channel, user.id, emoji, message.body)
    side.publish("reaction", channel=channel.id, message=message.body)


def unreact(side: "SlackSide", channel: Channel, message: Message, user: User, emoji: str) -> None:
    """Take a reaction back, or SlackError `no_reaction`."""
    reactions: list[Json] = message.body.get("reactions", [])
    reaction = next((r for r in reactions if r["name"] == emoji and user.id in r["users"]), None)
    if reaction is None:
        raise SlackError("no_reaction")
    reaction["users"].remove(user.id)
    reaction["count"] -= 1
    if not reaction["users"]:
        reactions.remove(reaction)
    if not reactions:
        del message.body["reactions"]
    side.desk.log.add(
        "slack",
        "reaction_removed",
        f"{channel.id}:{message.ts}:{user.id}:{emoji}",
        {"channel": channel.id, "ts": message.ts, "user": user.id, "emoji": emoji},
    )
    events.reaction(side, "reaction_removed", channel, user.id, emoji, message.body)
    side.publish("reaction", channel=channel.id, message=message.body)


def show_ephemeral(
    side: "SlackSide",
    channel: Channel,
    user: User,
    text: str,
    *,
    blocks: list[Json] | None,
    thread_ts: str | None,
    via: str,
) -> Ephemeral:
    """Show a message to one person; history does not have it."""
    ts = channel.next_ts(side.now_us())
    body: Json = {
        "type": "message",
        "subtype": "bot_message",
        "is_ephemeral": True,
        "bot_id": side.bot.bot_id,
        "app_id": workspace.APP_ID,
        "user": side.bot.id,
        "text": text,
        "ts": ts,
    }
    if blocks:
        body["blocks"] = blocks
    if thread_ts:
        body["thread_ts"] = thread_ts
    ephemeral = Ephemeral(user=user.id, body=body)
    channel.ephemerals.append(ephemeral)
    del channel.ephemerals[:-200]
    side.desk.log.add(
        "slack",
        "ephemeral",
        f"{channel.id}:{ts}",
        {
            "channel": channel.id,
            "ts": ts,
            "thread_ts": thread_ts,
            "user": user.id,
            "text": text,
            "blocks": blocks,
            "via": via,
        },
    )
    side.publish("ephemeral", channel=channel.id, user=user.id, message=body)
    return ephemeral


def newest_first(
    channel: Channel, *, oldest: str, latest: str, inclusive: bool, before: str | None, limit: int
) -> tuple[list[Message], str | None]:
    """A page of the channel's main view, and the ts from which the next page goes on (None: there is no more)."""
    top = channel.top
    low = _bound(top, oldest, after=not inclusive) if oldest else 0
    high = _bound(top, latest, after=inclusive) if latest else len(top)
    if before is not None:
        high = min(high, bisect_left(top, before) + 1)
    start = max(low, high - limit)
    page = [channel.messages[ts] for ts in reversed(top[start:high])]
    return page, top[start - 1] if start > low else None


def thread_page(
    channel: Channel, root: Message, *, oldest: str, latest: str, inclusive: bool, start_at: str | None, limit: int
) -> tuple[list[Message], str | None]:
    """The root, then a page of its replies, oldest first; the root stands at the head of every page."""
    replies = root.replies
    low = _bound(replies, oldest, after=not inclusive) if oldest else 0
    high = _bound(replies, latest, after=inclusive) if latest else len(replies)
    if start_at is not None:
        low = max(low, bisect_left(replies, start_at))
    end = min(high, low + max(1, limit - 1))
    page = [root, *(channel.messages[ts] for ts in replies[low:end])]
    return page, replies[end] if end < high else None


THREAD_FIELDS = (
    "thread_ts",
    "reply_count",
    "reply_users_count",
    "latest_reply",
    "reply_users",
    "is_locked",
    "subscribed",
)


def _root(channel: Channel, thread_ts: str) -> Message | None:
    message = channel.messages.get(thread_ts)
    if message is not None and message.is_reply:
        message = channel.messages.get(str(message.thread_ts))
    return message


def _count_reply(root: Message, reply: Message) -> None:
    insort(root.replies, reply.ts)
    users: list[str] = root.body.setdefault("reply_users", [])
    author = reply.body["user"]
    if author not in users:
        users.append(author)
    root.body |= {
        "thread_ts": root.ts,
        "reply_count": len(root.replies),
        "reply_users_count": len(users),
        "latest_reply": root.replies[-1],
        "is_locked": False,
        "subscribed": False,
    }


def _uncount_reply(channel: Channel, root: Message, ts: str) -> None:
    index = bisect_left(root.replies, ts)
    if index < len(root.replies) and root.replies[index] == ts:
        del root.replies[index]
    if root.replies:
        users = list(dict.fromkeys(channel.messages[reply].body["user"] for reply in root.replies))
        root.body |= {
            "reply_count": len(root.replies),
            "latest_reply": root.replies[-1],
            "reply_users": users,
            "reply_users_count": len(users),
        }
        return
    for name in THREAD_FIELDS:
        root.body.pop(name, None)
    if root.body.get("subtype") == "tombstone":
        _remove(channel, root)


def _remove(channel: Channel, message: Message) -> None:
    del channel.messages[message.ts]
    index = bisect_left(channel.top, message.ts)
    if index < len(channel.top) and channel.top[index] == message.ts:
        del channel.top[index]


def _bound(ordered: list[str], ts: str, *, after: bool) -> int:
    """Where `ts` would stand; a ts without fraction means the full second. `after` puts it behind an equal one."""
    seconds, _, micros = ts.partition(".")
    full = f"{seconds.rjust(10, '0')}.{micros.ljust(6, '0')}"
    index = bisect_left(ordered, full)
    if after and index < len(ordered) and ordered[index] == full:
        index += 1
    return index


def _same_blocks(old: list[Json] | None, new: list[Json] | None) -> bool:
    return _without_ids(old) == _without_ids(new)


def _without_ids(blocks: list[Json] | None) -> list[dict[str, Any]]:
    """Blocks without the block_id, which Slack makes up anew where the caller gives none."""
    return [{k: v for k, v in block.items() if k != "block_id"} for block in blocks or ()]


def _bot_profile(author: User) -> Json:
    return {
        "id": author.bot_id,
        "app_id": author.app_id,
        "user_id": author.id,
        "name": author.name,
        "icons": {},
        "deleted": False,
        "updated": 0,
        "team_id": workspace.TEAM_ID,
    }

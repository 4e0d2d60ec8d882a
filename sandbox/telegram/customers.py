"""What people do on their phones: write, edit, react, press buttons, block the bot."""

from typing import Any

from sandbox import filedata
from sandbox.control import ControlError
from sandbox.telegram import entities, media
from sandbox.telegram.files import FOLDERS, File
from sandbox.telegram.model import Chat, Customer, Json, Stored
from sandbox.telegram.side import TelegramSide, lane_of, quoted

GROUP_ANONYMOUS = "give user_id: a group does not say who acts"
PASSED_ON = ("location", "venue", "contact", "poll", "dice", "story", "game")
"""Parts of a message that need no file and are taken as they are."""


def join(side: TelegramSide, wish: Json) -> Customer:
    """A customer from `first_name`, `last_name`, `username`, `language_code`, `started` (default true)."""
    known = ("first_name", "last_name", "username", "language_code", "is_premium")
    user = {key: wish[key] for key in known if wish.get(key)}
    if not isinstance(user.setdefault("first_name", "Customer"), str):
        raise ControlError("first_name must be text")
    return side.add_customer(user, started=wish.get("started", True) is not False)


def send(side: TelegramSide, wish: Json) -> Json:
    """A message from a customer: `{"message_id", "update_id", "message_ids"}`; update_id is null when the
    bot is not told.

    A text longer than Telegram allows is sent in several messages, as the phone does it; the ids are the
    last one's.
    """
    chat, user = _who(side, wish)
    if chat.blocked:
        raise ControlError("this customer has blocked the bot: unblock first")
    chat.started = True
    contents = _contents(side, wish)
    reply_to = _find(chat, wish["reply_to"]) if wish.get("reply_to") is not None else None
    topic = wish.get("topic")
    if topic is not None and topic not in chat.topics:
        raise ControlError("there is no such topic", status=404)
    ids = []
    update_id = None
    for content in contents:
        message: Json = {
            "message_id": side.take_message_id(chat),
            "from": user,
            "chat": chat.info,
            "date": side.now(),
        }
        if topic is not None:
            message |= {"message_thread_id": topic, "is_topic_message": True}
            message["reply_to_message"] = quoted(chat.messages[topic])
        if reply_to is not None:
            message["reply_to_message"] = quoted(reply_to)
        message.update(content)
        side.keep(chat, Stored(message=message, from_bot=False), "customer_message")
        update_id = side.updates.add("message", message, lane_of(chat))
        ids.append(message["message_id"])
    return {"message_id": ids[-1], "update_id": update_id, "message_ids": ids}


def edit(side: TelegramSide, wish: Json) -> Json:
    """Change the text or caption of a customer's own message."""
    chat, _ = _who(side, wish)
    stored = _find(chat, wish.get("message_id"))
    if stored.from_bot:
        raise ControlError("a customer can only edit their own messages")
    name = "text" if "text" in stored.message else "caption"
    text = wish.get("text", wish.get("caption"))
    if not isinstance(text, str) or (name == "text" and not text):
        raise ControlError("give the new text or caption")
    message = {**stored.message, name: text, "edit_date": side.now()}
    key = "entities" if name == "text" else "caption_entities"
    message.pop(key, None)
    if found := entities.find(text):
        message[key] = found
    side.replace(chat, stored, message, "customer_edit")
    update_id = side.updates.add("edited_message", message, lane_of(chat))
    return {"message_id": message["message_id"], "update_id": update_id}


def delete(side: TelegramSide, wish: Json) -> Json:
    """A customer deletes a message for both sides. Telegram does not tell the bot."""
    chat, _ = _who(side, wish)
    stored = _find(chat, wish.get("message_id"))
    message_id = stored.message["message_id"]
    stored.deleted_at = side.desk.clock.now()
    side.note(chat, "customer_delete", message_id, {})
    side.desk.publish({"type": "telegram.deleted", "chat_id": chat.id, "message_id": message_id})
    return {"message_id": message_id, "update_id": None}


def react(side: TelegramSide, wish: Json) -> Json:
    """Set the customer's reactions to a message: a list of emoji, empty to take them back."""
    chat, user = _who(side, wish)
    stored = _find(chat, wish.get("message_id"))
    emoji = wish.get("reaction", [])
    emoji = [emoji] if isinstance(emoji, str) else emoji
    if not isinstance(emoji, list) or not all(isinstance(one, str) and one for one in emoji):
        raise ControlError("reaction must be an emoji or a list of them")
    who = str(user["id"])
    message_id = stored.message["message_id"]
    payload = {
        "chat": chat.info,
        "message_id": message_id,
        "user": user,
        "date": side.now(),
        "old_reaction": _reaction_types(stored.reactions.get(who, [])),
        "new_reaction": _reaction_types(emoji),
    }
    stored.reactions[who] = emoji
    side.note(chat, "customer_reaction", message_id, {"reaction": emoji})
    side.desk.publish(
        {
            "type": "telegram.reaction",
            "chat_id": chat.id,
            "message_id": message_id,
            "from": "customer",
            "reaction": emoji,
        }
    )
    return {
        "message_id": message_id,
        "update_id": side.updates.add("message_reaction", payload, lane_of(chat)),
    }


def press(side: TelegramSide, wish: Json) -> Json:
    """Press an inline button, named by its `data` or its `text`: `{"query_id", "update_id"}`."""
    chat, user = _who(side, wish)
    stored = _find(chat, wish.get("message_id"))
    rows = stored.message.get("reply_markup", {}).get("inline_keyboard", [])
    for button in (button for row in rows for button in row):
        if "callback_data" in button and wish.get("data", wish.get("text")) in (
            button["callback_data"],
            button["text"],
        ):
            break
    else:
        raise ControlError("the message has no such button", status=404)
    query_id = side.take_query()
    payload = {
        "id": query_id,
        "from": user,
        "message": stored.message,
        "chat_instance": str(-chat.id * 7_919),
        "data": button["callback_data"],
    }
    said = {"data": button["callback_data"], "query_id": query_id}
    side.note(chat, "customer_press", stored.message["message_id"], said)
    return {"query_id": query_id, "update_id": side.updates.add("callback_query", payload, lane_of(chat))}


def set_blocked(side: TelegramSide, wish: Json, *, blocked: bool) -> Json:
    """A customer blocks or unblocks the bot; a group removes it or lets it in again."""
    chat, user = _who(side, wish)
    if chat.blocked == blocked:
        return {"update_id": None}
    chat.blocked = blocked
    old, new = ("member", "kicked") if blocked else ("kicked", "member")
    payload = {
        "chat": chat.info,
        "from": user,
        "date": side.now(),
        "old_chat_member": _membership(side, old),
        "new_chat_member": _membership(side, new),
    }
    kind = "customer_block" if blocked else "customer_unblock"
    side.desk.log.add("telegram", kind, str(chat.id), {})
    side.desk.publish({"type": "telegram.blocked", "chat_id": chat.id, "blocked": blocked})
    return {"update_id": side.updates.add("my_chat_member", payload, lane_of(chat))}


def migrate(side: TelegramSide, wish: Json) -> Json:
    """Turn a group into a supergroup: both chats get Telegram's service message."""
    chat, user = _who(side, wish)
    if chat.info["type"] != "group" or chat.migrated_to is not None:
        raise ControlError("only a group that has not migrated can become a supergroup")
    fresh = side.upgrade(chat)
    update_ids = []
    for where, content in (
        (chat, {"migrate_to_chat_id": fresh.id}),
        (fresh, {"migrate_from_chat_id": chat.id}),
    ):
        message: Json = {
            "message_id": side.take_message_id(where),
            "from": user,
            "chat": where.info,
            "date": side.now(),
            **content,
        }
        side.keep(where, Stored(message=message, from_bot=False), "customer_message")
        update_ids.append(side.updates.add("message", message, lane_of(where)))
    return {"chat_id": fresh.id, "update_ids": update_ids}


def chat_of(side: TelegramSide, wish: Json) -> Chat:
    """The chat that `chat_id` names. ControlError 404 if there is none."""
    chat = side.chats.get(_whole(wish.get("chat_id"), "chat_id"))
    if chat is None:
        raise ControlError("there is no such chat", status=404)
    return chat


def _who(side: TelegramSide, wish: Json) -> tuple[Chat, Json]:
    """The chat and the user who acts in it."""
    chat = chat_of(side, wish)
    user_id = wish.get("user_id", chat.id if chat.is_private else (chat.members[0] if chat.members else None))
    if user_id is None:
        raise ControlError(GROUP_ANONYMOUS)
    customer = side.customers.get(_whole(user_id, "user_id"))
    if customer is None:
        raise ControlError("there is no such user", status=404)
    return chat, customer.user


def _find(chat: Chat, message_id: object) -> Stored:
    stored = chat.messages.get(_whole(message_id, "message_id"))
    if stored is None or stored.deleted_at is not None:
        raise ControlError("there is no such message", status=404)
    return stored


def _contents(side: TelegramSide, wish: Json) -> list[Json]:
    extra = wish.get("content", {})
    if not isinstance(extra, dict):
        raise ControlError("content must be an object of message fields")
    if wish.get("media_group_id"):
        extra = {**extra, "media_group_id": str(wish["media_group_id"])}
    if "text" in wish:
        return [{**_captioned(part, "text"), **extra} for part in _split(wish["text"])]
    for kind in FOLDERS:
        if kind in wish:
            content = media.part(
                _file(side, wish, kind), duration_s=wish.get("duration", 0), emoji=wish.get("emoji", "")
            )
            return [{**content, **_captioned(wish.get("caption", ""), "caption"), **extra}]
    plain = {name: wish[name] for name in PASSED_ON if name in wish}
    if not plain and not extra:
        raise ControlError("give text, a file (photo, document, voice, ...), location, contact or content")
    return [{**plain, **extra}]


def _captioned(text: object, name: str) -> Json:
    if not isinstance(text, str):
        raise ControlError(f"{name} must be text")
    if not text:
        return {}
    content: Json = {name: text}
    if found := entities.find(text):
        content["entities" if name == "text" else "caption_entities"] = found
    return content


def _split(text: object) -> list[str]:
    if not isinstance(text, str) or not text:
        raise ControlError("text must be text and not empty")
    if len(text) * 2 <= entities.MAX_TEXT or entities.utf16_length(text) <= entities.MAX_TEXT:
        return [text]
    parts: list[str] = []
    part: list[str] = []
    length = 0
    for char in text:
        size = 2 if char > "\uffff" else 1
        if length + size > entities.MAX_TEXT:
            parts.append("".join(part))
            part, length = [], 0
        part.append(char)
        length += size
    return [*parts, "".join(part)]


def _file(side: TelegramSide, wish: Json, kind: str) -> File:
    given: Any = wish[kind]
    about = given if isinstance(given, dict) else {**wish, "data": given}
    data = filedata.made(about, "data")
    if not data:
        raise ControlError(f"{kind} is empty")
    default = {"photo": "image/jpeg", "sticker": "image/webp"}.get(kind, "application/octet-stream")
    name = str(about.get("filename") or f"{kind}.bin" if kind == "document" else about.get("filename") or "")
    mime = str(about.get("mime") or default)
    return side.files.add(data, kind=kind, name=name, mime_type=mime, says=filedata.says(about))


def _reaction_types(emoji: list[str]) -> list[Json]:
    return [{"type": "emoji", "emoji": one} for one in emoji]


def _membership(side: TelegramSide, status: str) -> Json:
    member: Json = {"user": side.bot, "status": status}
    return {**member, "until_date": 0} if status == "kicked" else member


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ControlError(f"{name} must be a whole number")
    try:
        return int(value)
    except ValueError:
        raise ControlError(f"{name} must be a whole number") from None

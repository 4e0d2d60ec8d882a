"""What the bot does with messages: send, edit, delete, react."""

from collections.abc import Callable
from typing import Any

from sandbox.telegram import entities, keyboards, media
from sandbox.telegram.errors import NOT_MODIFIED, TOO_OLD_QUERY, bad_request
from sandbox.telegram.model import Chat, Json, Stored
from sandbox.telegram.params import Params
from sandbox.telegram.side import TelegramSide, quoted

DELETABLE_S = 48 * 3600
"""A bot can delete a message for 48 hours (product time)."""
MOST_DELETED = 100
"""As many messages one deleteMessages takes."""
ACTIONS = frozenset(
    {"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice",
     "upload_document",
     "choose_sticker", "find_location", "record_video_note", "upload_video_note"}
)  # fmt: skip
STANDARD_EMOJI = (
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 "
    "🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 "
    "😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 "
    "🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡 "
)
REACTIONS = frozenset(STANDARD_EMOJI.split())


def send_message(side: TelegramSide, params: Params) -> Json:
    """The method sendMessage."""
    text, found = entities.read(params, "text")
    chat = side.target(params)
    content: Json = {"text": text}
    if found:
        content["entities"] = found
    if options := params.parsed("link_preview_options", "can't parse link preview options JSON object"):
        content["link_preview_options"] = options
    return post(side, chat, params, content)


def sender(kind: str) -> Callable[[TelegramSide, Params], Json]:
    """The method that sends a file of this kind: sendPhoto, sendDocument and so on."""

    def send(side: TelegramSide, params: Params) -> Json:
        caption, found = entities.read(params, "caption")
        chat = side.target(params)
        file = media.from_bot(side.files, params, kind)
        content = media.part(file, duration_s=params.integer("duration"), emoji=params.text("emoji"))
        if caption and kind != "sticker":
            content["caption"] = caption
            if found:
                content["caption_entities"] = found
        return post(side, chat, params, content)

    return send


def edit_text(side: TelegramSide, params: Params) -> Json:
    """The method editMessageText."""
    text, found = entities.read(params, "text")
    chat, stored = _own_message(side, params)
    if "text" not in stored.message:
        raise bad_request("there is no text in the message to edit")
    return _edit(side, chat, stored, params, {"text": text, "entities": found})


def edit_caption(side: TelegramSide, params: Params) -> Json:
    """The method editMessageCaption."""
    caption, found = entities.read(params, "caption")
    chat, stored = _own_message(side, params)
    if "text" in stored.message or "sticker" in stored.message:
        raise bad_request("there is no caption in the message to edit")
    return _edit(side, chat, stored, params, {"caption": caption, "caption_entities": found})


def edit_markup(side: TelegramSide, params: Params) -> Json:
    """The method editMessageReplyMarkup."""
    chat, stored = _own_message(side, params)
    return _edit(side, chat, stored, params, {})


def delete_message(side: TelegramSide, params: Params) -> bool:
    """The method deleteMessage."""
    chat = side.target(params)
    stored = chat.messages.get(params.integer("message_id"))
    if stored is None or stored.deleted_at is not None:
        raise bad_request("message to delete not found")
    now = side.desk.clock.now()
    if now - stored.message["date"] > DELETABLE_S:
        raise bad_request("message can't be deleted for everyone")
    _take_away(side, chat, stored, now)
    return True


def delete_messages(side: TelegramSide, params: Params) -> bool:
    """The method deleteMessages: those that are not there are passed over."""
    chat = side.target(params)
    ids = params.parsed("message_ids", "can't parse message identifiers JSON object")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_DELETED:
        raise bad_request("message identifiers are not specified")
    found = [stored for one in ids if (stored := chat.messages.get(one)) is not None and stored.deleted_at is None]
    now = side.desk.clock.now()
    if any(now - stored.message["date"] > DELETABLE_S for stored in found):
        raise bad_request("message can't be deleted for everyone")
    for stored in found:
        _take_away(side, chat, stored, now)
    return True


def _take_away(side: TelegramSide, chat: Chat, stored: Stored, now: float) -> None:
    message_id = stored.message["message_id"]
    stored.deleted_at = now
    side.note(chat, "bot_delete", message_id, {})
    side.desk.publish({"type": "telegram.deleted", "chat_id": chat.id, "message_id": message_id})


def chat_action(side: TelegramSide, params: Params) -> bool:
    """The method sendChatAction."""
    chat = side.target(params)
    action = params.text("action").lower()
    if action not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat.action, chat.action_at = action, side.desk.clock.real()
    side.desk.publish({"type": "telegram.action", "chat_id": chat.id, "action": action})
    return True


def set_reaction(side: TelegramSide, params: Params) -> bool:
    """The method setMessageReaction: one emoji at most."""
    chat = side.target(params)
    stored = chat.messages.get(params.integer("message_id"))
    if stored is None or stored.deleted_at is not None:
        raise bad_request("message to react not found")
    wanted = params.parsed("reaction", "can't parse reaction types JSON object") or []
    if not isinstance(wanted, list):
        raise bad_request("can't parse reaction types JSON object")
    emoji = [str(item.get("emoji")) for item in wanted if isinstance(item, dict)]
    if any(one.rstrip("\ufe0f") not in REACTIONS for one in emoji):
        raise bad_request("REACTION_INVALID")
    if len(emoji) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    message_id = stored.message["message_id"]
    stored.reactions[str(side.bot["id"])] = emoji
    side.note(chat, "bot_reaction", message_id, {"reaction": emoji})
    side.desk.publish(
        {
            "type": "telegram.reaction",
            "chat_id": chat.id,
            "message_id": message_id,
            "from": "bot",
            "reaction": emoji,
        }
    )
    return True


def answer_callback(side: TelegramSide, params: Params) -> bool:
    """The method answerCallbackQuery."""
    query_id = params.text("callback_query_id")
    text = params.text("text")
    if len(text) > 200:
        raise bad_request("MESSAGE_TOO_LONG")
    if not side.answer_query(query_id):
        raise bad_request(TOO_OLD_QUERY)
    answer = {"query_id": query_id, "text": text, "show_alert": params.flag("show_alert")}
    side.desk.log.add("telegram", "query_answer", query_id, answer)
    side.desk.publish({"type": "telegram.query_answer", **answer})
    return True


def post(side: TelegramSide, chat: Chat, params: Params, content: Json) -> Json:
    """Put a message of the bot into a chat, as its parameters say beside the content."""
    inline, reply_keyboard = keyboards.read(params)
    reply_to = _reply_to(chat, params)
    topic = params.integer("message_thread_id")
    if topic and topic not in chat.topics:
        raise bad_request("message thread not found")
    side.admit(chat)
    message: Json = {
        "message_id": side.take_message_id(chat),
        "from": side.bot,
        "chat": chat.info,
        "date": side.now(),
    }
    if topic:
        message |= {"message_thread_id": topic, "is_topic_message": True}
    if reply_to is not None:
        message["reply_to_message"] = quoted(reply_to)
    message.update(content)
    if inline:
        message["reply_markup"] = inline
    if params.flag("protect_content"):
        message["has_protected_content"] = True
    chat.action = None
    side.keep(chat, Stored(message=message, from_bot=True, reply_keyboard=reply_keyboard), "bot_message")
    return message


def _reply_to(chat: Chat, params: Params) -> Stored | None:
    given = params.parsed("reply_parameters", "can't parse reply parameters JSON object")
    if isinstance(given, dict):
        message_id = given.get("message_id")
        lenient = bool(given.get("allow_sending_without_reply"))
    else:
        message_id = params.integer("reply_to_message_id") or None
        lenient = params.flag("allow_sending_without_reply")
    if message_id is None:
        return None
    stored = chat.messages.get(message_id)
    if stored is None or stored.deleted_at is not None:
        if lenient:
            return None
        raise bad_request("message to be replied not found")
    return stored


def _own_message(side: TelegramSide, params: Params) -> tuple[Chat, Stored]:
    chat = side.target(params)
    if not params.given("message_id"):
        raise bad_request("message identifier is not specified")
    stored = chat.messages.get(params.integer("message_id"))
    if stored is None or stored.deleted_at is not None:
        raise bad_request("message to edit not found")
    if not stored.from_bot:
        raise bad_request("message can't be edited")
    return chat, stored


def _edit(side: TelegramSide, chat: Chat, stored: Stored, params: Params, content: dict[str, Any]) -> Json:
    """The edited message. An empty value in `content` takes the field away; a keyboard that is not sent is
    removed.
    """
    inline, _ = keyboards.read(params)
    message = {**stored.message}
    for name, value in {**content, "reply_markup": inline}.items():
        if value:
            message[name] = value
        else:
            message.pop(name, None)
    if message == stored.message:
        raise bad_request(NOT_MODIFIED)
    message["edit_date"] = side.now()
    side.replace(chat, stored, message, "bot_edit")
    return message

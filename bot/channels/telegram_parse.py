"""Stored updates as events: what a customer did, in the product's words. Pure; reads nothing but the payload."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from telegram import CallbackQuery, Chat, ChatMemberUpdated, Message, MessageReactionUpdated, TelegramObject, User
from telegram.constants import UpdateType

from bot.channels import telegram_address, telegram_content
from domain import text
from domain.errors import MalformedEvent
from domain.events import (
    CustomerChoice,
    CustomerCommand,
    CustomerEdit,
    CustomerMessage,
    CustomerMoved,
    CustomerReach,
    CustomerReaction,
    CustomerRef,
    Event,
    Ignored,
)

Groups = Literal["chat", "topic", "customer"]
CORE = (
    "message_id",
    "date",
    "edit_date",
    "chat",
    "from",
    "text",
    "caption",
    "photo",
    "document",
    "migrate_to_chat_id",
)
"""What an event is made of: read alone where the library trips over something else in a message."""
READ = {
    UpdateType.MESSAGE,
    UpdateType.EDITED_MESSAGE,
    UpdateType.MY_CHAT_MEMBER,
    UpdateType.CALLBACK_QUERY,
    UpdateType.MESSAGE_REACTION,
}
KNOWN_UPDATES = frozenset(UpdateType) - READ
COMMAND = re.compile(r"/(start|help|privacy)(?:@\w+)?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)
CHOICE = re.compile(r"[a-z_]+(?::[A-Za-z0-9_-]+)*")
"""What our own buttons carry; anything else was not made by us."""
GROUP = re.compile(r"[\w-]{1,64}", re.ASCII)
REACTION_LENGTH = 40
ARGUMENT_LENGTH = 64
"""Telegram's own limit for what a deep link carries."""
LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_]|$)", re.IGNORECASE)
_HAN = re.compile(r"[\u3400-\u9fff·]{1,8}")
USERNAME = re.compile(r"\w{1,32}", re.ASCII)
BLOCKED, ACTIVE = "kicked", "member"
T = TypeVar("T", bound=TelegramObject)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What reading an update needs to know of its account. `groups`: whose conversation it is in a group of people."""

    source: str
    download_limit: int
    groups: Groups = "chat"


def parse(payload: str, *, source: str, download_limit: int, groups: Groups = "chat") -> Event | Ignored:
    """Read one update. Raises MalformedEvent, whose reason holds no personal text, for anything that is not one."""
    update = _load(payload)
    account = Account(source=source, download_limit=download_limit, groups=groups)
    for kind, read in (
        ("message", _message),
        ("edited_message", _edit),
        ("my_chat_member", _membership),
        ("callback_query", _press),
        ("message_reaction", _reaction),
    ):
        if kind not in update:
            continue
        raw = update[kind]
        if not isinstance(raw, dict):
            raise MalformedEvent(f"{kind} is not an object")
        try:
            return read(raw, account)
        except MalformedEvent:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the library trips over, the payload is at fault
            raise MalformedEvent(f"{kind} cannot be read ({type(error).__name__})") from None
    if set(update) <= {"update_id"}:
        raise MalformedEvent("the update is empty")
    known = KNOWN_UPDATES.intersection(update)
    return Ignored(reason=min(known) if known else "unknown_update")


def _load(payload: str) -> dict[str, Any]:
    try:
        update = json.loads(payload)
    except (ValueError, RecursionError):
        raise MalformedEvent("the payload is not JSON") from None
    if not isinstance(update, dict):
        raise MalformedEvent("the update is not an object")
    return update


def _message(raw: dict[str, Any], account: Account) -> Event | Ignored:
    message = _read(raw)
    chat, at = _chat(message.chat), _time(message.date)
    moved = message.migrate_to_chat_id
    if moved is not None:
        return CustomerMoved(channel=account.source, at=at, old_address=str(chat.id), new_address=str(_id(moved)))
    if (came := message.migrate_from_chat_id) is not None:  # told in both chats: whichever is read first
        return CustomerMoved(channel=account.source, at=at, old_address=str(_id(came)), new_address=str(chat.id))
    kind = telegram_content.kind_of(raw)
    if kind in telegram_content.HOUSEKEEPING:
        return Ignored(reason=f"service:{kind}")
    if message.from_user is not None and message.from_user.is_bot is True:
        return Ignored(reason="from_bot")
    customer = _customer(chat, message.from_user, account, message)
    number = str(_id(message.message_id))
    words = _words(message)
    command = COMMAND.fullmatch(words.strip()) if kind == "text" else None
    if command is not None:
        return CustomerCommand(
            customer=customer,
            at=at,
            message_id=number,
            command=command[1].lower(),
            argument=text.clean_name(command[2] or "", ARGUMENT_LENGTH),
        )
    return CustomerMessage(
        customer=customer,
        at=at,
        message_id=number,
        kind=kind,
        text=words or telegram_content.in_words(kind, message, raw),
        attachments=telegram_content.attachments(kind, message, account.download_limit),
        reply_to=_answered(message),
        thread=None if (topic := _topic(message)) is None else str(topic),
        group=_group(message.media_group_id),
        details=telegram_content.details(message),
    )


def _edit(raw: dict[str, Any], account: Account) -> Event | Ignored:
    message = _read(raw)
    chat, at = _chat(message.chat), _time(message.edit_date or message.date)
    if telegram_content.kind_of(raw) in telegram_content.MOVING:
        return Ignored(reason="live_location")
    if message.from_user is not None and message.from_user.is_bot is True:
        return Ignored(reason="from_bot")
    return CustomerEdit(
        customer=_customer(chat, message.from_user, account, message),
        at=at,
        message_id=str(_id(message.message_id)),
        text=_words(message),
    )


def _membership(raw: dict[str, Any], account: Account) -> Event | Ignored:
    change = _must(ChatMemberUpdated, ChatMemberUpdated.de_json(raw, None))
    chat, status = _chat(change.chat), str(change.new_chat_member.status)
    if chat.type != Chat.PRIVATE:
        return Ignored(reason="group_membership")
    if status not in (BLOCKED, ACTIVE):
        return Ignored(reason="membership")
    return CustomerReach(
        customer=_customer(chat, change.from_user, account),
        at=_time(change.date),
        reachable=status == ACTIVE,
        reason=None if status == ACTIVE else "blocked",
    )


def _reaction(raw: dict[str, Any], account: Account) -> Event | Ignored:
    """Emoji on a message. In a group somebody may stay unnamed: then nobody knows whose they are."""
    change = _must(MessageReactionUpdated, MessageReactionUpdated.de_json(raw, None))
    if change.user is None or change.user.is_bot is True:
        return Ignored(reason="reaction_of_nobody")
    chat = _chat(change.chat)
    if account.groups == "topic" and chat.type != Chat.PRIVATE:
        return Ignored(reason="reaction_in_group")  # Telegram does not say in which topic
    return CustomerReaction(
        customer=_customer(chat, change.user, account),
        at=_time(change.date),
        message_id=str(_id(change.message_id)),
        emoji=text.clean("".join(telegram_content.reaction(one) for one in change.new_reaction), REACTION_LENGTH),
    )


def _press(raw: dict[str, Any], account: Account) -> Event | Ignored:
    """A tap on a button. In a group it could be anybody's, so that only a private chat's counts."""
    query = _must(CallbackQuery, CallbackQuery.de_json(raw, None))
    if query.message is None:
        return Ignored(reason="tap_without_message")
    chat = _chat(query.message.chat)
    if chat.type != Chat.PRIVATE:
        return Ignored(reason="tap_in_group")
    if not isinstance(query.data, str) or not CHOICE.fullmatch(query.data):
        return Ignored(reason="unknown_button")
    if not isinstance(query.id, str) or not query.id.isascii() or not query.id.isalnum():
        raise MalformedEvent("the tap has no id")
    return CustomerChoice(
        customer=_customer(chat, query.from_user, account),
        query_id=query.id,
        message_id=str(_id(query.message.message_id)),
        choice=query.data,
    )


def _group(value: object) -> str | None:
    return value if isinstance(value, str) and GROUP.fullmatch(value) else None


def _read(raw: dict[str, Any]) -> Message:
    """The message; without its trimmings where the library cannot read those: words are worth a second try."""
    try:
        return _must(Message, Message.de_json(raw, None))
    except Exception:  # noqa: BLE001 - the second try says what is wrong, if anything is
        core = {key: value for key, value in raw.items() if key in CORE}
        return _must(Message, Message.de_json(core, None))


def _must(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise MalformedEvent(f"{kind.__name__.lower()} is missing")
    return value


def _customer(chat: Chat, user: User | None, account: Account, message: Message | None = None) -> CustomerRef:
    """In a private chat the person. Elsewhere whoever the account's conversations in groups are with: the chat, because
    answers go to all who are in it, a topic of it, or each person by themselves.
    """
    is_person = user is not None and (chat.type == Chat.PRIVATE or account.groups == "customer")
    title = chat.title or _whole_name(chat.first_name, chat.last_name)
    topic, called = (None, "") if message is None else (_topic(message), _topic_name(message))
    is_named = True
    address = telegram_address.made(chat.id)
    if is_person and user is not None:
        name, username = _name(_whole_name(user.first_name, user.last_name)), user.username
        if chat.type != Chat.PRIVATE:
            name, address = _name(f"{name} ({title})"), telegram_address.made(chat.id, person=_id(user.id))
    else:
        name, username = _name(title), chat.username
        if topic is not None and account.groups == "topic":
            name, address = _name(f"{title} / {called or topic}"), telegram_address.made(chat.id, topic=topic)
            is_named = called != ""
    handle = username if isinstance(username, str) and USERNAME.fullmatch(username) else None
    return CustomerRef(
        channel=account.source,
        address=address,
        name=name or handle or str(chat.id),
        username=handle,
        language=_language(user.language_code) if user is not None else None,
        topic=None if topic is None else str(topic),
        is_named=is_named,
    )


def _topic(message: Message) -> int | None:
    return _id(message.message_thread_id) if message.is_topic_message is True else None


def _topic_name(message: Message) -> str:
    """What the topic is called: a message that answers no other one hangs on the one that opened it, which says so."""
    opening = message.reply_to_message
    created = opening.forum_topic_created if isinstance(opening, Message) else None
    return text.clean_name(created.name) if created is not None and isinstance(created.name, str) else ""


def _whole_name(first: str | None, last: str | None) -> str:
    """Given name and family name as their owner would write them: 李静, not 静 李."""
    parts = [part for part in (first, last) if part]
    if len(parts) == 2 and all(_HAN.fullmatch(part) for part in parts):
        return "".join(reversed(parts))
    return " ".join(parts)


def _name(value: str) -> str:
    return text.clean_name(value)


def _language(code: object) -> str | None:
    found = LANGUAGE.match(code) if isinstance(code, str) else None
    return found[1].lower() if found else None


def _words(message: Message) -> str:
    """Text or caption, cleaned, with the target of each hidden link behind it in brackets."""
    for words, entities in ((message.text, message.entities), (message.caption, message.caption_entities)):
        if words is not None:
            if not isinstance(words, str):
                raise MalformedEvent("the text is not a text")
            return text.clean(telegram_content.with_links(words, entities))
    return ""


def _answered(message: Message) -> str | None:
    answered = message.reply_to_message
    if not isinstance(answered, Message) or answered.forum_topic_created is not None:
        return None  # every message of a topic hangs on the one that opened it
    return str(_id(answered.message_id))


def _chat(chat: object) -> Chat:
    found = _must(Chat, chat)
    _id(found.id)
    return found


def _id(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedEvent("an id is not a number")
    return value


def _time(value: object) -> datetime:
    if not isinstance(value, datetime) or value.timestamp() <= 0:
        raise MalformedEvent("the date is missing")
    return value.astimezone(UTC)

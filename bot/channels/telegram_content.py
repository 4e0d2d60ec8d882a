"""What is in a message: its kind, its files, and words for what has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from telegram import (
    Chat,
    Contact,
    Location,
    Message,
    MessageEntity,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
    PhotoSize,
    ReactionTypeEmoji,
    ReactionTypePaid,
    Sticker,
    TextQuote,
)

from domain import text
from domain.errors import MalformedEvent
from domain.model import Attachment

KINDS = (
    "text", "photo", "animation", "document", "voice", "audio", "video", "video_note", "sticker",
    "venue", "location", "contact", "poll", "dice", "game", "story", "paid_media", "checklist",
)  # fmt: skip
"""Content fields, the telling one first: an animation comes with a document, a venue with a location."""
HOUSEKEEPING = frozenset(
    {
        "new_chat_members",
        "left_chat_member",
        "new_chat_title",
        "new_chat_photo",
        "delete_chat_photo",
        "group_chat_created",
        "supergroup_chat_created",
        "channel_chat_created",
        "message_auto_delete_timer_changed",
        "migrate_from_chat_id",
        "pinned_message",
        "chat_background_set",
        "write_access_allowed",
        "connected_website",
        "boost_added",
        "proximity_alert_triggered",
        "forum_topic_created",
        "forum_topic_edited",
        "forum_topic_closed",
        "forum_topic_reopened",
        "general_forum_topic_hidden",
        "general_forum_topic_unhidden",
        "video_chat_scheduled",
        "video_chat_started",
        "video_chat_ended",
        "video_chat_participants_invited",
        "giveaway_created",
        "giveaway_completed",
    }
)
"""Service messages about the chat itself: nobody said anything, so no conversation opens and no clock runs."""
MOVING = frozenset({"location", "venue"})
"""Edited by themselves, every few seconds, while a live location is shared."""
ENVELOPE = frozenset(
    {
        "message_id",
        "message_thread_id",
        "direct_messages_topic",
        "from",
        "sender_chat",
        "sender_boost_count",
        "sender_business_bot",
        "date",
        "business_connection_id",
        "chat",
        "forward_origin",
        "forward_from",
        "forward_from_chat",
        "forward_from_message_id",
        "forward_signature",
        "forward_sender_name",
        "forward_date",
        "is_topic_message",
        "is_automatic_forward",
        "reply_to_message",
        "external_reply",
        "quote",
        "reply_to_story",
        "reply_to_checklist_task_id",
        "via_bot",
        "edit_date",
        "has_protected_content",
        "is_from_offline",
        "is_paid_post",
        "media_group_id",
        "author_signature",
        "paid_star_count",
        "entities",
        "link_preview_options",
        "suggested_post_info",
        "effect_id",
        "caption",
        "caption_entities",
        "show_caption_above_media",
        "has_media_spoiler",
        "reply_markup",
    }
)
"""Fields that say about a message what is not its content."""
QUOTED_LENGTH = 200
NUMBER_LENGTH = 40
UNKNOWN = "unknown"
WORD = re.compile(r"[a-z][a-z_]{0,39}")
MIME = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,80}", re.ASCII)
ANY_BYTES = "application/octet-stream"
FILES = {
    "photo": ("photo.jpg", "image/jpeg"),
    "animation": ("animation.mp4", "video/mp4"),
    "document": ("file", ANY_BYTES),
    "voice": ("voice.ogg", "audio/ogg"),
    "audio": ("audio.mp3", "audio/mpeg"),
    "video": ("video.mp4", "video/mp4"),
    "video_note": ("video.mp4", "video/mp4"),
    "sticker": ("sticker.webp", "image/webp"),
}
"""Kinds that are files, with the name and type of one that Telegram gives none."""


def kind_of(raw: Mapping[str, Any]) -> str:
    """The kind of a raw message: a known content field, else Telegram's word for the new one, else `unknown`."""
    for kind in KINDS:
        if raw.get(kind) is not None:
            return kind
    for field in raw:
        if field not in ENVELOPE and WORD.fullmatch(field):
            return field
    return UNKNOWN


def attachments(kind: str, message: Message, download_limit: int) -> tuple[Attachment, ...]:
    """The file of a message, if it has one. `problem` is "too_large" where Telegram will not hand it out."""
    if kind not in FILES:
        return ()
    media = getattr(message, kind)
    if kind == "photo":
        media = max(media, key=_extent, default=None)
    if media is None:
        return ()
    name, mime = FILES[kind]
    if kind == "sticker" and (media.is_animated or media.is_video):
        name, mime, media = _still(media)
    said_name, said_mime = getattr(media, "file_name", None), getattr(media, "mime_type", None)
    size = media.file_size if isinstance(media.file_size, int) and media.file_size >= 0 else None
    return (
        Attachment(
            id=_ascii(media.file_unique_id),
            kind=kind,
            platform_id=_ascii(media.file_id),
            name=text.safe_filename(said_name) if isinstance(said_name, str) and said_name else name,
            mime=said_mime if isinstance(said_mime, str) and MIME.fullmatch(said_mime) else mime,
            size=size,
            problem="too_large" if size is not None and size > download_limit else None,
        ),
    )


def _extent(size: PhotoSize) -> tuple[int, int]:
    """How large a photo is. What is no number counts nothing: a text times a number would be that long a text."""
    width, height, length = (n if isinstance(n, int) else 0 for n in (size.width, size.height, size.file_size))
    return width * height, length


def _still(sticker: Sticker) -> tuple[str, str, Sticker | PhotoSize]:
    """The picture of a sticker that moves; without one it is a file that Slack shows as such."""
    if isinstance(sticker.thumbnail, PhotoSize):
        return (*FILES["sticker"], sticker.thumbnail)
    return ("sticker.webm", "video/webm", sticker) if sticker.is_video else ("sticker.tgs", ANY_BYTES, sticker)


def details(message: Message) -> dict[str, str]:
    """What a message came with: the line it answers and whose words it passes on. See `Entry.details`."""
    quoted = _quoted(message)
    said = {
        "quoted": quoted,
        "quoted_kind": "" if quoted else _quoted_kind(message),
        "forwarded_from": _origin(message.forward_origin),
        "forwarded": "" if message.forward_origin is None else "yes",
        **_shared(message),
    }
    return {name: words for name, words in said.items() if words}


def _shared(message: Message) -> dict[str, str]:
    """The number of a contact, and whether it is the sender's own: Telegram resolves the user of a number itself.

    What is passed on may be older than the number, and in a group nobody knows whose customer it is.
    """
    contact, sender = message.contact, message.from_user
    if contact is None or not isinstance(contact.phone_number, str):
        return {}
    is_own = (
        sender is not None
        and contact.user_id == sender.id
        and message.forward_origin is None
        and message.chat.type == Chat.PRIVATE
    )
    number = text.clean(contact.phone_number, NUMBER_LENGTH)
    return {"contact_phone": number, "contact_own": "yes"} if is_own else {"contact_phone": number}


def _quoted(message: Message) -> str:
    """The line that was picked out of an earlier message, else its beginning; of one in another chat too."""
    if isinstance(message.quote, TextQuote) and isinstance(message.quote.text, str):
        return text.excerpt(message.quote.text, QUOTED_LENGTH)
    answered = _answered(message)
    said = () if answered is None else (answered.text, answered.caption)
    return text.excerpt(next((words for words in said if isinstance(words, str)), ""), QUOTED_LENGTH)


def _quoted_kind(message: Message) -> str:
    """What the earlier message is that is answered: one without words is named by it at the desk."""
    answered = _answered(message)
    return "" if answered is None else next((kind for kind in KINDS if getattr(answered, kind, None)), "")


def _answered(message: Message) -> Message | None:
    """The earlier message that this one answers; that its topic was opened is none."""
    answered = message.reply_to_message
    is_one = isinstance(answered, Message) and answered.forum_topic_created is None
    return answered if is_one else None


def _origin(origin: object) -> str:
    match origin:
        case MessageOriginUser(sender_user=user):
            return text.clean_name(user.full_name)
        case MessageOriginHiddenUser(sender_user_name=name) if isinstance(name, str):
            return text.clean_name(name)
        case MessageOriginChat(sender_chat=chat) | MessageOriginChannel(chat=chat):
            return text.clean_name(chat.title or chat.username or "")
        case _:
            return ""


def reaction(kind: object) -> str:
    """One emoji of a reaction as a character; those of Telegram's own shop have none."""
    match kind:
        case ReactionTypeEmoji(emoji=emoji) if isinstance(emoji, str):
            return emoji
        case ReactionTypePaid():
            return "\N{WHITE MEDIUM STAR}"
        case _:
            return "\N{SPARKLES}"


def in_words(kind: str, message: Message, raw: Mapping[str, Any]) -> str:
    """What a message without text says, as plain words; empty where its kind says it all."""
    if kind == "poll":
        return text.clean(_listed(raw["poll"], "question", "options"))
    if kind == "checklist":
        return text.clean(_listed(raw["checklist"], "title", "tasks"))
    say = WORDS.get(kind)
    media = getattr(message, kind, None)
    return text.clean(say(media)) if say is not None and media is not None else ""


def _contact(contact: Contact) -> str:
    return " ".join(part for part in (contact.first_name, contact.last_name, contact.phone_number) if part)


def _listed(raw: object, head: str, below: str) -> str:
    """A question with its choices, a title with its tasks; raw, as the library wants fields that older servers lack."""
    if not isinstance(raw, dict) or not isinstance(raw.get(head), str):
        return ""
    points = raw.get(below)
    said = [one.get("text") for one in points if isinstance(one, dict)] if isinstance(points, list) else []
    return "\n".join([raw[head], *(f"- {words}" for words in said if isinstance(words, str))])


def _place(location: Location) -> str:
    return f"{location.latitude:.6f}, {location.longitude:.6f}"


WORDS: Mapping[str, Callable[[Any], str]] = {
    "sticker": lambda sticker: sticker.emoji or "",
    "contact": _contact,
    "location": _place,
    "venue": lambda venue: f"{venue.title}, {venue.address} ({_place(venue.location)})",
    "dice": lambda dice: f"{dice.emoji} {dice.value}",
}


def with_links(words: str, entities: tuple[MessageEntity, ...]) -> str:
    """The words with the target of each hidden link behind it, so that an agent sees it. Offsets are UTF-16 units."""
    hidden = [e for e in entities or () if e.type == MessageEntity.TEXT_LINK and isinstance(e.url, str)]
    if not hidden:
        return words
    units = words.encode("utf-16-le", "surrogatepass")
    size = len(units)
    for entity in sorted(hidden, key=lambda e: e.offset + e.length, reverse=True):  # each behind all that comes later
        end = 2 * (entity.offset + entity.length)
        if 0 <= 2 * entity.offset < end <= size:
            units = units[:end] + f" ({entity.url})".encode("utf-16-le", "surrogatepass") + units[end:]
    return units.decode("utf-16-le", "surrogatepass")


def _ascii(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isascii():
        raise MalformedEvent("a file has no id")
    return value

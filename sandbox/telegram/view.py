"""A chat as the customer sees it on the phone."""

from sandbox.telegram.files import FOLDERS
from sandbox.telegram.model import Chat, Json, Stored
from sandbox.telegram.side import TelegramSide

ACTION_SHOWN_S = 5.0
"""How long "typing" stays on the screen (real time)."""


def chat(side: TelegramSide, shown: Chat) -> Json:
    """The whole chat: `{"chat", "blocked", "action", "messages": [...]}`, oldest message first."""
    acting = shown.action if side.desk.clock.real() - shown.action_at <= ACTION_SHOWN_S else None
    return {
        "chat": shown.info,
        "blocked": shown.blocked,
        "deactivated": shown.deactivated,
        "migrated_to": shown.migrated_to,
        "action": acting,
        "messages": [message(side, stored) for stored in shown.messages.values()],
    }


def message(side: TelegramSide, stored: Stored) -> Json:
    """One message. `versions` are its earlier texts; `file` has an address under which the page can show
    it.
    """
    now = stored.message
    bot_id = str(side.bot["id"])
    shown: Json = {
        "message_id": now["message_id"],
        "from": "bot" if stored.from_bot else "customer",
        "user_id": now["from"]["id"],
        "date": now["date"],
        "edit_date": now.get("edit_date"),
        "text": now.get("text"),
        "caption": now.get("caption"),
        "entities": now.get("entities") or now.get("caption_entities") or [],
        "versions": [
            {
                "text": old.get("text"),
                "caption": old.get("caption"),
                "date": old.get("edit_date", old["date"]),
            }
            for old in stored.versions
        ],
        "deleted": stored.deleted_at is not None,
        "reactions": {
            "bot": stored.reactions.get(bot_id, []),
            "customer": [one for who, emoji in stored.reactions.items() if who != bot_id for one in emoji],
        },
        "keyboard": now.get("reply_markup", {}).get("inline_keyboard", []),
        "reply_keyboard": stored.reply_keyboard,
        "reply_to": now.get("reply_to_message", {}).get("message_id"),
        "media_group_id": now.get("media_group_id"),
        "topic": now.get("message_thread_id"),
        "file": None,
    }
    for kind in ("animation", *FOLDERS):  # an animation comes with a document
        if kind in now:
            shown["file"] = _file(side, kind, now[kind])
            break
    for kind in ("location", "contact", "migrate_to_chat_id", "migrate_from_chat_id"):
        if kind in now:
            shown[kind] = now[kind]
    return shown


def _file(side: TelegramSide, kind: str, part: Json | list[Json]) -> Json | None:
    about = part[-1] if isinstance(part, list) else part
    file = side.files.by_id(about["file_id"])
    return {
        "kind": kind,
        "name": file.name,
        "mime_type": file.mime_type,
        "size_bytes": len(file.data),
        "width": about.get("width"),
        "height": about.get("height"),
        "url": f"/control/telegram/file/{file.unique_id}",
    }

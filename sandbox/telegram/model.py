"""What Telegram remembers: people, chats, messages."""

from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Stored:
    """One message in a chat.

    `message` is the Message object as Telegram shows it now; it is replaced, never changed in place.
    `versions` are the earlier ones, oldest first. `reactions` are emoji by user id (text).
    """

    message: Json
    from_bot: bool
    versions: list[Json] = field(default_factory=list)
    deleted_at: float | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    reply_keyboard: Json | None = None
    """A reply keyboard, or its removal, that came with the message: the customer sees it, the Message
    object has none.
    """


@dataclass(slots=True, kw_only=True)
class Chat:
    """A private chat with the bot, or a group the bot is in."""

    info: Json
    messages: dict[int, Stored] = field(default_factory=dict)
    members: list[int] = field(default_factory=list)
    started: bool = True
    """Whether the bot may write: a person must have opened it first."""
    blocked: bool = False
    """The customer has blocked the bot, or the group has removed it."""
    deactivated: bool = False
    migrated_to: int | None = None
    action: str | None = None
    action_at: float = 0.0
    topics: dict[int, str] = field(default_factory=dict)
    """The topics of a forum by the number of the message that opened each."""
    next_message_id: int = 1
    """Used in supergroups, which count for themselves."""

    @property
    def id(self) -> int:
        """The chat id; for a private chat the customer's user id."""
        chat_id: int = self.info["id"]
        return chat_id

    @property
    def is_private(self) -> bool:
        """Whether this is a chat of one customer with the bot."""
        return bool(self.info["type"] == "private")

    def dump(self) -> Json:
        """For the state file."""
        return {
            "info": self.info,
            "members": self.members,
            "started": self.started,
            "blocked": self.blocked,
            "deactivated": self.deactivated,
            "migrated_to": self.migrated_to,
            "next_message_id": self.next_message_id,
            "topics": {str(topic): name for topic, name in self.topics.items()},
            "messages": [asdict_shallow(stored) for stored in self.messages.values()],
        }

    @classmethod
    def load(cls, saved: Json) -> "Chat":
        """From the state file."""
        messages = [Stored(**stored) for stored in saved.pop("messages")]
        topics = {int(topic): name for topic, name in saved.pop("topics", {}).items()}
        return cls(**saved, topics=topics, messages={stored.message["message_id"]: stored for stored in messages})


def asdict_shallow(stored: Stored) -> Json:
    """The fields as they are; `dataclasses.asdict` would copy every message."""
    return {name: getattr(stored, name) for name in Stored.__slots__}


@dataclass(slots=True, kw_only=True)
class Customer:
    """A person with a phone. `user` is their User object."""

    user: Json
    chat_id: int

    def dump(self) -> Json:
        """For the state file."""
        return asdict(self)

"""Where an answer goes: a chat, a topic of a forum in it, or one person's conversation in a group.

The address of an identity is `<chat>`, then `@<person>` where each member of a group has a conversation of their own,
then `/<topic>` where it stands in a topic of a forum: `-1001234@42/7`.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(-?\d+)(?:@(\d+))?(?:/(\d+))?", re.ASCII)


def made(chat: int, *, person: int | None = None, topic: int | None = None) -> str:
    """The address of a chat, of a person in it, of a topic of it."""
    return f"{chat}" + (f"@{person}" if person is not None else "") + (f"/{topic}" if topic is not None else "")


def where(address: str, topic: str | None = None) -> dict[str, object]:
    """What a call of the Bot API says of its place. What is no address of ours is passed on as the chat.

    `topic` is where in the chat, for an address that does not say it itself.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return {"chat_id": address}
    chat, _, own = found.groups()
    number = own or topic
    return {"chat_id": chat} if number is None else {"chat_id": chat, "message_thread_id": int(number)}


def chat_of(address: str) -> str:
    """The chat of an address: messages are named by their number in it."""
    return str(where(address)["chat_id"])


def moved(address: str, chat: str) -> str:
    """The same place in the chat that took the old one's place."""
    found = _ADDRESS.fullmatch(address)
    return chat if found is None else chat + address[len(found[1]) :]

"""The menu that reveals: each option is a reason, and which one was picked stands in the audit trail."""

from __future__ import annotations

from bot.desk import blocks, words
from domain.model import Entry
from handlers.persons import REASONS

MESSAGE = "reveal_message"


def menu(action: str, conversation: str, of: str = "") -> blocks.Block:
    """Reasons to pick from; `of` names what is to be revealed, where it is not the customer."""
    options = [
        {
            "text": blocks.plain(words.say(f"reveal.{reason}")),
            "value": blocks.button_value(conversation, None, f"{reason}:{of}" if of else reason),
        }
        for reason in REASONS
    ]
    return {
        "type": "static_select",
        "action_id": action,
        "placeholder": blocks.plain(words.say("reveal.label")),
        "options": options,
    }


def of_message(entry: Entry) -> blocks.Block:
    """The menu under a masked message."""
    return menu(f"{MESSAGE}:{entry.id}", entry.conversation_id, entry.id)

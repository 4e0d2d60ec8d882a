"""The line of a thread that says which emoji a customer has put on messages."""

from __future__ import annotations

from collections.abc import Sequence

from bot.desk import blocks, words
from bot.desk.entries import QUOTED, Post
from domain import text
from domain.model import Entry

REACTED = 8
"""Messages of which a line says the emoji; of more, those they were put on last."""


def post(standing: Sequence[Entry], about: Sequence[Entry]) -> Post:
    """The one line about a customer's emoji: which stand on which message (`about`, by its beginning), newest last.

    What was taken off again is said of the messages that have none any more.
    """
    known = {entry.id: entry for entry in about}
    by_message: dict[str | None, list[Entry]] = {}
    for entry in standing:
        by_message.setdefault(entry.reply_to, []).append(entry)
    parts = []
    for placed in list(by_message.values())[-REACTED:]:
        earlier = known.get(str(placed[-1].data.get("of", "")))
        said = text.excerpt(earlier.body, QUOTED) if earlier is not None else ""
        what = words.say("thread.quoted", words=said) if said else words.say("thread.earlier_message")
        emoji = " ".join(dict.fromkeys(entry.body for entry in placed if entry.body))
        key = "reacted" if emoji else "reacted_no_more"
        parts.append(words.say(f"thread.{key}", emoji=emoji, what=what))
    line = "\n".join(parts)
    return Post(text=text.escape_mrkdwn(line), blocks=[blocks.grey(part) for part in parts])

"""What stands in a thread that a conversation has left, and at the beginning of the one that it goes on in."""

from __future__ import annotations

from collections.abc import Iterable

from bot.desk import blocks, words
from bot.desk.entries import Post
from bot.desk.words import Names
from domain import text
from domain.model import ActorKind, Entry, EntryKind, Thread
from domain.ports import CardView

LINE = 200
"""Characters of each earlier line: enough to know what it was about."""


def closed_card(card: CardView, link: str | None) -> Post:
    """The old card: whose it was, where it goes on, and nothing to press. It holds no words of the customer."""
    said = f"*#{card.conversation.number}*{blocks.SEPARATOR}{_goes_on(card, link)}"
    return Post(text=said, blocks=[blocks.context(said)])


def closed_line(entry: Entry, card: CardView, names: Names, link: str | None) -> Post:
    """The last line of the old thread, for those who follow it."""
    who = text.escape_mrkdwn(names(entry.actor.id or "") or "")
    by = who if entry.actor.kind is ActorKind.AGENT else ""
    said = words.say("moved.closed", said=_goes_on(card, link, by))
    return Post(text=said, blocks=[blocks.context(said)])


def closed_question(link: str | None) -> Post:
    """What stands of a question whether a line is to leave, in the thread where it is asked no more."""
    said = words.say("held.elsewhere", link=link_to(link, words.say("moved.new_thread")))
    return Post(text=said, blocks=[blocks.context(said)])


def summary(line: str, history: Iterable[Entry], names: Names) -> Post:
    """The first post of the new thread: why it is here, and what was said last."""
    said = [blocks.context(line)]
    elements: list[blocks.Block] = []
    for entry in history:
        words_of_it = text.excerpt(text.clean(entry.body), LINE) or words.kind(
            str(entry.data.get("kind") or "document")
        )
        head = {"type": "text", "text": f"{_who(entry, names)}{words.say('list.colon')}", "style": {"bold": True}}
        elements += [head, {"type": "text", "text": f"{words_of_it}\n"}]
    if elements:
        elements[-1]["text"] = elements[-1]["text"].rstrip("\n")
        said.append({"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": elements}]})
    return Post(text=line, blocks=said)


def link_to(link: str | None, label: str) -> str:
    """A link with words of its own; the words alone where Slack did not say the address."""
    return f"<{text.escape_mrkdwn(link)}|{label}>" if link else label


def place_of(before: str | None) -> Thread | None:
    """Where a conversation stood before, from how it is noted."""
    channel, _, ts = (before or "").partition(":")
    return Thread(channel=channel, ts=ts) if channel and ts else None


def _goes_on(card: CardView, link: str | None, who: str = "") -> str:
    queue = text.escape_mrkdwn(card.queue_title or card.conversation.queue)
    leads = link_to(link, words.say("moved.new_thread"))
    if who:
        return words.say("moved.to_by", queue=queue, link=leads, who=who)
    return words.say("moved.to", queue=queue, link=leads)


def _who(entry: Entry, names: Names) -> str:
    if entry.kind is EntryKind.INCOMING:
        return words.say("moved.customer")
    name = names(entry.actor.id or "") or words.say("moved.agent")
    return words.say("moved.note", who=name) if entry.kind is EntryKind.NOTE else name

"""What people read, text by text: at the desk, in a window, on a page, on a phone; and what of it is not in their
language.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tests.world import World

NAMES: Final = frozenset(
    {"Telegram", "Slack", "Relaydesk", "relaydesk", "UTC", "API", "CRM", "PDF", "kB", "MB", "Maya", "Jonas"}
)
"""Latin words that stand in a Chinese text as they are: products, units, and what people are called in Slack."""
_NOT_WORDS: Final = re.compile(
    r"`[^`]*`|\b[0-9A-HJKMNP-TV-Z]{26}\b|blend-[\w+-]+|<!date[^>]*>|<[@#!][^>]*>|<https?://[^>|]*\|?|https?://\S+|:[a-z0-9_+-]+:|&\w+;|/privacy|\b\w+\.(?:txt|png|jpg|pdf|mov|yaml|html)\b"
)
"""Code, dates and mentions that Slack writes out, addresses, emoji by their names, entities, names of files."""
_LATIN: Final = re.compile(r"[A-Za-z][A-Za-z'-]*[A-Za-z]")
_CHINESE: Final = re.compile(r"[\u3001-\u3011\u3400-\u9fff\uff01-\uff5e]+")
_SHOWN: Final = ("text", "alt_text")
_SEEN: Final = frozenset({"post", "update", "ephemeral", "modal", "home"})


def said(shown: object) -> Iterator[str]:
    """Every text of Block Kit, labels of menus and buttons too."""
    if isinstance(shown, list):
        for one in shown:
            yield from said(one)
    elif isinstance(shown, Mapping):
        yield from (shown[name] for name in _SHOWN if isinstance(shown.get(name), str))
        for one in shown.values():
            if isinstance(one, list | Mapping):
                yield from said(one)


async def at_the_desk(world: World) -> dict[str, set[str]]:
    """What the product has shown so far, by who reads it: a channel, or a person where it was for nobody else."""
    rooms = {one["id"]: one.get("im_user") for one in (await world.look("slack/channels"))["channels"]}
    seen: dict[str, set[str]] = {}
    for record in await world.log(platform="slack"):
        kind, data = record["kind"], record["data"]
        if kind not in _SEEN or data.get("via") == "person":
            continue
        if kind == "home":
            reader = record["key"]
        elif kind in ("ephemeral", "modal"):
            reader = data["user"]
        else:
            reader = rooms.get(data["channel"]) or data["channel"]
        seen.setdefault(reader, set()).update(one for one in said(data) if one.strip())
    return seen


async def on_the_phone(world: World, chat_id: int) -> set[str]:
    """What a customer has read of ours so far: messages as they were and are, what buttons say, answers to taps."""
    seen: set[str] = set()
    taps: set[str] = set()
    for record in await world.log(platform="telegram"):
        kind, data, is_here = record["kind"], record["data"], record["key"].startswith(f"{chat_id}:")
        if kind == "customer_press" and is_here:
            taps.add(data["query_id"])
        if record["key"] in taps or (kind in ("bot_message", "bot_edit") and is_here):
            seen |= {str(data[name]) for name in ("text", "caption") if data.get(name)}
            seen |= set(said(data.get("reply_markup") or {}))
    return seen


def english(text: str, own: Collection[str] = ()) -> set[str]:
    """The English words of a text, but for people's `own` words, names, code and addresses."""
    return {word for word in _LATIN.findall(_without(text, own)) if word not in NAMES}


def chinese(text: str, own: Collection[str] = ()) -> set[str]:
    """The Chinese in a text, full-width signs too, but for people's `own` words."""
    return set(_CHINESE.findall(_without(text, own)))


def _without(text: str, own: Collection[str]) -> str:
    for words in sorted(own, key=len, reverse=True):
        text = text.replace(words, " ")
    return _NOT_WORDS.sub(" ", text)


def only(language: str, texts: Collection[str], own: Collection[str] = ()) -> dict[str, set[str]]:
    """What should not be there for a reader of this language ("en" or "zh"), by the text that it stands in."""
    foreign = english if language == "zh" else chinese
    return {text: found for text in sorted(texts) if (found := foreign(text, own))}


async def misread(
    world: World, language: str, others: Mapping[str, str], own: Collection[str] = ()
) -> dict[str, dict[str, set[str]]]:
    """What the desk has shown somebody that is not in their language, by who reads it.

    `language` is that of everybody but `others`, who are named with theirs: people, and channels.
    """
    seen = await at_the_desk(world)
    found = {reader: only(others.get(reader, language), texts, own) for reader, texts in seen.items()}
    return {reader: texts for reader, texts in found.items() if texts}

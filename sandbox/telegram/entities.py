"""Text with entities: parse modes, limits in UTF-16 units, and what Telegram refuses about them."""

import re
from typing import Any
from urllib.parse import urlsplit

from sandbox.telegram import html_mode, markdown_mode
from sandbox.telegram.errors import bad_request
from sandbox.telegram.params import Params

Json = dict[str, Any]

MAX_TEXT = 4096
MAX_CAPTION = 1024
KINDS = frozenset(
    {
        "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic",
        "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre",
        "text_link", "text_mention", "custom_emoji",
    }
)  # fmt: skip
FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+[^\s<>\".,;:!?)\]'])"
    r"|(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?<![\w/])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?)(?![\w/])"
    r"|(?<![\w@])(?P<mention>@[A-Za-z]\w{3,31})"
    r"|(?<![\w#])(?P<hashtag>#\w*[^\W\d]\w*)"
)
HAS_ENTITY = re.compile(r"[/@#:]")


def utf16_length(text: str) -> int:
    """The length as Telegram counts it: characters outside the basic plane are two."""
    return len(text) + sum(char > "\uffff" for char in text) if not text.isascii() else len(text)


def find(text: str) -> list[Json]:
    """What Telegram recognises by itself: addresses, commands, mentions, hashtags."""
    if not HAS_ENTITY.search(text):
        return []
    return [
        {
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match.group()),
            "type": match.lastgroup,
        }
        for match in FOUND.finditer(text)
    ]


def read(params: Params, name: str) -> tuple[str, list[Json]]:
    """The text or caption of a call, parsed and checked, with its entities. ApiError where Telegram refuses.

    `name` is `text` or `caption`. An empty text is refused, an empty caption is not.
    """
    is_text = name == "text"
    raw = params.text(name)
    if is_text and not raw:
        raise bad_request("message text is empty")
    if any("\ud800" <= char <= "\udfff" for char in raw):
        raise bad_request("strings must be encoded in UTF-8")
    text, entities = _parse(params, raw, "entities" if is_text else "caption_entities")
    text, entities = _trim(text, entities)
    if is_text and not text:
        raise bad_request("text must be non-empty")
    length = utf16_length(text)
    if length > (MAX_TEXT if is_text else MAX_CAPTION):
        raise bad_request("message is too long" if is_text else "message caption is too long")
    taken = [(entity["offset"], entity["offset"] + entity["length"]) for entity in entities]
    entities += [
        found
        for found in find(text)
        if all(found["offset"] >= end or found["offset"] + found["length"] <= start for start, end in taken)
    ]
    entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return text, entities


def _parse(params: Params, raw: str, given: str) -> tuple[str, list[Json]]:
    mode = params.text("parse_mode").lower()
    if mode == "html":
        return _convert(*html_mode.parse(raw))
    if mode == "markdownv2":
        return _convert(*markdown_mode.parse(raw))
    if mode == "markdown":
        return _convert(*markdown_mode.parse_legacy(raw))
    if mode not in ("", "none"):
        raise bad_request("unsupported parse_mode")
    entities = params.parsed(given, "can't parse entities JSON object")
    return raw, _checked(raw, entities) if entities else []


def _convert(text: str, spans: list[tuple[int, int, Json]]) -> tuple[str, list[Json]]:
    """Spans in characters become entities in UTF-16 units; links that are no links are only text, as in
    Telegram.
    """
    entities = []
    for start, end, about in spans:
        if end <= start or (about["type"] == "text_link" and not _is_link(about)):
            continue
        offset = utf16_length(text[:start])
        entities.append({"offset": offset, "length": utf16_length(text[start:end]), **about})
    return text, entities


def _is_link(about: Json) -> bool:
    url: str = about["url"]
    if "://" not in url and not url.startswith(("tg:", "mailto:")):
        url = about["url"] = f"http://{url}/" if "/" not in url else f"http://{url}"
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "tg", "mailto") and (
        "." in parts.netloc or parts.scheme in ("tg", "mailto")
    )


def _checked(text: str, entities: object) -> list[Json]:
    if not isinstance(entities, list):
        raise bad_request("can't parse entities JSON object")
    length = utf16_length(text)
    checked = []
    for entity in entities:
        if not isinstance(entity, dict):
            raise bad_request("can't parse MessageEntity: expected an Object")
        if entity.get("type") not in KINDS:
            raise bad_request("can't parse MessageEntity: Unsupported type specified")
        offset, size = entity.get("offset"), entity.get("length")
        if not isinstance(offset, int) or offset < 0:
            raise bad_request(f"receive an entity with incorrect offset {offset}")
        if not isinstance(size, int) or size < 0:
            raise bad_request(f"receive an entity with incorrect length {size}")
        if entity["type"] == "text_link" and not entity.get("url"):
            raise bad_request("can't parse MessageEntity: Can't find field \"url\"")
        if size == 0:
            continue
        if offset >= length:
            raise bad_request(f"entity begins after the end of the text at UTF-16 offset {offset}")
        if offset + size > length:
            end = offset + size
            raise bad_request(
                f"entity beginning at UTF-16 offset {offset} ends after the end of the text at UTF-16 offset {end}"
            )
        checked.append(dict(entity))
    return checked


def _trim(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Telegram takes white space off both ends."""
    trimmed = text.strip()
    if trimmed == text:
        return text, entities
    removed = utf16_length(text[: len(text) - len(text.lstrip())])
    length = utf16_length(trimmed)
    kept = []
    for entity in entities:
        start = max(0, entity["offset"] - removed)
        end = min(length, entity["offset"] - removed + entity["length"])
        if end > start:
            kept.append({**entity, "offset": start, "length": end - start})
    return trimmed, kept

"""What the bot sends as one: several files under one media_group_id."""

import json

from sandbox.telegram import entities, media, sending
from sandbox.telegram.errors import bad_request
from sandbox.telegram.model import Json
from sandbox.telegram.params import Params
from sandbox.telegram.side import TelegramSide

SIZES = range(2, 11)
"""How many files an album holds."""
TOGETHER = (frozenset({"photo", "video"}), frozenset({"document"}), frozenset({"audio"}))
"""Which kinds of files one album may hold."""


def send_media_group(side: TelegramSide, params: Params) -> list[Json]:
    """The method sendMediaGroup: all of it or nothing. A refusal names the place, counted from 1."""
    wanted = params.parsed("media", "can't parse media JSON object")
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise bad_request("can't parse media JSON object")
    if len(wanted) not in SIZES:
        raise bad_request("there must be between 2 and 10 input media items")
    kinds = frozenset(str(one.get("type")) for one in wanted)
    if not any(kinds <= allowed for allowed in TOGETHER):
        raise bad_request("the given media types can't be mixed in an album")
    chat = side.target(params)
    contents = [_content(side, params, one) for one in wanted]
    group = str(side.now() * 1000 + side.next_message_id)
    return [sending.post(side, chat, params, {**content, "media_group_id": group}) for content in contents]


def _content(side: TelegramSide, params: Params, one: Json) -> Json:
    """One file of the album with its caption."""
    about = {name: value if isinstance(value, str) else json.dumps(value) for name, value in one.items()}
    caption, found = entities.read(Params(about), "caption")
    place, kind = str(one.get("media", "")), str(one.get("type"))
    field = place.removeprefix("attach://") if place.startswith("attach://") else kind
    source = params if place.startswith("attach://") else Params({field: place})
    content = media.part(media.from_field(side.files, source, field, kind))
    if caption:
        content["caption"] = caption
        if found:
            content["caption_entities"] = found
    return content

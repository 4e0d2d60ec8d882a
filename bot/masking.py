"""What of a customer's words the desk is given, where a queue or a channel asks for less: masked at the edge.

The record keeps everything; here it is masked on its way out, at the moment of sending. A message that lost something
says so (`masked` in its data), so that the desk can offer to reveal it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from bot.batcher import Batcher
from bot.desk import words
from bot.unsent import NothingToSend
from domain import albums, privacy
from domain.model import Entry, EntryKind
from domain.ports import CardView, DeskDelivery, File
from domain.routing import Mask
from domain.rulebook import Rulebook
from storage.views import View

KEPT_FILE: Final = "kept_away"
"""Why a file is not shown."""
REVEALED_AT_MOST: Final = 3000
"""Characters of a revealed message: Slack takes no more in one text."""
_NAMES: Final = frozenset({"forwarded_from"})
"""Details that are a person's name, which no pattern finds."""
_PLUS: Final = re.compile(r"_(?=\d{9,15}(?!\d))")
_AT: Final = re.compile(r"_(?=[a-zA-Z\d-]+(?:\.[a-zA-Z\d-]+)*\.[a-zA-Z]{2,}$)")
_THEIRS: Final = (EntryKind.INCOMING, EntryKind.INCOMING_EDIT)


class Edge:
    """Masks what goes to the desk, and answers whoever asks for what is behind a mask."""

    def __init__(
        self,
        *,
        rules: Rulebook,
        views: Batcher[View],
        entries: Batcher[Entry],
    ) -> None:
        self._rules = rules
        self._views = views
        self._entries = entries

    def delivery(self, made: DeskDelivery) -> DeskDelivery:
        """What goes into a thread, as its channel and its queue may have it."""
        queue = "" if made.card is None else made.card.conversation.queue
        return delivery(made, self._rules.mask_in(made.place, queue))

    async def because(
        self, data: Mapping[str, Any], why: Callable[[str], Awaitable[Mapping[str, str]]]
    ) -> Mapping[str, Any]:
        """Why it was sorted as it was; the customer's words that speak for it stay where the others do."""
        view = await self._views.get(str(data["conversation"]))
        if view is not None and self._mask(view) != "none":
            return {**data, "text": "why_masked"}
        return {**data, **await why(str(data["conversation"]))}

    async def before(self, conversation: str, said: Iterable[Entry]) -> tuple[Entry, ...]:
        """What was said in a conversation that goes on in another: as its own place may have it, wherever it goes."""
        view = await self._views.get(conversation)
        return () if view is None else _all(said, self._mask(view))

    async def transcript(self, conversation: str, said: Iterable[Entry]) -> tuple[Entry, ...]:
        """A whole conversation, as its channel and its queue may have it."""
        view = await self._views.get(conversation)
        if view is None:
            raise NothingToSend("conversation_gone")
        return _all(said, self._mask(view))

    def _mask(self, view: View) -> Mask:
        return self._rules.mask_in(view.conversation.thread.channel, view.conversation.queue)

    async def revealed(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """A masked message in the clear, for whoever gave a reason; checked and audited when it was decided."""
        found = await self._entries.get(str(data["entry"]))
        if found is None or found.conversation_id != data.get("conversation"):
            raise NothingToSend("entry_gone")
        parts = [found.body, *_beside(found), *(file.name for file in found.attachments)]
        return {**data, "said": "\n".join(part for part in parts if part)[:REVEALED_AT_MOST]}


def delivery(given: DeskDelivery, mask: Mask) -> DeskDelivery:
    """A delivery as this channel may have it."""
    if mask == "none":
        return given
    return replace(
        given,
        card=None if given.card is None else card(given.card, mask),
        entry=None if given.entry is None else entry(given.entry, mask),
        earlier=None if given.earlier is None else entry(given.earlier, mask),
        company=_all(given.company, mask),
        told=_all(given.told, mask),
        history=_all(given.history, mask),
        file=_file(given.file, mask),
        data={**given.data, "reason": KEPT_FILE} if mask == "everything" and given.entry else given.data,
    )


def card(given: CardView, mask: Mask) -> CardView:
    """A card without the customer's whole name, and with their words masked."""
    return replace(
        given,
        customer_name=privacy.mask_name(given.customer_name),
        excerpt=said(given.excerpt, mask),
        came_about=() if mask == "everything" else tuple(privacy.mask(one) for one in given.came_about),
        carried=_all(given.carried, mask),
    )


def entry(given: Entry, mask: Mask) -> Entry:
    """A line of the timeline with the customer's words masked; colleagues' words are their own."""
    if given.kind not in _THEIRS or mask == "none":
        return given
    strict = mask == "everything"
    shown = replace(
        given,
        body=said(given.body, mask),
        details={} if strict else {name: _detail(name, value) for name, value in given.details.items()},
        attachments=tuple(
            replace(file, name=file.kind if strict else filename(file.name)) for file in given.attachments
        ),
    )
    is_less = (shown.body, shown.details, shown.attachments) != (given.body, given.details, given.attachments)
    return replace(shown, data={**given.data, "masked": True}) if is_less else given


def said(text: str, mask: Mask) -> str:
    """Words as this channel may have them."""
    if mask == "none" or not text:
        return text
    return words.say("thread.kept_away") if mask == "everything" else privacy.mask(text)


def filename(name: str) -> str:
    """A file's name without the personal data in it.

    "_" stands in it for a space, and for a plus or an at sign that no system takes: it is read as each of them.
    """
    name = privacy.mask(name)
    stem, dot, extension = name.rpartition(".")
    stem = stem if dot else name
    for read, char in ((_PLUS, "+"), (_AT, "@")):
        read_as = read.sub(char, stem).replace("_", " ")
        for finding in reversed(privacy.findings(read_as)):
            stem = f"{stem[: finding.begin]}[{finding.kind}]{stem[finding.end :]}"
    return f"{stem}.{extension}" if dot else stem


def _file(given: File | None, mask: Mask) -> File | None:
    """A file under the name that its channel may have; its bytes are fetched only when it is uploaded."""
    return None if given is None or mask == "everything" else replace(given, name=filename(given.name))


def _beside(given: Entry) -> Iterable[str]:
    """What came with a message; the captions of an album stand in its words already."""
    return (value for name, value in given.details.items() if not name.startswith(albums.CAPTION))


def _detail(name: str, value: str) -> str:
    return privacy.mask_name(value) if name in _NAMES else privacy.mask(value)


def _all(given: Iterable[Entry], mask: Mask) -> tuple[Entry, ...]:
    return tuple(entry(one, mask) for one in given)

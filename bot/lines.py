"""Lines about what a customer changes again and again: what each shows, and where it stands already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace

from bot.batcher import Batcher
from bot.shown import posted_at
from bot.unsent import NothingToSend, NotReady
from domain import albums
from domain.changes import Delivered
from domain.model import Entry
from domain.ports import DeskDelivery
from storage.stretches import Stretch, Stretches

TOLD_BEHIND = "told_behind"


class Lines:
    """Looks up the one line of a quiet stretch: the emoji a customer put on messages, the changes of one message."""

    def __init__(
        self,
        stretches: Stretches,
        entries: Batcher[Entry],
        delivered: Batcher[list[Delivered]],
        lately: Callable[[str], Awaitable[list[Entry]]],
        worded: Callable[[Sequence[Entry]], Awaitable[list[Entry]]],
    ) -> None:
        self._stretches = stretches
        self._lately = lately  # a conversation's newest messages
        self._worded = worded  # messages in their newest words
        self._entries = entries
        self._delivered = delivered

    async def reactions(self, delivery: DeskDelivery, entry: Entry, *, is_sought: bool) -> DeskDelivery:
        """The emoji that stand now on the messages they were put on, or taken off, in this stretch.

        Where nothing of it stands, the earlier line that told of them is changed. Raises NothingToSend where all were
        taken off before anybody saw them or a row behind this one tells of them, and NotReady while the message is not
        posted. `is_sought` says that it may have been posted already, and is looked for and not made.
        """
        stretch = await self._stretches.around(entry)
        if stretch.waits:
            raise NotReady
        said = await self._read(stretch.since)
        line = await self._standing(delivery, await self._last(stretch, said))
        # Those behind what was said meanwhile had no row of their own while this one waited: they are told of here.
        anew = line is None or stretch.since[-1] not in stretch.here
        if line is None and stretch.behind and not is_sought:
            touched = _left_to_it(stretch, said)
        else:
            touched = {one.reply_to for one in said if anew or one.id in stretch.here}
        placed = _newest(said, touched)
        if line is None and not any(one.body for one in placed):
            told = None if stretch.before is None else await self._entries.get(stretch.before)
            if told is None:
                raise NothingToSend("taken_back")
            return await self._earlier(delivery, told)
        return replace(delivery, told=placed, company=await self._about(placed), line_ts=line)

    async def _earlier(self, delivery: DeskDelivery, told: Entry) -> DeskDelivery:
        """The line of an earlier stretch, of which something was taken off: as it is now for that message."""
        stretch = await self._stretches.around(told)
        line = await self._standing(delivery, stretch.here)
        if line is None:
            raise NothingToSend("taken_back")
        said = await self._read(stretch.since)
        touched = {one.reply_to for one in said if one.id in stretch.here}
        placed = _newest(said, touched)
        return replace(delivery, told=placed, company=await self._about(placed), line_ts=line)

    async def _last(self, stretch: Stretch, said: Sequence[Entry]) -> tuple[str, ...]:
        """The changes of the stretch that the newest one belongs to: its line is where the thread ends."""
        if stretch.since[-1] in stretch.here or not said:
            return stretch.here
        return (await self._stretches.around(said[-1])).here

    async def edit(self, delivery: DeskDelivery, entry: Entry, *, is_sought: bool) -> DeskDelivery:
        """A message in its newest words, with those it had before this stretch.

        Raises NothingToSend where a row behind this one tells of them; `is_sought` as for `reactions`.
        """
        stretch = await self._stretches.around(entry)
        if stretch.waits:
            raise NotReady
        said = await self._read(stretch.since)
        earlier = await self._entries.get(stretch.before or str(entry.data.get("of", "")))
        earlier = earlier or await self._part(entry)
        line = await self._standing(delivery, await self._last(stretch, said))
        if line is None and stretch.behind and stretch.since[-1] not in stretch.here and not is_sought:
            raise NothingToSend(TOLD_BEHIND)
        return replace(delivery, entry=said[-1] if said else entry, earlier=earlier, line_ts=line)

    async def _part(self, entry: Entry) -> Entry | None:
        """A part of an album with the words it had, where what was changed is one and not the message itself."""
        name = f"{albums.CAPTION}{entry.reply_to}"
        for one in await self._lately(entry.conversation_id):
            if name in one.details:
                return replace(one, body=one.details[name], details={}, attachments=())
        return None

    async def _about(self, placed: Sequence[Entry]) -> tuple[Entry, ...]:
        """The messages that emoji are on, as their customer has left them."""
        about = await self._read(dict.fromkeys(str(one.data["of"]) for one in placed if "of" in one.data))
        return tuple(await self._worded(about))

    async def _read(self, ids: Sequence[str] | dict[str, None]) -> list[Entry]:
        found = await asyncio.gather(*(self._entries.get(one) for one in ids))
        return [one for one in found if one is not None]

    async def _standing(self, delivery: DeskDelivery, ids: Sequence[str]) -> str | None:
        """Where the line of a stretch stands in this thread: the newest, as one that was deleted is posted anew."""
        found = await asyncio.gather(*(self._delivered.get(one) for one in ids))
        root = str(delivery.thread_ts)
        posts = [
            post
            for several in found
            for post in several or ()
            if post.side == "desk" and post.place == delivery.place and post.platform_id > root
        ]
        line = max(posts, key=posted_at, default=None)
        return None if line is None else line.platform_id


def _left_to_it(stretch: Stretch, said: Sequence[Entry]) -> set[str | None]:
    """The messages of which no row behind this one tells. Raises NothingToSend where there are none.

    One in the same stretch tells of all that this one could. One behind what was said meanwhile tells of what was
    changed since; it was made while this one was being sent, or when nobody knew whether it had been.
    """
    if stretch.since[-1] in stretch.here:
        return {one.reply_to for one in said if one.id in stretch.here}
    later = {one.reply_to for one in said if one.id not in stretch.here}
    left = {one.reply_to for one in said if one.id in stretch.here} - later
    if stretch.behind & set(stretch.here) or not left:
        raise NothingToSend(TOLD_BEHIND)
    return left


def _newest(said: Sequence[Entry], touched: Container[str | None]) -> tuple[Entry, ...]:
    """What each person has left on each of these messages, those that were changed last behind the others."""
    newest: dict[tuple[str | None, str | None], Entry] = {}
    for one in said:
        if one.reply_to in touched:
            who = one.reply_to, one.details.get("by")
            newest.pop(who, None)
            newest[who] = one
    return tuple(newest.values())

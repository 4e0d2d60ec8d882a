"""Where the files of an export come from: what is kept, else the chat platform's and the desk's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from domain.errors import DeliveryError
from domain.model import Entry, EntryKind
from domain.ports import Channel, Desk, File

if TYPE_CHECKING:
    from bot.export import OpenFile
    from bot.settings import Settings
    from storage.attachments import Attachments


AGENTS = (EntryKind.OUTGOING, EntryKind.NOTE)


def opener(channels: Mapping[str, Channel], desk: Desk | None, kept: Attachments) -> OpenFile:
    """Opens files that are kept, else those of these platforms; without a desk none of theirs.

    A customer's file is asked for at each chat platform in turn.
    """

    async def open_file(entry: Entry, part: int) -> File:
        found = await kept.find(entry, part, lambda: platforms(entry, part))
        return found if found is not None else await platforms(entry, part)

    async def platforms(entry: Entry, part: int) -> File:
        attachment = entry.attachments[part]
        if attachment.problem is not None:
            raise DeliveryError(attachment.problem)
        if desk is None:
            raise DeliveryError("not_asked_for")
        if entry.kind in AGENTS:
            return await desk.open_file(attachment)
        last = DeliveryError("no_channel")
        for channel in channels.values():
            try:
                return await channel.open_file(attachment)
            except DeliveryError as error:
                last = error
        raise last

    return open_file


@asynccontextmanager
async def files_of(settings: Settings, kept: Attachments, *, wanted: bool) -> AsyncIterator[OpenFile]:
    """What is kept, and where they are wanted the platforms of a configuration, for a command that fetches files."""
    if not wanted:
        yield opener({}, None, kept)
        return
    from bot import platforms, times

    async with AsyncExitStack() as stack:
        clock = times.Timekeeper(settings.clock.source)
        channels = platforms.build_channels(settings, clock)
        desk = platforms.build_desk(settings, clock)
        stack.push_async_callback(desk.close)
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        yield opener(channels, desk, kept)

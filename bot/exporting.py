"""Where the files of an export come from: the chat platform for the customer's, the desk for the agents'."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from domain.errors import DeliveryError
from domain.model import Attachment
from domain.ports import Channel, Desk, File

if TYPE_CHECKING:
    from bot.export import OpenFile
    from bot.settings import Settings


def opener(channels: Mapping[str, Channel], desk: Desk) -> OpenFile:
    """Opens files of these platforms. A customer's file is asked for at each chat platform in turn."""

    async def open_file(side: str, attachment: Attachment) -> File:
        if side == "agent":
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
async def files_of(settings: Settings, *, wanted: bool) -> AsyncIterator[OpenFile | None]:
    """The platforms of a configuration, for a command that fetches files; None where none are wanted."""
    if not wanted:
        yield None
        return
    from bot import app, times

    async with AsyncExitStack() as stack:
        clock = times.Timekeeper(settings.clock.source)
        channels = app.build_channels(settings, clock)
        desk = app.build_desk(settings, clock)
        stack.push_async_callback(desk.close)
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        yield opener(channels, desk)

"""While an answer waits to be called back or to leave, the customer sees that it is coming."""

from __future__ import annotations

from collections.abc import Mapping

from domain.changes import ANSWER_KINDS, Changes
from domain.model import Identity
from domain.ports import Channel


def show(channels: Mapping[str, Channel], identity: Identity | None, decided: Changes) -> None:
    """Show it in the chat of an answer that waits; one that leaves at once needs no word about it. Never waits."""
    channel = channels.get(identity.channel) if identity is not None else None
    if identity is None or channel is None:
        return
    if any(one.kind in ANSWER_KINDS and one.hold for one in decided.outbox):
        channel.show_typing(identity.address)

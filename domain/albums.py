"""Files that a customer sent as one: the platform tells of each by itself, without saying how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from domain.events import CustomerMessage, Event

SETTLE = timedelta(seconds=1.5)
"""So long after its newest part an album may still grow."""
KIND = "album"
CAPTION = "caption "
"""The words of one part stand in the details under this and its id, beside those of the whole."""


def belongs(message: CustomerMessage, to: Event) -> bool:
    """Whether a message is a further part of the album of another one."""
    if message.group is None or not isinstance(to, CustomerMessage):
        return False
    return (message.group, message.customer.address) == (to.group, to.customer.address)


def may_grow(event: Event) -> bool:
    """Whether more parts of it may come."""
    return isinstance(event, CustomerMessage) and event.group is not None


def joined(parts: Sequence[CustomerMessage]) -> CustomerMessage:
    """The parts as one message, in their order: that of the part which has the words, if any has."""
    if len(parts) == 1:
        return parts[0]
    lead = next((part for part in parts if part.text), parts[0])
    return replace(
        lead,
        at=parts[0].at,
        kind=KIND,
        text="\n".join(part.text for part in parts if part.text),
        attachments=tuple(file for part in parts for file in part.attachments),
        reply_to=next((part.reply_to for part in parts if part.reply_to), None),
        details={name: words for part in reversed(parts) for name, words in part.details.items()}
        | {f"{CAPTION}{part.message_id}": part.text for part in parts if part is not lead and part.text},
    )

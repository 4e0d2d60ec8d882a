"""What somebody can read who got hold of parts of the house: for the notification that the law wants within days."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Part(StrEnum):
    """What may leak."""

    RECORD = "record"  # the database, a replica or a backup of it
    KEYSTORE = "keystore"  # the key store, or a backup of it
    MASTER = "master"  # the master key
    SLACK = "slack"  # a Slack token, or somebody's Slack account
    TELEGRAM = "telegram"  # the bot's token
    EXPORT = "export"  # a zip that was written with privacy export


class Reach(StrEnum):
    """What that lets a stranger do, the worst first."""

    CONTENT = "content"  # read names, addresses and messages of everybody who was not erased
    THREADS = "threads"  # read what stands in the Slack threads
    TRAFFIC = "traffic"  # read what is written from now on, write as the bot, learn chat numbers of the last day
    SHAPE = "shape"  # see how many, when, which queues and topics; no name and no word
    NONE = "none"  # nothing without another part


_OPENS = frozenset({Part.RECORD, Part.KEYSTORE, Part.MASTER})


def reach(leaked: Collection[Part]) -> tuple[Reach, ...]:
    """What these parts together let somebody do, the worst first. An export is one customer's: see the audit trail."""
    found = []
    if set(leaked) >= _OPENS:
        found.append(Reach.CONTENT)
    if Part.SLACK in leaked:
        found.append(Reach.THREADS)
    if Part.TELEGRAM in leaked:
        found.append(Reach.TRAFFIC)
    if Part.RECORD in leaked and Reach.CONTENT not in found:
        found.append(Reach.SHAPE)
    return tuple(found) or (Reach.NONE,)

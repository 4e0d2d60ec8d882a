"""Lines in the operator's channel: what only whoever runs the desk can mend."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bot.ids import new_id
from domain.changes import DeliveryKind, Outgoing

CLOSURES: Final = {"is_archived": "channel_archive", "not_in_channel": "removed"}
"""How Slack tells of a closed channel by an event, by how it refuses a post there."""


def operator_notice(place: str, key: str, data: dict[str, str | None]) -> Outgoing:
    """A line in the operator's channel, once for each `key`. `data` names a fixed text and its values but no place."""
    return Outgoing(
        id=new_id(),
        lane=f"notice:{place}",
        bucket=f"slack:{place}",
        kind=DeliveryKind.DESK_NOTICE,
        idem_key=f"notice:{key}"[:120],
        urgency=3,
        data={**data, "place": place},
    )


def dead_letter_notice(place: str, now: datetime) -> Outgoing:
    """The operator is told that something was set aside: once a day, whatever it was."""
    return operator_notice(place, f"dead:{now:%Y-%m-%d}", {"text": "dead_letter", "place": place})


def closed_notice(place: str, kind: str, channel: str, now: datetime) -> Outgoing:
    """The operator is told that a channel is closed to us: once a day, whether an event or a refused post says it.

    `kind` is one of the values of CLOSURES.
    """
    data: dict[str, str | None] = {"text": "desk_changed", "kind": kind, "channel": channel}
    return operator_notice(place, f"closed:{kind}:{channel}:{now:%Y-%m-%d}", data)

"""Lines in the operator's channel: what only whoever runs the desk can mend."""

from __future__ import annotations

from datetime import datetime

from bot.ids import new_id
from domain.changes import DeliveryKind, Outgoing


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

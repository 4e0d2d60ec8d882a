"""How often a line that changes in place is changed: at once while it is calm, seldom while somebody plays with it."""

from __future__ import annotations

from datetime import timedelta

from domain.changes import DeliveryKind
from domain.errors import RetryLater
from domain.ports import CardView
from storage.outbox import Waiting

AT_ONCE = 2
"""Changes of one line that are shown as they come."""
EVERY = timedelta(seconds=20)
"""After these, one in such a time: it shows all that was changed meanwhile."""
KEPT = 2000
"""Lines that are remembered."""


class Pace:
    """Counts the changes of each lane in this process; what is forgotten is merely changed at once again."""

    def __init__(self) -> None:
        self._until: dict[str, timedelta] = {}

    def gather(self, row: Waiting, card: CardView | None, now: timedelta) -> None:
        """Raise RetryLater for a line or card that is changed again and again: later it shows the last of it.

        `now` is by the steady clock (`times.steady`).

        A card on which anything but the customer's words has changed since is shown at once.
        """
        if not row.data.get("changing") or row.unclear or card is None:
            return
        conversation = card.conversation
        if row.kind is DeliveryKind.DESK_UPDATE and conversation.version > conversation.customer_version:
            return
        self.take(row.lane, now)

    def take(self, lane: str, now: timedelta) -> None:
        """Take a turn. Raises RetryLater, with the time to wait, where the lane has none left."""
        free = max(self._until.pop(lane, now), now)
        wait = free - now - (AT_ONCE - 1) * EVERY
        taken = wait <= timedelta(0)
        self._until[lane] = free + EVERY if taken else free
        if len(self._until) > KEPT:
            del self._until[next(iter(self._until))]
        if not taken:
            raise RetryLater("changes_gathered", "it was changed several times just now", after=wait)

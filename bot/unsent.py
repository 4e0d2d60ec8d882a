"""Why a row of the outbox is not sent now, or at all."""

from __future__ import annotations

from domain.errors import RelaydeskError
from domain.model import Entry, EntryKind
from storage.views import View


class NotReady(RelaydeskError):
    """The card this belongs under is not posted yet: look again in a moment."""


class NothingToSend(RelaydeskError):
    """What was to be sent is shown already, or nobody is there to see it; `reason` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def still_asked(entry: Entry, view: View) -> None:
    """Raise NothingToSend for a spot check whose topic a person has chosen meanwhile."""
    if entry.kind is EntryKind.CHECK and view.conversation.label_by_human:
        raise NothingToSend("answered_already")


def still_due(entry: Entry, view: View) -> None:
    """Raise NothingToSend where what an alert asks for was done while it waited to be sent."""
    clock = (entry.data.get("metric"), entry.data.get("instance"))
    row = next((row for row in view.clocks if (row.metric.value, row.instance) == clock), None)
    if row is None or row.stopped_at is not None:
        raise NothingToSend("done_meanwhile")

"""Why a row of the outbox is not sent now, or at all."""

from __future__ import annotations

from domain.errors import RelaydeskError


class NotReady(RelaydeskError):
    """The card this belongs under is not posted yet: look again in a moment."""


class NothingToSend(RelaydeskError):
    """What was to be sent is shown already, or nobody is there to see it; `reason` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

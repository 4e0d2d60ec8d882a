"""Lines in the operator's channel: what only whoever runs the desk can mend, and that it is mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from bot import times, verdicts
from bot.ids import new_id
from domain.changes import DeliveryKind, Outgoing
from storage.outbox import Outcome, Waiting

CLOSURES: Final = {"is_archived": "channel_archive", "not_in_channel": "removed"}
"""How Slack tells of a closed channel by an event, by how it refuses a post there."""
CLOSED: Final = frozenset(
    {
        "account_inactive",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "team_not_found",
        "token_expired",
        "token_revoked",
    }
)
"""Refusals of the token or the workspace: nothing can be said at the desk. Any other is of one channel or method."""
MOST_RETURNS: Final = 3
"""So often a day a place is said to work again; of one that comes and goes the last word is then that it is closed."""


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
    return operator_notice(place, f"dead:{today(now)}", {"text": "dead_letter", "place": place})


def closed_notice(place: str, kind: str, channel: str, day: str) -> Outgoing:
    """The operator is told that a channel is closed to us: once for each `day`, by an event or by a refused post.

    `kind` is one of the values of CLOSURES.
    """
    data: dict[str, str | None] = {"text": "desk_changed", "kind": kind, "channel": channel}
    return operator_notice(place, f"closed:{kind}:{channel}:{day}", data)


class Reports:
    """What the operator and whoever is on call hear of deliveries: once a day of each, and again once it has worked."""

    def __init__(self, place: str | None, *, on_call: bool, now: Callable[[], datetime] = times.real) -> None:
        self._place = place
        self._on_call = on_call
        self._now = now
        self._returns: dict[tuple[str, str], tuple[date, int]] = {}

    def of(self, outcome: Outcome) -> list[Outgoing]:
        """What is said of one that was settled: that it is dead, or that its access is gone."""
        return [line for line in (self._line(outcome), self._call_for_help(outcome)) if line is not None]

    def restored(self, row: Waiting, reason: str) -> Outgoing | None:
        """What is said once a place that was closed to us for this reason has taken a delivery again."""
        where = _where(row, reason)
        if self._place is None or where == self._place:
            return None
        count = self._returned(reason, where)
        if count == MOST_RETURNS:
            return None
        self._returns[reason, where] = (self._now().date(), count + 1)
        data: dict[str, str | None] = {"text": "works_again", "where": where}
        return operator_notice(self._place, f"works:{reason}:{where}:{self._day(count)}", data)

    def _line(self, outcome: Outcome) -> Outgoing | None:
        row, reason = outcome.claim.row, str(outcome.reason)
        if self._place is None:
            return None
        if outcome.state == "dead" and not row.kind.to_customer and row.kind not in verdicts.COSMETIC:
            return dead_letter_notice(self._place, self._now())  # of an answer that is dead its agent is told
        if not _is_refused(outcome):
            return None
        where = _where(row, reason)
        if not row.kind.to_customer and (reason in CLOSED or where == self._place):
            return None
        day = self._day(self._returned(reason, where))
        if not row.kind.to_customer and (kind := CLOSURES.get(reason)) is not None:
            return closed_notice(self._place, kind, where, day)
        data: dict[str, str | None] = {"text": "access_revoked", "where": where, "reason": reason}
        return operator_notice(self._place, f"access:{reason}:{where}:{day}", data)

    def _call_for_help(self, outcome: Outcome) -> Outgoing | None:
        """The same to the on-call service, once a day, where the whole desk is closed to us: nobody reads it there."""
        row, reason = outcome.claim.row, outcome.reason
        is_closed = _is_refused(outcome) and reason in CLOSED
        if not self._on_call or not is_closed or not row.kind.value.startswith("desk."):
            return None
        return Outgoing(
            id=new_id(),
            lane="hook:access",
            bucket="hook:alerts",
            kind=DeliveryKind.HOOK_ALERT,
            idem_key=f"hook:access:{reason}:{self._day()}"[:120],
            urgency=3,
            data={"event": "access_revoked", "where": "slack", "reason": reason},
        )

    def _returned(self, reason: str, where: str) -> int:
        """How often it has worked again today."""
        day, count = self._returns.get((reason, where), (None, 0))
        return count if day == self._now().date() else 0

    def _day(self, returns: int = 0) -> str:
        """Today, once more for each time that it has worked again."""
        return today(self._now()) + (f":{returns}" if returns else "")


def today(now: datetime) -> str:
    """A day as the keys of lines name it, UTC."""
    return f"{now:%Y-%m-%d}"


def _is_refused(outcome: Outcome) -> bool:
    return outcome.park is not None and outcome.park != "unclear"


def _where(row: Waiting, reason: str) -> str:
    """A chat's platform, a channel of the desk, or all of it."""
    platform, _, place = row.bucket.partition(":")
    return platform if row.kind.to_customer or reason in CLOSED else place

"""Lines in the operator's channel: what only whoever runs the desk can mend, and that it is mended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
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
LOOKED_BACK: Final = 31
"""So many days a closing is remembered for what is said once it works again."""


def operator_notice(place: str, key: str, data: dict[str, str | None]) -> Outgoing:
    """A line in the operator's channel, once for each `key`. `data` names a fixed text and its values but no place."""
    return Outgoing(
        id=new_id(),
        lane=f"notice:{place}",
        bucket=f"slack:{place}",
        kind=DeliveryKind.DESK_NOTICE,
        idem_key=_stored(key),
        urgency=3,
        data={**data, "place": place},
    )


def dead_letter_notice(place: str, now: datetime) -> Outgoing:
    """The operator is told that something was set aside: once a day, whatever it was."""
    return operator_notice(place, f"dead:{today(now)}", {"text": "dead_letter", "place": place})


class Reports:
    """What the operator and whoever is on call hear of what is closed to us: once a day, and once that it works again.

    What was said is known from the outbox, whichever process said it: `told` gives those of some keys that stand there.
    """

    def __init__(
        self,
        place: str | None,
        *,
        told: Callable[[Collection[str]], Awaitable[Collection[str]]],
        on_call: bool = False,
        now: Callable[[], datetime] = times.real,
    ) -> None:
        self._place = place
        self._told = told
        self._on_call = on_call
        self._now = now

    async def of(self, outcome: Outcome) -> list[Outgoing]:
        """What is said of a delivery that was settled: that it is dead, or that its access is gone."""
        return [line for line in (await self._line(outcome), await self._call_for_help(outcome)) if line is not None]

    async def closed(self, kind: str, channel: str) -> list[Outgoing]:
        """What is said of a channel that is closed to us, by an event or by a refused post: one of CLOSURES' values."""
        if self._place is None or channel == self._place:
            return []
        data: dict[str, str | None] = {"text": "desk_changed", "kind": kind, "channel": channel}
        return [operator_notice(self._place, await self._closing(f"{kind}:{channel}"), data)]

    async def restored(self, row: Waiting, reason: str) -> list[Outgoing]:
        """What is said once a place that was closed to us for this reason has taken a delivery again.

        Nothing where nobody was told of that, or where it comes and goes: then the last word is that it is closed.
        """
        where, said = _where(row, reason), []
        key = await self._opening(_topic(row, reason, where)) if self._place is not None else None
        if self._place is not None and key is not None:
            said.append(operator_notice(self._place, key, {"text": "works_again", "where": where}))
        if self._on_call and (key := await self._opening(_call(reason))) is not None:
            said.append(_hook("access_restored", key, reason))
        return said

    async def _line(self, outcome: Outcome) -> Outgoing | None:
        row, reason = outcome.claim.row, str(outcome.reason)
        if self._place is None:
            return None
        if outcome.state == "dead" and not row.kind.to_customer and row.kind not in verdicts.COSMETIC:
            return dead_letter_notice(self._place, self._now())  # of an answer that is dead its agent is told
        if not _is_refused(outcome):
            return None
        where = _where(row, reason)
        if not row.kind.to_customer:
            if reason in CLOSED or where == self._place:
                return None
            if (kind := CLOSURES.get(reason)) is not None:
                return next(iter(await self.closed(kind, where)), None)
        data: dict[str, str | None] = {"text": "access_revoked", "where": where, "reason": reason}
        return operator_notice(self._place, await self._closing(_topic(row, reason, where)), data)

    async def _call_for_help(self, outcome: Outcome) -> Outgoing | None:
        """The same to the on-call service, once a day, where the whole desk is closed to us: nobody reads it there."""
        row, reason = outcome.claim.row, str(outcome.reason)
        is_closed = _is_refused(outcome) and reason in CLOSED
        if not self._on_call or not is_closed or not row.kind.value.startswith("desk."):
            return None
        return _hook("access_revoked", await self._closing(_call(reason)), reason)

    async def _said(self, keys: Collection[str]) -> frozenset[str]:
        """Those of these keys under which something was said."""
        stored = {_stored(key): key for key in keys}
        return frozenset(stored[key] for key in await self._told(list(stored)))

    async def _closing(self, topic: str) -> str:
        """The key under which it is said today that this is closed: another one for each time that it has worked."""
        day = self._now()
        openings = [_key("works", topic, day, returns) for returns in range(MOST_RETURNS)]
        return _key("closed", topic, day, len(await self._said(openings)))

    async def _opening(self, topic: str) -> str | None:
        """The key under which it is said that this works again; None where its last closing was not told, or is left
        as the last word.
        """
        days = [self._now() - timedelta(days=back) for back in range(LOOKED_BACK)]
        times_a_day = range(MOST_RETURNS, -1, -1)
        newest_first = [(day, returns) for day in days for returns in times_a_day]
        told = await self._said([_key("closed", topic, *one) for one in newest_first])
        last = next((one for one in newest_first if _key("closed", topic, *one) in told), None)
        return None if last is None or last[1] == MOST_RETURNS else _key("works", topic, *last)


def _key(what: str, topic: str, day: datetime, returns: int) -> str:
    return f"{what}:{today(day)}:{returns}:{topic}"


def _topic(row: Waiting, reason: str, where: str) -> str:
    """What a line about a refused delivery is about: an event of Slack about the same is the same news."""
    kind = None if row.kind.to_customer else CLOSURES.get(reason)
    return f"{kind or reason}:{where}"


def _call(reason: str) -> str:
    return f"call:{reason}"


def _hook(event: str, key: str, reason: str) -> Outgoing:
    return Outgoing(
        id=new_id(),
        lane="hook:access",
        bucket="hook:alerts",
        kind=DeliveryKind.HOOK_ALERT,
        idem_key=_stored(key),
        urgency=3,
        data={"event": event, "where": "slack", "reason": reason},
    )


def _stored(key: str) -> str:
    """A key as the outbox keeps it."""
    return f"notice:{key}"[:120]


def today(now: datetime) -> str:
    """A day as the keys of lines name it, UTC."""
    return f"{now:%Y-%m-%d}"


def _is_refused(outcome: Outcome) -> bool:
    return outcome.park is not None and outcome.park != "unclear"


def _where(row: Waiting, reason: str) -> str:
    """A chat's platform, a channel of the desk, or all of it."""
    platform, _, place = row.bucket.partition(":")
    return platform if row.kind.to_customer or reason in CLOSED else place

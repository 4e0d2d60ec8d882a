"""What is to become of a delivery that did not go through: sent again, given up, looked into, or held until a fix."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from bot import metrics, times
from domain.changes import DeliveryKind, Outgoing
from domain.errors import AccessRevoked, NeverPossible, RetryLater, Unclear
from handlers import receipts
from storage import paces
from storage.joining import ALONE
from storage.outbox import PER_METHOD, Claim, Outcome, Waiting

GIVE_UP_AFTER = timedelta(days=3)  # an outage over a week-end loses nothing
BACKOFF_CAP_S = 300.0
CARD_NOT_YET = timedelta(seconds=paces.CARD_NOT_YET_S)
MOST_DOUBLINGS = 10
STORAGE_RETRY = timedelta(seconds=1)
APART = "taken_apart"
STILL_GOING = timedelta(seconds=6)
"""A platform may still store a request whose answer did not come: a look sooner than this after it says nothing."""
MAX_FAILURES = 5  # of a row that fails for a reason nobody thought of
# Nobody is told when one of these fails for good: they echo or whisper something that stands elsewhere, or take a post
# away, and the receipt of the erasure says which stayed. Doing one again is the same as once.
COSMETIC = frozenset(
    {
        DeliveryKind.DESK_HOME,
        DeliveryKind.DESK_REACTION,
        DeliveryKind.DESK_WHISPER,
        DeliveryKind.DESK_UPDATE,
        DeliveryKind.DESK_DELETE,
        DeliveryKind.DESK_MOVED,
        DeliveryKind.DESK_PERSON,
    }
)


def again(claim: Claim, reason: str, after: timedelta, *, free: bool) -> Outcome:
    """Send it again after a while; a `free` attempt does not count."""
    return Outcome(claim=claim, state="todo", reason=reason, not_before=times.real() + after, free=free)


def apart(claim: Claim) -> Outcome:
    """Something is wrong with one of those that were to go out as one post: each goes, and is judged, by itself."""
    return again(claim, ALONE, timedelta(0), free=True)


def wait_for_card(claim: Claim) -> Outcome:
    """The card above is on its way, or was set aside and waits for a person: look again, less and less often."""
    wait = paces.card_after((times.real() - claim.row.created_at).total_seconds())
    return again(claim, paces.NO_CARD, timedelta(seconds=wait), free=True)


def park(claim: Claim, error: AccessRevoked) -> Outcome:
    """Stop the lane until the access is back."""
    state = "unclear" if claim.row.unclear else "todo"  # what may have arrived is looked up after the fix
    return Outcome(claim=claim, state=state, reason=error.code, park=f"access:{error.code}"[:60], free=True)


def refused(claim: Claim, error: NeverPossible, new_id: Callable[[], str]) -> Outcome:
    """Given up; but what was sent as one is taken apart first, so that one bad file keeps nothing else back."""
    data = claim.row.data
    is_whole = len(data.get("files") or ()) > 1 or bool(data.get("caption"))
    if claim.row.kind is DeliveryKind.CHAT_FILE and is_whole and error.code not in receipts.UNREACHABLE:
        return Outcome(claim=claim, state="cancelled", reason=APART, pieces=tuple(pieces_of(claim.row, new_id)))
    return Outcome(claim=claim, state="dead", reason=error.code)


def pieces_of(row: Waiting, new_id: Callable[[], str]) -> list[Outgoing]:
    """What a refused album, or a file with a caption, consisted of: its words, and each file by itself."""
    places = [int(place) for place in row.data["files"]]
    about = {name: value for name, value in row.data.items() if name not in ("files", "caption")}
    was_last = row.part == int(about.get("parts", 1)) - 1
    about["parts"] = int(about.get("parts", 1)) + len(places)
    pieces: list[tuple[DeliveryKind, int, dict[str, object]]] = []
    if row.data.get("caption"):
        pieces.append((DeliveryKind.CHAT_TEXT, row.part, {}))
    pieces += [(DeliveryKind.CHAT_FILE, about["parts"] + place, {"files": [place]}) for place in places]
    if was_last:  # by its number it is not
        pieces[-1][2]["last"] = True
    return [
        Outgoing(
            id=new_id(),
            lane=row.lane,
            bucket=row.bucket,
            kind=kind,
            idem_key=f"apart:{row.entry_id}:{kind.value}:{part}",
            conversation_id=row.conversation_id,
            identity_id=row.identity_id,
            entry_id=row.entry_id,
            part=part,
            urgency=row.urgency,
            data={**about, **more},
        )
        for kind, part, more in pieces
    ]


def broken(claim: Claim, error: Exception, *, called: bool) -> Outcome:
    """Something nobody expected: certainly not sent before the call, unclear after it."""
    row, code = claim.row, type(error).__name__
    if called and not row.unclear:
        return unclear(claim, Unclear("broken_off", code))
    if isinstance(error, SQLAlchemyError | OSError):
        return retry(claim, RetryLater("storage", code, after=STORAGE_RETRY))
    if row.attempts + 1 >= MAX_FAILURES:
        return Outcome(claim=claim, state="dead", reason=f"cannot be sent: {code}")
    return retry(claim, RetryLater("failed", code))


def retry(claim: Claim, error: RetryLater) -> Outcome:
    """Again when the platform says, or later and later; given up after days."""
    row = claim.row
    if error.bucket is not None:
        until = times.real() + (error.after or timedelta(seconds=5)) * random.uniform(1.0, 1.1)
        platform = row.bucket.partition(":")[0]
        bucket = platform if error.bucket == "global" or platform in PER_METHOD else row.bucket
        metrics.rate_limited.labels(platform=platform).inc()
        return Outcome(
            claim=claim,
            state="unclear" if row.unclear else "todo",
            reason=error.code,
            not_before=until,
            limit=(bucket, until),
            free=True,
        )
    if times.real() - row.created_at > GIVE_UP_AFTER:
        return Outcome(claim=claim, state="dead", reason=error.code)
    wait = error.after or timedelta(seconds=random.uniform(0.5, 1.0) * _doubled(1.0, row, BACKOFF_CAP_S))
    return Outcome(
        claim=claim,
        state="unclear" if row.unclear else "todo",
        reason=error.code,
        not_before=times.real() + wait,
    )


def unclear(claim: Claim, error: Unclear) -> Outcome:
    """It may have arrived: look it up at the desk, ask the agent about an answer, never repeat a fixed text."""
    row = claim.row
    if row.kind is DeliveryKind.CHAT_REACTION:  # again is the same as once
        return retry(claim, RetryLater(error.code))
    if row.kind.to_customer:
        if row.kind in (DeliveryKind.CHAT_AUTOMATIC, DeliveryKind.CHAT_ANSWER, DeliveryKind.CHAT_EXPORT):
            # Nobody misses a fixed text that did not arrive; twice would look careless.
            return Outcome(claim=claim, state="cancelled", reason=f"unclear: {error.code}")
        return Outcome(claim=claim, state="unclear", reason=error.code, park="unclear")
    if row.kind is DeliveryKind.DESK_WHISPER and row.attempts + 1 >= MAX_FAILURES:
        return Outcome(claim=claim, state="dead", reason=error.code)  # each of them may have been seen
    if row.kind in COSMETIC:
        return retry(claim, RetryLater(error.code))
    wait = timedelta(seconds=_doubled(0.2, row, BACKOFF_CAP_S))
    return Outcome(claim=claim, state="unclear", reason=error.code, not_before=times.real() + wait)


def let_it_arrive(row: Waiting) -> None:
    """Raise RetryLater while a request that broke off may still be carried out: what is not there yet is no proof."""
    since = times.real() - (row.sending_at or row.created_at)
    if timedelta(0) <= since < STILL_GOING:
        raise RetryLater("still_going", after=STILL_GOING - since)


def _doubled(seconds: float, row: Waiting, cap: float) -> float:
    """`seconds`, doubled with every attempt so far, at most `cap`."""
    return float(min(cap, seconds * 2.0 ** min(row.attempts, MOST_DOUBLINGS)))

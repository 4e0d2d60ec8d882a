"""The error tree: a type says what the caller must do next, its message says it to a person."""

from __future__ import annotations

import asyncio
from datetime import timedelta


class RelaydeskError(Exception):
    """Base of every error of ours. The message never carries personal text or a secret."""


class ConfigError(RelaydeskError):
    """A setting is wrong: nothing is started. `problems` holds one line per mistake (file, key, fix)."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedToStart(RelaydeskError):
    """The surroundings are not safe to run in (wrong key, newer database, network file system)."""


class MalformedEvent(RelaydeskError):
    """A stored payload cannot be read as an event: set it aside with this reason, go on with the lane."""


class NotYet(RelaydeskError):
    """The event depends on something still under way: look again after `after`."""

    def __init__(self, reason: str, after: timedelta) -> None:
        super().__init__(reason)
        self.after = after


class Conflict(RelaydeskError):
    """The conversation changed since it was loaded: load again and decide again."""


class CardOnItsWay(Conflict):
    """Its first card is being posted, so that it cannot be moved: nothing is wrong, decide again once it stands."""


class LeaseLost(RelaydeskError):
    """Another process holds the lane now: drop what was decided, nothing was written."""


class KeyDestroyed(RelaydeskError):
    """The data key is gone (erased or expired): what it sealed cannot be read again, by design."""


class CannotDecrypt(RelaydeskError):
    """A ciphertext does not belong to this key, table, column or row: it was altered or moved."""


class BadBackup(RelaydeskError):
    """A backup cannot be made, read or put back: what is wrong with it, and what helps."""


class CannotMove(RelaydeskError):
    """A store cannot be moved to this database: what is there, or where both sides differ."""


class UnknownPerson(RelaydeskError):
    """There is nobody (or no receipt) by this name: look with `relaydesk customer find`."""


class LegalHold(RelaydeskError):
    """A legal hold covers this customer: nothing of theirs is erased until somebody releases it."""


class DeliveryError(RelaydeskError):
    """A platform did not take a delivery. `code` is a stable word for the card, logs and metrics."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class RetryLater(DeliveryError):
    """Certainly not delivered; may work later. `after` is the platform's wish, if it named one.

    `bucket` names the rate limit that was hit ("chat", "channel", "global"), None for a plain failure.
    """

    def __init__(
        self, code: str, detail: str = "", *, after: timedelta | None = None, bucket: str | None = None
    ) -> None:
        super().__init__(code, detail)
        self.after = after
        self.bucket = bucket


class NeverPossible(DeliveryError):
    """Certainly not delivered and never will be as it is (blocked, deleted, refused)."""


class WindowClosed(NeverPossible):
    """The platform's reply window is closed: the customer must write first."""


class AccessRevoked(DeliveryError):
    """Our access is gone (token, membership, archive): park the lane, tell the operator once, resume after the fix."""


class Unclear(DeliveryError):
    """The call was made and its outcome is unknown: never repeat it blindly."""


class StoppedUnsent(asyncio.CancelledError):
    """A call was cancelled before all of it had left us: it certainly had no effect, and may be made again."""


class ThreadGone(DeliveryError):
    """The first post of `thread` was deleted, so that nothing can be shown under it: begin the thread anew."""

    def __init__(self, code: str, thread: str) -> None:
        super().__init__(code)
        self.thread = thread


class Moved(DeliveryError):
    """The destination has a new address (`new_address`): re-key it, then send again."""

    def __init__(self, code: str, new_address: str) -> None:
        super().__init__(code)
        self.new_address = new_address

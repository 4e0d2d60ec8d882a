"""What a customer asks of us about their data: a tracked case with a deadline, decided by the privacy officer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CaseKind(StrEnum):
    """What is asked for."""

    EXPORT = "export"  # a copy of their data
    ERASE = "erase"  # that it is erased
    CORRECT = "correct"  # something in it is wrong
    COMPLAINT = "complaint"  # a complaint about its use


class CaseState(StrEnum):
    """How it stands."""

    OPEN = "open"  # nobody has decided
    APPROVED = "approved"  # granted; the machine does it, or a person has
    WORKING = "working"  # being sent, being erased
    DONE = "done"  # granted, done, and the customer knows
    REFUSED = "refused"  # not granted, and the customer knows
    FAILED = "failed"  # granted, and it could not be sent: decide again
    MOOT = "moot"  # the customer was erased before it was over

    @property
    def is_waiting(self) -> bool:
        """True while a person must decide."""
        return self in (CaseState.OPEN, CaseState.FAILED)

    @property
    def is_over(self) -> bool:
        """True where nobody has anything left to do. A refusal is over once the customer was told of it."""
        return self in (CaseState.DONE, CaseState.REFUSED, CaseState.MOOT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One request. `due_at` is when the law wants it answered; `open_key` of it is unique: one open case of a kind.

    `owner` is who sees to it: whoever took it on last, else whoever decided.
    """

    id: str
    customer_id: str
    identity_id: str
    kind: CaseKind
    opened_at: datetime
    due_at: datetime
    state: CaseState = CaseState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None
    finished_at: datetime | None = None
    owner: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """A decision on a case, by whom; `granted` is None where they only took it on. It counts while one must decide."""

    case_id: str
    granted: bool | None
    by: str
    at: datetime

    @property
    def word(self) -> str:
        """How the audit trail calls it."""
        return "privacy.take" if self.granted is None else "privacy.approve" if self.granted else "privacy.refuse"

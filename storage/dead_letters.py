"""Deliveries that were set aside, as people who look after them see them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from storage.tables import unstamp


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A delivery that was set aside."""

    id: str
    kind: str
    reason: str
    attempts: int
    created_at: datetime
    conversation_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def dead_letter(row: Row[Any]) -> DeadLetter:
    """The dead letter that an outbox row is."""
    return DeadLetter(
        id=row.id,
        kind=row.kind,
        reason=row.reason or "",
        attempts=row.attempts,
        created_at=unstamp(row.created_at),
        conversation_id=row.conversation_id,
        data=json.loads(row.data),
    )

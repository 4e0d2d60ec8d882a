"""Lines of the audit trail that come from no decision: what is refused at the door, or known only when it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bot.ids import new_id
from domain.changes import Changes
from storage import flush
from storage.database import Database
from storage.record import Record

Act = tuple[str, str, str]
"""Action, object and detail, as `Changes.audit` has them."""


async def note(database: Database, record: Record, actor: str, acts: Iterable[Act], now: datetime) -> None:
    """Put acts into the trail, in a transaction of their own. `now` is real time."""
    decision = flush.Decision(id=new_id(), changes=Changes(reason="audited", audit=tuple(acts)), actor=actor)
    prepared = await record.prepare([decision], now)
    await database.write(lambda conn: flush.write(conn, prepared, record.audit_key))

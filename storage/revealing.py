"""Whom else a delivery shows: known only when it is rendered, and audited once however often that is tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update

from storage import audit
from storage.engines import Connection
from storage.tables import outbox

_AUDITED: Final = "audited"

_READ = select(outbox.c.data).where(outbox.c.id == bindparam("b_id"))
_WRITE = update(outbox).where(outbox.c.id == bindparam("b_id")).values(data=bindparam("b_data"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A look of `actor` at `things`, as the trail has it; `digests` are of what is read, by thing."""

    actor: str
    action: str
    things: Sequence[str]
    detail: str
    at: datetime
    digests: Mapping[str, str]


async def note(conn: Connection, key: bytes, delivery_id: str, look: Look) -> None:
    """Audit each of its things that this delivery has not named yet, and remember that with the delivery.

    To be committed before anything is shown: what a crash leaves unclear is tried again, and then stands there once.
    """
    found = (await conn.execute(_READ, {"b_id": delivery_id})).scalar()
    data = {} if found is None else json.loads(found)
    known = data.get(_AUDITED, [])
    fresh = [thing for thing in dict.fromkeys(look.things) if thing not in known]
    for thing in fresh:
        await audit.record(
            conn,
            key,
            at=look.at,
            actor=look.actor,
            action=look.action,
            object=thing,
            detail=look.detail,
            digest=look.digests.get(thing, ""),
        )
    if fresh:
        await conn.execute(_WRITE, {"b_id": delivery_id, "b_data": json.dumps(data | {_AUDITED: [*known, *fresh]})})

"""Places in an outbox lane: what stands for another goes where that one stood, not behind all that waits."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, select, update

from storage.engines import Connection
from storage.tables import one_of, outbox

BEHIND = (
    select(outbox.c.seq, outbox.c.id)
    .where(
        outbox.c.lane == bindparam("b_lane"),
        one_of(outbox.c.state, ("todo", "sending", "unclear")),
        outbox.c.seq > bindparam("b_seq"),
    )
    .order_by(outbox.c.seq)
)
_ASIDE = update(outbox).where(outbox.c.seq.in_(bindparam("b_seqs", expanding=True))).values(seq=-outbox.c.seq)
_PLACED = update(outbox).where(outbox.c.id == bindparam("b_id")).values(seq=bindparam("b_place"))


async def take(conn: Connection, lane: str, seq: int, pieces: Collection[str]) -> None:
    """Put rows that were just added right behind the one with this number; those that waited there follow them.

    The numbers are dealt anew among them. The lane is leased and its row locked in this transaction, so that nobody
    adds to it or takes from it meanwhile.
    """
    behind = (await conn.execute(BEHIND, {"b_lane": lane, "b_seq": seq})).all()
    seqs = [row.seq for row in behind]
    wanted = sorted(behind, key=lambda row: (row.id not in pieces, row.seq))
    if [row.seq for row in wanted] == seqs:
        return
    await conn.execute(_ASIDE, {"b_seqs": seqs})  # no number may stand twice, not even for a moment
    await conn.execute(_PLACED, [{"b_id": row.id, "b_place": place} for row, place in zip(wanted, seqs, strict=True)])

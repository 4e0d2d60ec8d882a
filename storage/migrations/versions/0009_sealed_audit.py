"""The audit trail is chained after it was committed, hundreds of entries at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. What was chained as it was written keeps its place, and is known by its format."""
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.add_column(sa.Column("format", sa.SmallInteger(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("digest", sa.String(length=64), server_default="", nullable=False))
        batch_op.add_column(sa.Column("nonce", sa.String(length=16), server_default="", nullable=False))
        batch_op.add_column(sa.Column("place", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("chain", sa.String(length=64), nullable=True))
    op.execute("UPDATE audit SET place = seq, chain = mac")
    if op.get_bind().dialect.name == "postgresql":  # entries numbered themselves until now
        newest = "coalesce(max(seq), 0) + 1"
        op.execute(f"SELECT setval(pg_get_serial_sequence('audit', 'seq'), {newest}, false) FROM audit")  # noqa: S608
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("ix_audit_place", ["place"], unique=True)
        batch_op.create_index(
            "ix_audit_unsealed",
            ["seq"],
            unique=False,
            sqlite_where=sa.text("place IS NULL"),
            postgresql_where=sa.text("place IS NULL"),
        )

"""Alerts: when a customer was last acknowledged, who excused a breach, and whose post a reaction is on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("conversations", sa.Column("acknowledged_at", sa.Double(), nullable=True))
    op.add_column("clocks", sa.Column("excused_by", sa.String(length=80), nullable=True))
    op.create_index(
        "ix_deliveries_post",
        "deliveries",
        ["platform_id", "place"],
        unique=False,
        sqlite_where=sa.text("side = 'desk'"),
        postgresql_where=sa.text("side = 'desk'"),
    )

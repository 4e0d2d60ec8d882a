"""Deadlines that somebody still owes, by their time: what is overdue and what is due soon."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_clocks_open",
        "clocks",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("stopped_at IS NULL AND due_at IS NOT NULL"),
        postgresql_where=sa.text("stopped_at IS NULL AND due_at IS NOT NULL"),
    )

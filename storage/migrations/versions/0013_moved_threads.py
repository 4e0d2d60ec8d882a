"""Moved threads: where a conversation stood at the desk before, so that whoever writes there is told where it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "moved_threads",
        sa.Column("desk_channel", sa.String(length=40), nullable=False),
        sa.Column("desk_thread", sa.String(length=40), nullable=False),
        sa.Column("conversation_id", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("desk_channel", "desk_thread"),
    )

"""What agents do with a conversation: where it stood before, until when it sleeps, how it ended, who is muted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("conversations", sa.Column("desk_before", sa.String(length=81)))
    op.add_column("conversations", sa.Column("snoozed_until", sa.Double()))
    op.add_column("conversations", sa.Column("outcome", sa.String(length=20)))
    op.add_column("conversations", sa.Column("merged_into", sa.String(length=26)))
    op.add_column("identities", sa.Column("muted_until", sa.Double()))
    op.add_column("identities", sa.Column("muted_count", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_conversations_snoozed",
        "conversations",
        ["snoozed_until"],
        sqlite_where=sa.text("snoozed_until IS NOT NULL"),
        postgresql_where=sa.text("snoozed_until IS NOT NULL"),
    )

"""Under which name a customer's copy of an answer stands, where it shows one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("deliveries", sa.Column("signed", sa.String(length=80), nullable=True))
    op.create_index(
        "ix_deliveries_signed",
        "deliveries",
        ["conversation_id", "at"],
        unique=False,
        sqlite_where=sa.text("signed IS NOT NULL"),
        postgresql_where=sa.text("signed IS NOT NULL"),
    )

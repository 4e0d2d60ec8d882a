"""What a customer agreed to, which notice they have seen, and marks that outlive an erasure."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("customers", sa.Column("consents", sa.Text(), server_default="{}", nullable=False))
    op.add_column("customers", sa.Column("notice", sa.String(length=20), nullable=True))
    op.add_column("customers", sa.Column("erased_at", sa.Double(), nullable=True))
    op.add_column("identities", sa.Column("erased_at", sa.Double(), nullable=True))

"""What people noted about a customer by hand, for segments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("customers", sa.Column("tags", sa.Text(), server_default="[]", nullable=False))

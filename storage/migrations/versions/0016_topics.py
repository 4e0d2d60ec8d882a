"""In which part of a chat a customer wrote last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("identities", sa.Column("topic", sa.String(length=20), nullable=True))

"""What is known about a customer beyond the name: sealed, with who said it and what was said before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("customers", sa.Column("profile_sealed", sa.LargeBinary(), nullable=True))

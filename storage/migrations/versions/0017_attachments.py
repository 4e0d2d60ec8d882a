"""Kept files: which there are, and their bytes in sealed pieces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "attachments",
        sa.Column("entry_id", sa.String(length=26), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.String(length=26), nullable=False),
        sa.Column("blob", sa.String(length=26), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("kept_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "part"),
    )
    op.create_index("ix_attachments_customer_id", "attachments", ["customer_id"], unique=False)
    op.create_index("ix_attachments_blob", "attachments", ["blob"], unique=False)
    op.create_index("ix_attachments_kept_at", "attachments", ["kept_at"], unique=False)
    op.create_table(
        "attachment_pieces",
        sa.Column("blob", sa.String(length=26), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("last", sa.SmallInteger(), nullable=False),
        sa.Column("customer_id", sa.String(length=26), nullable=False),
        sa.Column("bytes_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("blob", "place"),
    )
    op.create_index("ix_attachment_pieces_customer_id", "attachment_pieces", ["customer_id"], unique=False)

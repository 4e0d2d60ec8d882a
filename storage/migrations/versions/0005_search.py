"""The search index: what was just written, and segments of sealed postings. What is there already is yet to be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "search_fresh",
        sa.Column("entry_id", sa.String(length=26), nullable=False),
        sa.Column("words_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id"),
    )
    op.create_table(
        "search_segments",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "search_blocks",
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("block_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "first"),
    )
    op.create_table(
        "search_documents",
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("chunk", sa.SmallInteger(), nullable=False),
        sa.Column("documents_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "chunk"),
    )
    op.execute(
        "INSERT INTO meta (name, value) SELECT 'search.todo', "
        "'[0, ' || CAST(top AS VARCHAR(20)) || ']' FROM (SELECT max(seq) AS top FROM timeline) AS newest "
        "WHERE top IS NOT NULL"
    )

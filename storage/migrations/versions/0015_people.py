"""One person across channels: contact points, links, suspected duplicates, facts from outside, the region."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("customers", sa.Column("region", sa.String(length=2), nullable=True))
    op.create_table(
        "contact_points",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("customer_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("value_mac", sa.String(length=64), nullable=False),
        sa.Column("value_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("verified_at", sa.Double(), nullable=True),
        sa.Column("verified_how", sa.String(length=12), nullable=True),
        sa.Column("reachable", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=True),
        sa.Column("asked_at", sa.Double(), nullable=True),
        sa.Column("removed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id", "kind", "value_mac", name="uq_contact_point"),
    )
    op.create_index("ix_contact_points_value", "contact_points", ["value_mac"], unique=False)
    op.create_table(
        "customer_links",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("one", sa.String(length=26), nullable=False),
        sa.Column("other", sa.String(length=26), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("one", "other", name="uq_customer_link"),
    )
    op.create_index("ix_customer_links_other", "customer_links", ["other"], unique=False)
    op.create_table(
        "duplicates",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("one", sa.String(length=26), nullable=False),
        sa.Column("other", sa.String(length=26), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("found_at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("one", "other", name="uq_duplicate"),
    )
    op.create_index("ix_duplicates_other", "duplicates", ["other"], unique=False)
    op.create_table(
        "likeness",
        sa.Column("customer_id", sa.String(length=26), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "mac"),
    )
    op.create_index("ix_likeness_mac", "likeness", ["mac"], unique=False)
    op.create_table(
        "fact_keys",
        sa.Column("key_mac", sa.String(length=64), nullable=False),
        sa.Column("customer_id", sa.String(length=26), nullable=False),
        sa.Column("entry_id", sa.String(length=26), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key_mac"),
    )
    op.create_index("ix_fact_keys_customer", "fact_keys", ["customer_id"], unique=False)

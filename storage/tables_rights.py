"""The tables of what people taught, and of customers' rights: labels, erasures, holds, cases."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.columns import metadata

# What people taught the classifier, with the masked text under the customer's key: only where it may be kept.
labels = Table(
    "labels",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("conversation_id", String(26)),  # null: from a file
    Column("customer_id", String(26), nullable=False),  # whose key seals the text
    Column("kind", String(10), nullable=False),
    Column("source", String(12), nullable=False),
    Column("label", String(60), nullable=False),
    Column("guess", String(60)),
    Column("is_right", SmallInteger, nullable=False),
    Column("language", String(12), nullable=False),
    Column("confidence", Double, nullable=False),
    Column("abstained", SmallInteger, nullable=False),
    Column("weight", Double, nullable=False),
    Column("version", String(60), nullable=False),
    Column("at", Double, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("text_sealed", LargeBinary, nullable=False),
    UniqueConstraint("conversation_id", "kind", name="uq_label"),  # the newest word of a person counts
)
Index("ix_labels_customer", labels.c.customer_id)
Index("ix_labels_recorded", labels.c.recorded_at)

# Every label that was ever given, kept or not, as numbers that name nobody.
label_counts = Table(
    "label_counts",
    metadata,
    Column("language", String(12), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("source", String(12), primary_key=True),
    Column("label", String(60), primary_key=True),
    Column("guess", String(60), primary_key=True),
    Column("abstained", SmallInteger, primary_key=True),
    Column("tenth", SmallInteger, primary_key=True),  # of the confidence, 0 to 9
    Column("sampled", SmallInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# Who was erased, how far that is, and the receipt. A row here is what a restored backup of the record is held against.
erasures = Table(
    "erasures",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("customer_id", String(26), nullable=False, unique=True),
    Column("requested_at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("step", String(12), nullable=False),
    Column("counts", Text, nullable=False, server_default="{}"),
    Column("finished_at", Double),
    Column("mac", String(64)),
)
Index(
    "ix_erasures_open",
    erasures.c.id,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)

# What the law wants kept for now: while one stands, nothing of this customer is erased and no retention touches it.
holds = Table(
    "holds",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("customer_id", String(26), nullable=False),
    Column("placed_at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("released_at", Double),
    Column("released_by", String(80)),
)
Index("ix_holds_customer", holds.c.customer_id)

# What customers ask about their data. Of one kind a customer has one open case: its key is taken as long as it is open.
cases = Table(
    "cases",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("customer_id", String(26), nullable=False),
    Column("identity_id", String(26), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("state", String(12), nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("open_key", String(40), unique=True),
    Column("decided_by", String(80)),
    Column("decided_at", Double),
    Column("finished_at", Double),
    Column("owner", String(80)),  # who sees to it
)
Index(
    "ix_cases_open",
    cases.c.due_at,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)

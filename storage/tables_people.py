"""The tables of one person across channels: contact points, links between customers, suspected duplicates, facts."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Double,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from storage.columns import metadata

# Where somebody can be reached beside their chats. What was taken back stays, with the time: it is history.
contact_points = Table(
    "contact_points",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("customer_id", String(26), nullable=False),
    Column("kind", String(10), nullable=False),  # phone, email
    Column("value_mac", String(64), nullable=False),
    Column("value_sealed", LargeBinary, nullable=False),
    Column("type", String(20), nullable=False),  # mobile, landline, work, ...
    Column("source", String(12), nullable=False),
    Column("added_at", Double, nullable=False),
    Column("verified_at", Double),
    Column("verified_how", String(12)),
    Column("reachable", SmallInteger, nullable=False, server_default="1"),
    Column("reason", String(60)),  # why it is not reachable
    Column("asked_at", Double),  # when somebody was last asked whether it still holds
    Column("removed_at", Double),
    UniqueConstraint("customer_id", "kind", "value_mac", name="uq_contact_point"),
)
Index("ix_contact_points_value", contact_points.c.value_mac)

# Two customers are one person: a person is all customers that links connect. Taking a link away restores exactly what
# was, since nothing else is written for one.
customer_links = Table(
    "customer_links",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("one", String(26), nullable=False),  # the smaller id
    Column("other", String(26), nullable=False),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("reason", String(200), nullable=False),
    UniqueConstraint("one", "other", name="uq_customer_link"),
)
Index("ix_customer_links_other", customer_links.c.other)

# Two customers who may be one person, and what a colleague said to it. A refusal stays, so that nobody is asked twice.
duplicates = Table(
    "duplicates",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("one", String(26), nullable=False),  # the smaller id
    Column("other", String(26), nullable=False),
    Column("evidence", Text, nullable=False),  # kinds and scores, no value
    Column("found_at", Double, nullable=False),
    Column("state", String(10), nullable=False),  # suggested, merged, refused
    Column("decided_by", String(80)),
    Column("decided_at", Double),
    UniqueConstraint("one", "other", name="uq_duplicate"),
)
Index("ix_duplicates_other", duplicates.c.other)

# Keyed hashes of what two records of one person are likely to share: whom to compare, without opening everybody.
likeness = Table(
    "likeness",
    metadata,
    Column("customer_id", String(26), primary_key=True),
    Column("mac", String(64), primary_key=True),
)
Index("ix_likeness_mac", likeness.c.mac)

# Facts from outside that came with a key of their own: the same one again is the same entry.
fact_keys = Table(
    "fact_keys",
    metadata,
    Column("key_mac", String(64), primary_key=True),
    Column("customer_id", String(26), nullable=False),
    Column("entry_id", String(26), nullable=False),
    Column("digest", String(64), nullable=False),  # a keyed hash of what was said
    Column("at", Double, nullable=False),
)
Index("ix_fact_keys_customer", fact_keys.c.customer_id)

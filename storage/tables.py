"""The schema of the record: one SQLAlchemy metadata for SQLite and PostgreSQL.

Times are real numbers: seconds since 1970 in UTC, so both engines index, compare and store them alike. Columns named
`*_sealed` hold AES-256-GCM ciphertext bound to table, column and row; columns named `*_mac` hold keyed hashes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.columns import Sequence64, maybe_stamp, maybe_unstamp, metadata, one_of, stamp, unstamp, word
from storage.tables_files import attachment_pieces, attachments
from storage.tables_people import contact_points, customer_links, duplicates, fact_keys, likeness
from storage.tables_rights import cases, erasures, holds, label_counts, labels
from storage.tables_search import search_blocks, search_documents, search_fresh, search_segments

__all__ = [
    "Sequence64",
    "agents",
    "attachment_pieces",
    "attachments",
    "audit",
    "cases",
    "clocks",
    "contact_points",
    "conversations",
    "counters",
    "customer_links",
    "customers",
    "deliveries",
    "duplicates",
    "erasures",
    "fact_keys",
    "heartbeats",
    "holds",
    "identities",
    "inbox",
    "label_counts",
    "labels",
    "lanes",
    "leases",
    "likeness",
    "limits",
    "maybe_stamp",
    "maybe_unstamp",
    "meta",
    "metadata",
    "moved_threads",
    "one_of",
    "outbox",
    "search_blocks",
    "search_documents",
    "search_fresh",
    "search_segments",
    "stamp",
    "terms",
    "timeline",
    "unstamp",
    "word",
]

inbox = Table(
    "inbox",
    metadata,
    Column("id", Sequence64, primary_key=True, autoincrement=True),
    Column("source", String(40), nullable=False),
    Column("event_mac", String(64), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("kind", String(60), nullable=False),
    Column("received_at", Double, nullable=False),
    Column("position", Double),
    Column("payload_sealed", LargeBinary),  # nulled when done: a done row keeps its key for dedupe, not its payload
    Column("state", String(8), nullable=False, server_default="new"),  # new, done, dead, dropped
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("reason", String(200)),
    Column("done_at", Double),
    UniqueConstraint("source", "event_mac", name="uq_inbox_event"),
    sqlite_autoincrement=True,
)
Index(
    "ix_inbox_open",
    inbox.c.lane,
    inbox.c.id,
    sqlite_where=text("state = 'new'"),
    postgresql_where=text("state = 'new'"),
)
Index("ix_inbox_dead", inbox.c.id, sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'"))

# One row per lane that has work or is leased; `side` is "in" or "out". A lane is claimed with a lease whose fence every
# write carries.
lanes = Table(
    "lanes",
    metadata,
    Column("side", String(3), primary_key=True),
    Column("lane", String(80), primary_key=True),
    Column("urgency", SmallInteger, nullable=False, server_default="0"),
    Column("ready_at", Double),  # null: nothing to do
    Column("owner", String(40)),
    Column("lease_until", Double),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("parked", String(60)),  # why this lane waits for a person, null when it does not
)
Index(
    "ix_lanes_ready",
    lanes.c.side,
    lanes.c.urgency.desc(),
    lanes.c.ready_at,
    sqlite_where=text("ready_at IS NOT NULL AND parked IS NULL"),
    postgresql_where=text("ready_at IS NOT NULL AND parked IS NULL"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("lane", String(80), nullable=False),
    Column("bucket", String(80), nullable=False),  # the rate limit it counts against
    Column("kind", String(20), nullable=False),
    Column("idem_key", String(120), nullable=False, unique=True),
    Column("conversation_id", String(26)),
    Column("identity_id", String(26)),
    Column("entry_id", String(26)),
    Column("part", Integer, nullable=False, server_default="0"),
    Column("urgency", SmallInteger, nullable=False, server_default="0"),
    Column("data", Text, nullable=False, server_default="{}"),
    Column("state", String(10), nullable=False, server_default="todo"),  # todo, sending, sent, unclear, dead, cancelled
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", Double, nullable=False, server_default="0"),
    Column("reason", String(200)),
    Column("created_at", Double, nullable=False),
    Column("sending_at", Double),
    Column("settled_at", Double),
    sqlite_autoincrement=True,
)
Index(
    "ix_outbox_open",
    outbox.c.lane,
    outbox.c.seq,
    sqlite_where=text("state IN ('todo', 'sending', 'unclear')"),
    postgresql_where=text("state IN ('todo', 'sending', 'unclear')"),
)
Index("ix_outbox_dead", outbox.c.seq, sqlite_where=text("state = 'dead'"), postgresql_where=text("state = 'dead'"))
Index(
    "ix_outbox_entry",
    outbox.c.entry_id,
    sqlite_where=text("entry_id IS NOT NULL"),
    postgresql_where=text("entry_id IS NOT NULL"),
)

# `not_before` of each rate limit, shared by all processes: "telegram", "telegram:<chat>", "slack:<channel>".
limits = Table(
    "limits",
    metadata,
    Column("bucket", String(80), primary_key=True),
    Column("not_before", Double, nullable=False),
)

customers = Table(
    "customers",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("language", String(12)),
    Column("segments", Text, nullable=False, server_default="[]"),
    Column("tags", Text, nullable=False, server_default="[]"),  # what people noted by hand, for segments
    Column("training", SmallInteger),  # may their words teach the classifier? null: not asked
    Column("consents", Text, nullable=False, server_default="{}"),  # what they said to the other purposes
    Column("region", String(2)),  # the country they are in, as far as it is known
    Column("profile_sealed", LargeBinary),  # typed fields with who said them and what was before
    Column("notice", String(20)),  # the version of the privacy notice they were sent last
    Column("created_at", Double, nullable=False),
    Column("erased_at", Double),  # nothing is written into this row any more
)

identities = Table(
    "identities",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("customer_id", String(26), nullable=False, index=True),
    Column("channel", String(40), nullable=False),
    Column("address_mac", String(64), nullable=False),
    Column("address_sealed", LargeBinary, nullable=False),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("username_sealed", LargeBinary),
    Column("username_mac", String(64), index=True),
    Column("name_mac", String(64), index=True),
    Column("language", String(12)),
    Column("reachable", SmallInteger, nullable=False, server_default="1"),
    Column("unreachable_reason", String(60)),
    Column("erased_at", Double),  # nothing is written into this row any more
    Column("muted_until", Double),  # so long nothing they write is shown at the desk
    Column("muted_count", Integer, nullable=False, server_default="0"),  # how much of it there was
    Column("topic", String(20)),  # the part of the chat where they wrote last, a number of the platform
    UniqueConstraint("channel", "address_mac", name="uq_identity_address"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("customer_id", String(26), nullable=False, index=True),
    Column("identity_id", String(26), nullable=False),
    Column("channel", String(40), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("desk_channel", String(40), nullable=False),
    Column("desk_thread", String(40)),
    Column("status", String(20), nullable=False),
    Column("priority", String(10), nullable=False),
    Column("queue", String(60), nullable=False),
    Column("assignee", String(40)),
    Column("intent", String(60)),
    Column("language", String(12)),
    Column("assessment", Text),
    Column("label_by_human", SmallInteger, nullable=False),
    Column("priority_by_human", SmallInteger, nullable=False),
    Column("queue_moves", Integer, nullable=False),
    Column("touched_by_human", SmallInteger, nullable=False),
    Column("customer_version", Integer, nullable=False),
    Column("policy", String(60)),
    Column("opened_at", Double, nullable=False),
    Column("resolved_at", Double),
    Column("last_customer_at", Double),
    Column("last_agent_at", Double),
    Column("unanswered_since", Double),
    Column("delivery_state", String(12)),
    Column("delivery_reason", String(60)),
    Column("previous", String(26)),
    Column("acknowledged_at", Double),  # when this customer was last sent an automatic acknowledgement
    Column("card_version", Integer, nullable=False, server_default="-1"),  # the version the card at the desk shows
    Column("version", Integer, nullable=False),
    Column("changed_by", String(26), nullable=False),  # the decision that wrote this version
    Column("desk_before", String(81)),  # "channel:thread" where it stood at the desk before
    Column("snoozed_until", Double),
    Column("outcome", String(20)),  # how it ended, as the agent picked it
    Column("merged_into", String(26)),
)
Index("ix_conversations_identity", conversations.c.identity_id, conversations.c.opened_at)
Index(
    "ix_conversations_thread",
    conversations.c.desk_channel,
    conversations.c.desk_thread,
    unique=True,
    sqlite_where=text("desk_thread IS NOT NULL"),
    postgresql_where=text("desk_thread IS NOT NULL"),
)
Index(
    "ix_conversations_snoozed",
    conversations.c.snoozed_until,
    sqlite_where=text("snoozed_until IS NOT NULL"),
    postgresql_where=text("snoozed_until IS NOT NULL"),
)
Index(
    "ix_conversations_open",
    conversations.c.assignee,
    sqlite_where=text("status NOT IN ('done', 'spam')"),
    postgresql_where=text("status NOT IN ('done', 'spam')"),
)

# Where conversations stood at the desk before their thread had to be begun anew.
moved_threads = Table(
    "moved_threads",
    metadata,
    Column("desk_channel", String(40), primary_key=True),
    Column("desk_thread", String(40), primary_key=True),
    Column("conversation_id", String(26), nullable=False),
)

timeline = Table(
    "timeline",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("conversation_id", String(26), nullable=False),
    Column("customer_id", String(26), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("actor_kind", String(10), nullable=False),
    Column("actor_id", String(40)),
    Column("at", Double, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("body_sealed", LargeBinary),
    Column("data", Text, nullable=False, server_default="{}"),
    Column("platform_id", String(60)),
    Column("reply_to", String(60)),
    Column("files_sealed", LargeBinary),
    Column("sla", String(20)),
    sqlite_autoincrement=True,
)
Index("ix_timeline_conversation", timeline.c.conversation_id, timeline.c.seq)
Index(
    "ix_timeline_sla",
    timeline.c.conversation_id,
    timeline.c.at,
    sqlite_where=text("sla IS NOT NULL"),
    postgresql_where=text("sla IS NOT NULL"),
)
Index(
    "ix_timeline_platform",
    timeline.c.conversation_id,
    timeline.c.platform_id,
    sqlite_where=text("platform_id IS NOT NULL"),
    postgresql_where=text("platform_id IS NOT NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("outbox_id", String(26), primary_key=True),
    Column("entry_id", String(26), nullable=False),
    Column("conversation_id", String(26)),
    Column("side", String(4), nullable=False),
    Column("part", Integer, nullable=False),
    Column("place", String(40), nullable=False),
    Column("platform_id", String(60), nullable=False),
    Column("at", Double, nullable=False),
    Column("signed", String(80)),  # the name that stands above the words in the customer's copy, by its key
)
Index("ix_deliveries_entry", deliveries.c.entry_id, deliveries.c.side, deliveries.c.part)
Index(
    "ix_deliveries_signed",
    deliveries.c.conversation_id,
    deliveries.c.at,
    sqlite_where=text("signed IS NOT NULL"),
    postgresql_where=text("signed IS NOT NULL"),
)
# A reaction names a post: whose conversation is it.
Index(
    "ix_deliveries_post",
    deliveries.c.platform_id,
    deliveries.c.place,
    sqlite_where=text("side = 'desk'"),
    postgresql_where=text("side = 'desk'"),
)

clocks = Table(
    "clocks",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("conversation_id", String(26), nullable=False),
    Column("metric", String(20), nullable=False),
    Column("instance", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("due_at", Double),
    Column("stopped_at", Double),
    Column("next_alert_at", Double),
    Column("alerts_done", Text, nullable=False, server_default="[]"),
    Column("excused_by", String(80)),  # who excused its breach; the reason stands in the timeline
    UniqueConstraint("conversation_id", "metric", "instance", name="uq_clock"),
)
Index(
    "ix_clocks_due",
    clocks.c.next_alert_at,
    sqlite_where=text("next_alert_at IS NOT NULL"),
    postgresql_where=text("next_alert_at IS NOT NULL"),
)
Index(
    "ix_clocks_open",
    clocks.c.due_at,
    sqlite_where=text("stopped_at IS NULL AND due_at IS NOT NULL"),
    postgresql_where=text("stopped_at IS NULL AND due_at IS NOT NULL"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("languages", Text, nullable=False, server_default="[]"),
    Column("on_duty", SmallInteger, nullable=False, server_default="1"),
    Column("last_assigned_at", Double),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# Singletons (poller, sweep, reconciler): who is it now, until when.
leases = Table(
    "leases",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("owner", String(40), nullable=False),
    Column("until", Double, nullable=False),
    Column("fence", Integer, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("at", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(60), nullable=False),
    Column("object", String(80), nullable=False),
    Column("detail", String(200), nullable=False),
    Column("mac", String(64), nullable=False),  # of this entry alone (format 1: of the one before, too)
    Column("format", SmallInteger, nullable=False, server_default="1"),
    Column("digest", String(64), nullable=False, server_default=""),  # of the sealed payload it is about, if any
    Column("nonce", String(16), nullable=False, server_default=""),  # a copied entry is the same twice
    Column("place", BigInteger),  # in the chain; null: not sealed yet
    Column("chain", String(64)),
    sqlite_autoincrement=True,
)
Index("ix_audit_place", audit.c.place, unique=True)
Index("ix_audit_unsealed", audit.c.seq, sqlite_where=text("place IS NULL"), postgresql_where=text("place IS NULL"))

# Every version of the policies and calendars in force so far: what a conversation was promised under stays known.
terms = Table(
    "terms",
    metadata,
    Column("kind", String(8), primary_key=True),  # policy, calendar
    Column("name", String(60), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),  # the settings as JSON, defaults included
    Column("since", Double, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)

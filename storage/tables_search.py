"""The tables of the search index."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, SmallInteger, String, Table

from storage.columns import metadata

# The search index over sealed bodies (see storage/search.py). What a message is found by is written with the message;
# `words_sealed` holds keyed hashes, sealed once more.
search_fresh = Table(
    "search_fresh",
    metadata,
    Column("entry_id", String(26), primary_key=True),
    Column("words_sealed", LargeBinary, nullable=False),
)

# Many messages' postings together. A segment that is being made is not searched.
search_segments = Table(
    "search_segments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("documents", Integer, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),  # making, live
    sqlite_autoincrement=True,
)

search_blocks = Table(
    "search_blocks",
    metadata,
    Column("segment", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),  # the lowest hash in the block
    Column("block_sealed", LargeBinary, nullable=False),
)

search_documents = Table(
    "search_documents",
    metadata,
    Column("segment", Integer, primary_key=True, autoincrement=False),
    Column("chunk", SmallInteger, primary_key=True, autoincrement=False),
    Column("documents_sealed", LargeBinary, nullable=False),
)

"""The tables of kept files: which there are, and their bytes in sealed pieces."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, LargeBinary, SmallInteger, String, Table

from storage.columns import metadata

attachments = Table(
    "attachments",
    metadata,
    Column("entry_id", String(26), primary_key=True),
    Column("part", Integer, primary_key=True),  # its place among the files of the message
    Column("customer_id", String(26), nullable=False, index=True),
    Column("blob", String(26), nullable=False, index=True),  # the name of its bytes: says nothing
    Column("size", Integer, nullable=False),  # bytes
    Column("pieces", Integer, nullable=False),
    Column("kept_at", Double, nullable=False, index=True),
)

# Each piece is bound to its blob, its place and whether it is the last: none can be left out, added or exchanged.
attachment_pieces = Table(
    "attachment_pieces",
    metadata,
    Column("blob", String(26), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("last", SmallInteger, nullable=False),
    Column("customer_id", String(26), nullable=False, index=True),
    Column("bytes_sealed", LargeBinary, nullable=False),
)

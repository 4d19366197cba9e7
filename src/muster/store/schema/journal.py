"""What happened, and what was answered."""

from sqlalchemy import Column, Index, Integer, Table

from muster.store.columns import Moment, Utf8
from muster.store.schema.pieces import metadata

events = Table(
    "events",
    metadata,
    Column("cursor", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("name", Utf8, nullable=False),
    Column("actor", Utf8, nullable=False),
    Column("fleet", Utf8),
    Column("agent", Utf8),
    Column("body", Utf8, nullable=False),
    Column("hash", Utf8, nullable=False),
    Index("ix_events_fleet", "fleet", "cursor"),
    Index("ix_events_agent", "agent", "cursor"),
    sqlite_autoincrement=True,
)

requests = Table(
    "requests",
    metadata,
    Column("actor", Utf8, primary_key=True),
    Column("request_id", Utf8, primary_key=True),
    Column("verb", Utf8, nullable=False),
    Column("fingerprint", Utf8, nullable=False),
    Column("answer", Utf8, nullable=False),
    Column("at", Moment, nullable=False, index=True),
)

"""The tables. Migrations make them (`migrations/`); a test holds the two against each other.

Every table has `seq`, the order of insertion: it is what "first in, first out" and every cursor mean.
Moments are microseconds since the epoch, UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Any  # SQLAlchemy's own signature of process_* hands the dialect as Any

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """A point in time, exact to the microsecond and sortable in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


metadata = MetaData()


def _seq() -> Column[int]:
    return Column("seq", Integer, primary_key=True, autoincrement=True)


def _id() -> Column[str]:
    return Column("id", Text, nullable=False, unique=True)


def _reference(name: str, table: str) -> Column[str]:
    return Column(name, Text, ForeignKey(f"{table}.id"), nullable=False, index=True)


fleets = Table(
    "fleets",
    metadata,
    _seq(),
    _id(),
    Column("name", Text, nullable=False),
    Column("project", Text, nullable=False, index=True),
    Column("directory", Text, nullable=False),
    Column("spawned_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("cancelled_at", Moment),
    Column("reason", Text),
    sqlite_autoincrement=True,
)

servers = Table(
    "servers",
    metadata,
    _seq(),
    _id(),
    Column("host", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("pid", Integer),
    Column("pid_started_at", Float),
    Column("port", Integer),
    Column("version", Text),
    Column("why", Text),
    Column("detail", Text),
    Column("changed_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

agents = Table(
    "agents",
    metadata,
    _seq(),
    _id(),
    _reference("fleet", "fleets"),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("persona", Text, nullable=False),
    Column("model", Text),
    Column("directory", Text, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("stop_reason", Text),
    Column("run", Text, nullable=False),
    Column("server", Text),
    Column("session", Text),
    Column("tool", Text),
    Column("tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("last_activity_at", Moment),
    Column("created_at", Moment, nullable=False),
    Index("ix_agents_session", "server", "session"),
    Index("ix_agents_name", "fleet", "name"),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    _seq(),
    _id(),
    _reference("agent", "agents"),
    _reference("fleet", "fleets"),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("error", Text),
    Column("server", Text),
    Column("generation", Integer),
    Column("queued_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Index("ix_runs_state", "state", "seq"),
    Index("ix_runs_server", "server", "generation"),
    sqlite_autoincrement=True,
)

turns = Table(
    "turns",
    metadata,
    _seq(),
    _id(),
    _reference("agent", "agents"),
    _reference("fleet", "fleets"),
    Column("kind", Text, nullable=False),
    Column("preamble", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("ending", Text),
    Column("output", Text),
    Column("error", Text),
    Column("sends", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("ended_at", Moment),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("cursor", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("name", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("fleet", Text),
    Column("agent", Text),
    Column("body", Text, nullable=False),
    Index("ix_events_fleet", "fleet", "cursor"),
    Index("ix_events_agent", "agent", "cursor"),
    sqlite_autoincrement=True,
)

requests = Table(
    "requests",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("verb", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", Moment, nullable=False, index=True),
)

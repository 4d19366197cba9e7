"""The tables. Migrations make them (`migrations/`); a test holds the two against each other.

Every table has `seq`, the order of insertion: it is what "first in, first out" and every cursor mean.
How values stand in the columns says `columns.py`.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, text

from muster.store.columns import Moment, Numbers, Questions, Utf8, Words

metadata = MetaData()


def _seq() -> Column[int]:
    return Column("seq", Integer, primary_key=True, autoincrement=True)


def _id() -> Column[str]:
    return Column("id", Utf8, nullable=False, unique=True)


def _budget() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in ("max_turns", "max_tokens", "max_seconds")]


def _reference(name: str, table: str) -> Column[str]:
    return Column(name, Utf8, ForeignKey(f"{table}.id"), nullable=False, index=True)


UNSEEN = "settled_at IS NULL AND seen_at IS NULL"
WAITING = f"{UNSEEN} AND turn IS NULL AND injected_at IS NULL"
CARRIED = f"{UNSEEN} AND turn IS NOT NULL"


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of the rows that still matter: it does not grow with those that do not."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


fleets = Table(
    "fleets",
    metadata,
    _seq(),
    _id(),
    Column("name", Utf8, nullable=False),
    Column("project", Utf8, nullable=False, index=True),
    Column("directory", Utf8, nullable=False),
    Column("spawned_by", Utf8, nullable=False),
    Column("spawned_in", Utf8, index=True),
    Column("created_at", Moment, nullable=False),
    Column("cancelled_at", Moment),
    Column("reason", Utf8),
    Column("timeout_ms", BigInteger),
    *_budget(),
    Column("on_ask", Utf8),
    Column("worked_ms", BigInteger, nullable=False),
    Column("working_since", Moment),
    Column("let_through_at", Moment),
    sqlite_autoincrement=True,
)

servers = Table(
    "servers",
    metadata,
    _seq(),
    _id(),
    Column("host", Utf8, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Utf8, nullable=False, index=True),
    Column("pid", Integer),
    Column("pid_started_at", Float),
    Column("port", Integer),
    Column("version", Utf8),
    Column("why", Utf8),
    Column("detail", Utf8),
    Column("swollen_mib", Integer),
    Column("shocks", Integer, nullable=False),
    Column("shaken_in", Integer),
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
    Column("name", Utf8, nullable=False),
    Column("role", Utf8, nullable=False),
    Column("persona", Utf8, nullable=False),
    Column("model", Utf8),
    Column("directory", Utf8, nullable=False),
    Column("wanted", Utf8, nullable=False),
    Column("stop_reason", Utf8),
    Column("run", Utf8, nullable=False),
    Column("server", Utf8),
    Column("session", Utf8),
    Column("tool", Utf8),
    Column("tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("earlier_tokens", BigInteger, nullable=False),
    Column("earlier_cost_usd", Float, nullable=False),
    Column("earlier_steps", BigInteger, nullable=False),
    Column("last_activity_at", Moment),
    Column("max_attempts", Integer, nullable=False),
    Column("timeout_ms", BigInteger),
    *_budget(),
    Column("worked_ms", BigInteger, nullable=False),
    Column("paused", Utf8),
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
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Utf8, nullable=False),
    Column("outcome", Utf8),
    Column("error", Utf8),
    Column("server", Utf8),
    Column("generation", Integer),
    Column("queued_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("stirred_at", Moment),
    Column("slept_ms", BigInteger, nullable=False),
    Column("ended_at", Moment),
    Column("output", Utf8),
    Column("lone_death", Boolean, nullable=False),
    Index("ix_runs_fleet", "fleet", "state"),
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
    Column("kind", Utf8, nullable=False),
    Column("preamble", Utf8, nullable=False),
    Column("text", Utf8, nullable=False),
    Column("ending", Utf8),
    Column("output", Utf8),
    Column("error", Utf8),
    Column("sends", Integer, nullable=False),
    Column("sent_in", Utf8),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("begun_at", Moment),
    Column("sent_at", Moment),
    Column("ended_at", Moment),
    _partial("ix_turns_open", "agent", where="ending IS NULL"),
    sqlite_autoincrement=True,
)

asks = Table(
    "asks",
    metadata,
    _seq(),
    _id(),
    _reference("agent", "agents"),
    _reference("fleet", "fleets"),
    Column("run", Utf8, nullable=False),
    Column("server", Utf8, nullable=False),
    Column("host_id", Utf8, nullable=False),
    Column("kind", Utf8, nullable=False),
    Column("what", Utf8, nullable=False),
    Column("pattern", Utf8, nullable=False),
    Column("questions", Questions, nullable=False),
    Column("state", Utf8, nullable=False),
    Column("answer", Utf8),
    Column("words", Words, nullable=False),
    Column("by", Utf8),
    Column("asked_at", Moment, nullable=False),
    Column("deadline_at", Moment),
    Column("answered_at", Moment),
    Index("ix_asks_host", "server", "host_id"),
    Index("ix_asks_state", "state", "seq"),
    sqlite_autoincrement=True,
)

leads = Table(
    "leads",
    metadata,
    _seq(),
    _id(),
    Column("directory", Utf8, nullable=False),
    Column("bridge", Utf8, nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

notices = Table(
    "notices",
    metadata,
    _seq(),
    _id(),
    _reference("session", "leads"),
    Column("kind", Utf8, nullable=False),
    Column("fleet", Utf8, index=True),
    Column("after", Utf8),
    Column("text", Utf8, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ending", Utf8),
    Column("ended_at", Moment),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    metadata,
    _seq(),
    _id(),
    _reference("fleet", "fleets"),
    Column("sender", Utf8),
    Column("from_name", Utf8, nullable=False),
    Column("to", Utf8, nullable=False),
    Column("type", Utf8, nullable=False),
    Column("payload", Utf8, nullable=False),
    Column("correlation_id", Utf8),
    Column("recipients", Words, nullable=False),
    Column("by", Utf8, nullable=False),
    Column("sent_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    _seq(),
    _id(),
    Column("message", Utf8, ForeignKey("messages.id"), nullable=False),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("sender", Utf8),
    Column("session", Utf8),
    Column("urgent", Boolean, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("state", Utf8, nullable=False),
    Column("turn", Utf8),
    Column("call", Utf8),
    Column("held", Utf8),
    Column("why", Utf8),
    Column("sent_at", Moment, nullable=False),
    Column("injected_at", Moment),
    Column("seen_at", Moment),
    Column("settled_at", Moment),
    _partial("ix_deliveries_inbox", "agent", where="settled_at IS NULL"),
    _partial("ix_deliveries_waiting", "agent", where=WAITING),
    _partial("ix_deliveries_urgent", "agent", where=f"{WAITING} AND urgent IS TRUE"),
    _partial("ix_deliveries_held", "agent", "fleet", where=f"{WAITING} AND held IS NOT NULL"),
    _partial("ix_deliveries_carried", "agent", where=CARRIED),
    _partial("ix_deliveries_turn", "turn", where=CARRIED),
    _partial("ix_deliveries_taken", "agent", where=f"{UNSEEN} AND turn IS NULL AND injected_at IS NOT NULL"),
    _partial("ix_deliveries_session", "session", where=f"{UNSEEN} AND session IS NOT NULL"),
    sqlite_autoincrement=True,
)

receipts = Table(
    "receipts",
    metadata,
    _seq(),
    _id(),
    _reference("message", "messages"),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("agent", Utf8),
    Column("action", Utf8, nullable=False),
    Column("note", Utf8),
    Column("by", Utf8, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

decisions = Table(
    "decisions",
    metadata,
    _seq(),
    Column("id", Utf8, ForeignKey("messages.id"), nullable=False, unique=True),
    _reference("fleet", "fleets"),
    Column("proposer", Utf8),
    Column("session", Utf8),
    Column("subject", Utf8, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("voters", Words, nullable=False),
    Column("weights", Numbers, nullable=False),
    Column("required_signoffs", Words, nullable=False),
    Column("silence_policy", Utf8, nullable=False),
    Column("deadline_at", Moment),
    Column("opened_at", Moment, nullable=False),
    Column("status", Utf8, nullable=False),
    Column("absent", Words, nullable=False),
    Column("resolved_at", Moment),
    _partial("ix_decisions_open", "fleet", where="resolved_at IS NULL"),
    sqlite_autoincrement=True,
)

votes = Table(
    "votes",
    metadata,
    _seq(),
    _id(),
    _reference("decision", "decisions"),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("note", Utf8),
    Column("by", Utf8, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

wakeups = Table(
    "wakeups",
    metadata,
    _seq(),
    _id(),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("pair", Utf8, nullable=False),
    Column("turn", Utf8, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_wakeups_pair", "pair", "at"),
    Index("ix_wakeups_fleet", "fleet", "at"),
    sqlite_autoincrement=True,
)

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

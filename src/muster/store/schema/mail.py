"""Messages, their deliveries and proofs, and votes."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table

from muster.store.columns import Moment, Numbers, Utf8, Words
from muster.store.schema.pieces import metadata, partial, reference, row_id, seq

UNSEEN = "settled_at IS NULL AND seen_at IS NULL"
WAITING = f"{UNSEEN} AND turn IS NULL AND injected_at IS NULL"
CARRIED = f"{UNSEEN} AND turn IS NOT NULL"


messages = Table(
    "messages",
    metadata,
    seq(),
    row_id(),
    reference("fleet", "fleets"),
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

routings = Table(
    "routings",
    metadata,
    seq(),
    Column("id", Utf8, ForeignKey("messages.id"), nullable=False, unique=True),
    reference("fleet", "fleets"),
    Column("agents", Words, nullable=False),
    Column("names", Words, nullable=False),
    Column("reasons", Words, nullable=False),
    Column("attached", Utf8, ForeignKey("agents.id")),
    Column("routed_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    seq(),
    row_id(),
    Column("message", Utf8, ForeignKey("messages.id"), nullable=False),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("sender", Utf8),
    Column("session", Utf8),
    Column("urgent", Boolean, nullable=False),
    Column("lapses", Boolean, nullable=False),
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
    partial("ix_deliveries_inbox", "agent", where="settled_at IS NULL"),
    partial("ix_deliveries_waiting", "agent", where=WAITING),
    partial("ix_deliveries_urgent", "agent", where=f"{WAITING} AND urgent IS TRUE"),
    partial("ix_deliveries_held", "agent", "fleet", where=f"{WAITING} AND held IS NOT NULL"),
    partial("ix_deliveries_lapsing", "agent", where=f"{WAITING} AND lapses IS TRUE"),
    partial("ix_deliveries_carried", "agent", where=CARRIED),
    partial("ix_deliveries_turn", "turn", where=CARRIED),
    partial("ix_deliveries_taken", "agent", where=f"{UNSEEN} AND turn IS NULL AND injected_at IS NOT NULL"),
    partial("ix_deliveries_session", "session", where=f"{UNSEEN} AND session IS NOT NULL"),
    sqlite_autoincrement=True,
)

receipts = Table(
    "receipts",
    metadata,
    seq(),
    row_id(),
    reference("message", "messages"),
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
    seq(),
    Column("id", Utf8, ForeignKey("messages.id"), nullable=False, unique=True),
    reference("fleet", "fleets"),
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
    partial("ix_decisions_open", "fleet", where="resolved_at IS NULL"),
    sqlite_autoincrement=True,
)

votes = Table(
    "votes",
    metadata,
    seq(),
    row_id(),
    reference("decision", "decisions"),
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
    seq(),
    row_id(),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("pair", Utf8, nullable=False),
    Column("turn", Utf8, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_wakeups_pair", "pair", "at"),
    Index("ix_wakeups_fleet", "fleet", "at"),
    sqlite_autoincrement=True,
)

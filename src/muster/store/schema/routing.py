"""What agents can do and did, saved fleet shapes, and what a sentence model made of texts."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, Table

from muster.store.columns import Moment, TemplateAgents, Utf8, Words
from muster.store.schema.pieces import metadata, reference, row_id, seq

capabilities = Table(
    "capabilities",
    metadata,
    seq(),
    row_id(),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False, unique=True),
    reference("fleet", "fleets"),
    Column("role", Utf8, nullable=False),
    Column("skills", Words, nullable=False),
    Column("model", Utf8),
    Column("context_window", Integer),
    Column("by", Utf8, nullable=False),
    Column("registered_at", Moment, nullable=False, index=True),
    sqlite_autoincrement=True,
)

outcomes = Table(
    "outcomes",
    metadata,
    seq(),
    row_id(),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    reference("fleet", "fleets"),
    Column("persona", Utf8, nullable=False, index=True),
    Column("capability_key", Utf8, nullable=False),
    Column("successes", Float, nullable=False),
    Column("failures", Float, nullable=False),
    Column("recorded", Integer, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Index("ix_outcomes_of", "agent", "capability_key", unique=True),
    sqlite_autoincrement=True,
)

templates = Table(
    "templates",
    metadata,
    seq(),
    row_id(),
    Column("name", Utf8, nullable=False),
    Column("version", Integer, nullable=False),
    Column("description", Utf8),
    Column("agents", TemplateAgents, nullable=False),
    Column("placeholders", Words, nullable=False),
    Column("by", Utf8, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("ix_templates_version", "name", "version", unique=True),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    seq(),
    row_id(),
    Column("vector", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

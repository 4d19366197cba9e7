"""What two agents' work was compared by, and where it does not fit together."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table

from muster.store.columns import Moment, Utf8, Words
from muster.store.schema.pieces import metadata, partial, reference, row_id, seq

clashes = Table(
    "clashes",
    metadata,
    seq(),
    row_id(),
    reference("fleet", "fleets"),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("other", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("agent_tree", Utf8, nullable=False),
    Column("other_tree", Utf8, nullable=False),
    Column("paths", Words, nullable=False),
    Column("more", Integer, nullable=False),
    Column("since", Moment),
    Column("agent_told", Words, nullable=False),
    Column("other_told", Words, nullable=False),
    Column("lead_told", Words, nullable=False),
    Column("compared_at", Moment, nullable=False),
    Index("ix_clashes_pair", "agent", "other", unique=True),
    partial("ix_clashes_standing", "fleet", where="since IS NOT NULL"),
    sqlite_autoincrement=True,
)

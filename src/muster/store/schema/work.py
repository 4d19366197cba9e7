"""What agents made, and what keeps it."""

from sqlalchemy import Column, ForeignKey, Index, Table

from muster.store.columns import Moment, Utf8, Words
from muster.store.schema.pieces import metadata, partial, reference, row_id, seq

worktrees = Table(
    "worktrees",
    metadata,
    seq(),
    row_id(),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False, unique=True),
    reference("fleet", "fleets"),
    Column("project", Utf8, nullable=False),
    Column("folder", Utf8, nullable=False),
    Column("subfolder", Utf8, nullable=False),
    Column("branch", Utf8, nullable=False),
    Column("ref", Utf8, nullable=False),
    Column("begins_as", Utf8, nullable=False),
    Column("base", Utf8),
    Column("setup", Words, nullable=False),
    Column("copy", Words, nullable=False),
    Column("link", Words, nullable=False),
    Column("wanted", Utf8, nullable=False),
    Column("state", Utf8, nullable=False),
    Column("error", Utf8),
    Column("owed_since", Moment),
    Column("snapshot", Utf8),
    Column("snapshot_tree", Utf8),
    Column("snapshot_tip", Utf8),
    Column("snapshot_at", Moment),
    Column("snapshot_error", Utf8),
    Column("created_at", Moment, nullable=False),
    Column("removed_at", Moment),
    Index("ix_worktrees_state", "state", "seq"),
    partial("ix_worktrees_owed", "fleet", where="owed_since IS NOT NULL"),
    partial("ix_worktrees_unwanted", "seq", where="wanted = 'absent' AND state <> 'removed'"),
    sqlite_autoincrement=True,
)

snapshots = Table(
    "snapshots",
    metadata,
    seq(),
    row_id(),
    reference("worktree", "worktrees"),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("commit", Utf8, nullable=False),
    Column("tree", Utf8, nullable=False),
    Column("tip", Utf8, nullable=False),
    Column("why", Utf8, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Column("dropped_at", Moment),
    sqlite_autoincrement=True,
)

errands = Table(
    "errands",
    metadata,
    seq(),
    row_id(),
    reference("worktree", "worktrees"),
    Column("agent", Utf8, ForeignKey("agents.id"), nullable=False),
    Column("fleet", Utf8, ForeignKey("fleets.id"), nullable=False),
    Column("kind", Utf8, nullable=False),
    Column("commit", Utf8, nullable=False),
    Column("folder", Utf8),
    Column("branch", Utf8),
    Column("state", Utf8, nullable=False),
    Column("error", Utf8),
    Column("asked_at", Moment, nullable=False),
    Column("ended_at", Moment),
    partial("ix_errands_wanted", "seq", where="state = 'wanted'"),
    sqlite_autoincrement=True,
)

"""Worktrees, their snapshots and errands: what cannot stand together."""

from sqlalchemy import and_, or_, select

from muster.model.errand import ErrandState
from muster.model.run import RunState
from muster.model.worktree import WorktreeState
from muster.store.audit.check import Wrong, error
from muster.store.audit.words import absent
from muster.store.schema import errands, runs, snapshots, worktrees


@error
def worktree_half_made() -> Wrong:
    """Worktree {id} is {state}, begun as commit {base} and removed at {removed_at}: these do not go together."""
    is_gone = (worktrees.c.state == WorktreeState.REMOVED.value).self_group()
    baseless = and_(worktrees.c.state == WorktreeState.READY.value, worktrees.c.base.is_(None))
    halves = or_(is_gone != worktrees.c.removed_at.is_not(None), baseless)
    columns = (worktrees.c.id, worktrees.c.state, worktrees.c.base, worktrees.c.removed_at)
    return select(*columns).where(halves)


@error
def run_outside_of_its_worktree() -> Wrong:
    """Run {id} is {state}, and the worktree of its agent is {stands}."""
    live = runs.c.state.in_([RunState.STARTING.value, RunState.WORKING.value])
    joined = runs.join(worktrees, worktrees.c.agent == runs.c.agent)
    columns = (runs.c.id, runs.c.state, worktrees.c.state.label("stands"))
    return select(*columns).select_from(joined).where(live, worktrees.c.state != WorktreeState.READY.value)


@error
def worktree_half_snapshotted() -> Wrong:
    """Worktree {id} has snapshot {snapshot} of tree {snapshot_tree}, taken at {snapshot_at}: all of it, or nothing."""
    has = worktrees.c.snapshot.is_not(None).self_group()
    halves = or_(has != worktrees.c.snapshot_tree.is_not(None), has != worktrees.c.snapshot_at.is_not(None))
    columns = (worktrees.c.id, worktrees.c.snapshot, worktrees.c.snapshot_tree, worktrees.c.snapshot_at)
    return select(*columns).where(halves)


@error
def worktree_snapshot_unknown() -> Wrong:
    """Worktree {id} has the snapshot {snapshot}, of which there is no row."""
    own = select(snapshots.c.id).where(
        snapshots.c.worktree == worktrees.c.id, snapshots.c.commit == worktrees.c.snapshot
    )
    return select(worktrees.c.id, worktrees.c.snapshot).where(worktrees.c.snapshot.is_not(None), ~own.exists())


@error
def snapshot_without_worktree() -> Wrong:
    """Snapshot {id} is of worktree {worktree}, of which there is no row."""
    return select(snapshots.c.id, snapshots.c.worktree).where(absent(snapshots.c.worktree, worktrees))


@error
def errand_without_worktree() -> Wrong:
    """Errand {id} is about worktree {worktree}, of which there is no row."""
    return select(errands.c.id, errands.c.worktree).where(absent(errands.c.worktree, worktrees))


@error
def errand_half_ended() -> Wrong:
    """Errand {id} is {state}, with the error {error}, ended at {ended_at}: these do not go together."""
    is_over = (errands.c.state != ErrandState.WANTED.value).self_group()
    has_failed = (errands.c.state == ErrandState.FAILED.value).self_group()
    halves = or_(is_over != errands.c.ended_at.is_not(None), has_failed != errands.c.error.is_not(None))
    return select(errands.c.id, errands.c.state, errands.c.error, errands.c.ended_at).where(halves)

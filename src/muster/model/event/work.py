"""What happened to what agents made."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import ErrandId, MergeId, SnapshotId, WorktreeId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeAsked(Event):
    """An agent is to work in a checkout of its own; it waits until that is there."""

    worktree: WorktreeId
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeReady(Event):
    """`base`: the commit that it begins as."""

    worktree: WorktreeId
    base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeFailed(Event):
    worktree: WorktreeId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeRecalled(Event):
    """It is wanted once more."""

    worktree: WorktreeId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeUnwanted(Event):
    """Its folder is to go, after a snapshot."""

    worktree: WorktreeId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeRemoved(Event):
    """Its folder is gone; branch and snapshots are there."""

    worktree: WorktreeId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeSnapshotted(Event):
    """What is in it is kept, as a commit that a ref names."""

    worktree: WorktreeId
    snapshot: SnapshotId
    commit: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeUnsnapshotted(Event):
    """A snapshot could not be taken; until one can be, nothing of it is removed or merged."""

    worktree: WorktreeId
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeFound(Event):
    """A folder among the worktrees that no row knows: it was kept under `ref` and removed, or is in the way."""

    folder: str
    ref: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandAsked(Event):
    """The operator wants something done with an agent's snapshots."""

    errand: ErrandId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandEnded(Event):
    errand: ErrandId
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequested(Event):
    """The agent's work is to land in the files of the project."""

    merge: MergeId
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeComputed(Event):
    """It fits: so many paths are to be written."""

    merge: MergeId
    paths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeLanded(Event):
    merge: MergeId
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeConflicted(Event):
    """Nothing was written: these files were changed on both sides."""

    merge: MergeId
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRefused(Event):
    merge: MergeId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeEmptied(Event):
    """There was nothing new to land."""

    merge: MergeId


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeUndoAsked(Event):
    merge: MergeId
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeUndone(Event):
    """The files are as they were before it, but for so many that somebody changed since."""

    merge: MergeId
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeKept(Event):
    """It was to be undone, and could not be now."""

    merge: MergeId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeChecked(Event):
    """What comes of it passed its check."""

    merge: MergeId
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePutBack(Event):
    """Something else has come of it since it was checked: it is checked anew, after others that wait."""

    merge: MergeId
    times: int

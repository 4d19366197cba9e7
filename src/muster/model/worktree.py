"""A worktree: one agent's own checkout, and the snapshots that keep what is in it.

The row is there before the folder is. What it wants is made true by a reconciler, which reports here what it did. An
agent has one at most; it stays when the agent is done, for a message may wake it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import PurePath

from muster.errors import Conflict, Stale
from muster.model.event import (
    WorktreeAsked,
    WorktreeFailed,
    WorktreeReady,
    WorktreeRecalled,
    WorktreeRemoved,
    WorktreeSnapshotted,
    WorktreeUnsnapshotted,
    WorktreeUnwanted,
)
from muster.model.ids import AgentId, FleetId, SnapshotId, WorktreeId


class Presence(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"


class WorktreeState(StrEnum):
    ASKED = "asked"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


class Beginning(StrEnum):
    """What a worktree begins as."""

    HEAD = "head"  # what was last committed
    DIRTY = "dirty"  # the user's files as they are, on top of it


class Isolation(StrEnum):
    """Whether agents get worktrees of their own where a spawner does not say."""

    AUTO = "auto"  # those that may edit, in a git project
    ALWAYS = "always"  # and where there is no git, that is an error
    NEVER = "never"


class Occasion(StrEnum):
    """Why a snapshot was taken."""

    IDLE = "idle"  # the agent's run has ended
    WORK = "work"  # it has worked for a while
    CUT = "cut"  # before it was stopped
    REMOVAL = "removal"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a worktree is made ready, beside the checkout itself: commands that are run in it, in order, and files of
    the project's own checkout that it gets a copy of or a link to.
    """

    begins_as: Beginning = Beginning.HEAD
    setup: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()
    link: tuple[str, ...] = ()


AS_IT_IS = Recipe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A commit that holds a worktree as it was. `tip` is the agent's own newest commit then,
    None before there is one.

    `why` is an `Occasion`. `dropped_at`: since when no ref of ours keeps it, by the user's word.
    """

    id: SnapshotId
    worktree: WorktreeId
    agent: AgentId
    fleet: FleetId
    commit: str
    tree: str
    tip: str | None
    why: Occasion
    taken_at: datetime
    dropped_at: datetime | None = None

    def drop(self, now: datetime) -> "Snapshot":
        return replace(self, dropped_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """`project` is the checkout that it was made from; `subfolder` is where in it the agent works. `ref` keeps its
    snapshots.

    `begins_as` says what it begins as, and `base` is that commit, once it is known. `owed_since`: what the agent did
    before that moment has no snapshot yet. `snapshot…` is the newest; `snapshot_error`: why there is no newer one.
    `is_compared`: the radar has held it against what the other agents have.
    """

    id: WorktreeId
    agent: AgentId
    fleet: FleetId
    project: str
    folder: str
    subfolder: str
    branch: str
    ref: str
    begins_as: Beginning
    base: str | None = None
    setup: tuple[str, ...]
    copy: tuple[str, ...]
    link: tuple[str, ...]
    wanted: Presence = Presence.PRESENT
    state: WorktreeState = WorktreeState.ASKED
    error: str | None = None
    owed_since: datetime | None = None
    snapshot: str | None = None
    snapshot_tree: str | None = None
    snapshot_tip: str | None = None
    snapshot_at: datetime | None = None
    snapshot_error: str | None = None
    is_compared: bool = False
    created_at: datetime
    removed_at: datetime | None = None

    @property
    def workplace(self) -> str:
        """The directory in which its agent works."""
        return str(PurePath(self.folder) / self.subfolder)

    @property
    def is_usable(self) -> bool:
        """An agent may work in it."""
        return self.state is WorktreeState.READY and self.wanted is Presence.PRESENT

    @property
    def awaits_snapshot(self) -> bool:
        """One is owed, and nothing is known to be in its way."""
        return self.owed_since is not None and self.snapshot_error is None

    def ask(self) -> WorktreeAsked:
        return WorktreeAsked(fleet=self.fleet, agent=self.agent, worktree=self.id, folder=self.folder)

    def rest_on(self, base: str) -> "Worktree":
        return replace(self, base=base) if self.base is None else self

    def ready(self) -> "tuple[Worktree, WorktreeReady]":
        """The folder is as it was asked for."""
        self._require(WorktreeState.ASKED, wanted=Presence.PRESENT)
        ready = replace(self, state=WorktreeState.READY, error=None)
        return ready, WorktreeReady(fleet=self.fleet, agent=self.agent, worktree=self.id, base=self.base or "")

    def fail(self, error: str) -> "tuple[Worktree, WorktreeFailed]":
        """It could not be made."""
        self._require(WorktreeState.ASKED, wanted=Presence.PRESENT)
        failed = replace(self, state=WorktreeState.FAILED, error=error)
        return failed, WorktreeFailed(fleet=self.fleet, agent=self.agent, worktree=self.id, error=error)

    def recall(self) -> "tuple[Worktree, WorktreeRecalled]":
        """Want it once more, where it was given up, was to be removed, or is not what it should be."""
        recalled = replace(self, wanted=Presence.PRESENT, state=WorktreeState.ASKED, error=None, removed_at=None)
        return recalled, WorktreeRecalled(fleet=self.fleet, agent=self.agent, worktree=self.id)

    def unwant(self) -> "tuple[Worktree, WorktreeUnwanted]":
        """Have the folder removed; branch and snapshots stay."""
        if self.wanted is Presence.ABSENT:
            raise Conflict(why=f"The worktree of {self.agent} is {self.state}, and was asked to be removed before.")
        unwanted = replace(self, wanted=Presence.ABSENT)
        return unwanted, WorktreeUnwanted(fleet=self.fleet, agent=self.agent, worktree=self.id)

    def remove(self, now: datetime) -> "tuple[Worktree, WorktreeRemoved]":
        """The folder is gone."""
        self._require(*set(WorktreeState) - {WorktreeState.REMOVED}, wanted=Presence.ABSENT)
        removed = replace(self, state=WorktreeState.REMOVED, error=None, owed_since=None, removed_at=now)
        return removed, WorktreeRemoved(fleet=self.fleet, agent=self.agent, worktree=self.id)

    def owe(self, now: datetime) -> "Worktree":
        """The agent may have changed something that no snapshot holds."""
        return replace(self, owed_since=now, snapshot_error=None)

    def keep(self, snapshot: Snapshot, owed: datetime | None) -> "tuple[Worktree, WorktreeSnapshotted | None]":
        """A snapshot was taken; what was owed at `owed`, before it was begun, is paid. The same again is no news."""
        kept = replace(
            self,
            owed_since=None if self.owed_since == owed else self.owed_since,
            snapshot=snapshot.commit,
            snapshot_tree=snapshot.tree,
            snapshot_tip=snapshot.tip,
            snapshot_at=snapshot.taken_at,
            snapshot_error=None,
            is_compared=self.is_compared and snapshot.tree == self.snapshot_tree,
        )
        if snapshot.commit == self.snapshot:
            return kept, None
        return kept, WorktreeSnapshotted(
            fleet=self.fleet,
            agent=self.agent,
            worktree=self.id,
            snapshot=snapshot.id,
            commit=snapshot.commit,
            why=snapshot.why,
        )

    def compare(self) -> "Worktree":
        """The radar has looked at the newest snapshot."""
        return replace(self, is_compared=True)

    def miss(self, error: str) -> "tuple[Worktree, WorktreeUnsnapshotted | None]":
        """A snapshot could not be taken. The same trouble again is no news."""
        missed = replace(self, snapshot_error=error)
        if error == self.snapshot_error:
            return missed, None
        return missed, WorktreeUnsnapshotted(fleet=self.fleet, agent=self.agent, worktree=self.id, error=error)

    def forget_snapshots(self) -> "Worktree":
        """The user dropped them."""
        return replace(
            self, snapshot=None, snapshot_tree=None, snapshot_tip=None, snapshot_at=None, snapshot_error=None
        )

    def _require(self, *states: WorktreeState, wanted: Presence) -> None:
        if self.state not in states or self.wanted is not wanted:
            raise Stale(kind="worktree", id=self.id, state=f"{self.state}, wanted {self.wanted}")

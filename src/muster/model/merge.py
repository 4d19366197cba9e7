"""A merge: one try to land an agent's work in the user's files, which can be taken back.

What git is asked, and what is done to files, stands in `git/`; when, in what order and with which answer, here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any  # what is told of a merge is JSON

from muster.errors import Conflict, Stale
from muster.model.change import PathChange
from muster.model.event import (
    MergeChecked,
    MergeComputed,
    MergeConflicted,
    MergeEmptied,
    MergeKept,
    MergeLanded,
    MergePutBack,
    MergeRefused,
    MergeRequested,
    MergeUndoAsked,
    MergeUndone,
)
from muster.model.ids import AgentId, FleetId, LandedPathId, MergeId, RunId

MOST_FILES = 100  # named in an answer; all of them stand in rows of their own, or on the branch
MOST_SIDES = 10  # conflicts told with both sides
SIDE = 2_000  # letters of each side

PUT_BACK = timedelta(minutes=1)


class MergeState(StrEnum):
    REQUESTED = "requested"
    COMPUTED = "computed"  # what is to be written is known, and being written
    LANDED = "landed"
    CONFLICTED = "conflicted"
    REFUSED = "refused"
    EMPTY = "empty"  # there was nothing new
    UNDONE = "undone"


UNDERWAY = (MergeState.REQUESTED, MergeState.COMPUTED)
ANSWERS = (MergeState.LANDED, MergeState.CONFLICTED, MergeState.REFUSED, MergeState.EMPTY)


class LandAs(StrEnum):
    WORKING_TREE = "working_tree"
    BRANCH = "branch"
    COMMITS = "commits"


class PathState(StrEnum):
    PLANNED = "planned"
    WRITTEN = "written"
    STUCK = "stuck"  # it was to be written, and was not
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathNote:
    """A path, and what is to be said of it."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A conflict: what git says of it, and the hunks as they differ, on the user's side and on the agent's."""

    path: str
    says: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeFacts:
    """What is told of a merge beside its state; `files` and `more` count what it changed, or what stopped it.

    `obstacles` are the user's, `sides` those of a conflict. `runs_by_itself`: files of it that somebody's program runs
    unasked. `written`: of a merge that was stopped, what it had written. `check`: the command that tried it, and
    `output` what that printed last where it did not pass. `kept`: what an undo could not take back; `undo_why`: why it
    took nothing back.
    """

    files: tuple[str, ...] = ()
    more: int = 0
    why: str | None = None
    next: str | None = None
    obstacles: tuple[PathNote, ...] = ()
    sides: tuple[Sides, ...] = ()
    runs_by_itself: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    check: str | None = None
    output: str | None = None
    kept: tuple[PathNote, ...] = ()
    undo_why: str | None = None

    def against(self, files: Sequence[str], why: str, next: str) -> "MergeFacts":
        """Told of what stopped it."""
        return replace(self, why=why, next=next).naming(files)

    def told(self) -> dict[str, Any]:
        """As JSON, without what there is nothing of."""
        return {name: value for name, value in asdict(self).items() if value}

    def naming(self, files: Sequence[str]) -> "MergeFacts":
        """With as many files as an answer bears, and how many more there are."""
        return replace(self, files=tuple(files[:MOST_FILES]), more=max(0, len(files) - MOST_FILES))


NOTHING_TOLD = MergeFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked for with a merge."""

    include_uncommitted: bool
    check: str | None = None
    land_as: LandAs = LandAs.WORKING_TREE
    squash: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a merge is made of, once it is computed. `tree` is what comes of it; `check` found that good.

    `ref` is to be moved to `commit`, where it lands as commits; `files` are what that changes.
    """

    tip: str
    ours: str
    head: str | None
    tree: str
    ref: str | None = None
    commit: str | None = None
    files: tuple[str, ...] = ()
    check: str | None = None
    runs_by_itself: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """`project` is the checkout in which it lands: one merge at a time there, in the order of the requests.

    `by_itself`: nobody asked, the fleet went quiet after the agent's `run`. `tip` is the commit of the agent's that is
    landed, `ours` the one that stands for the user's side, `head` the user's HEAD at that moment.

    As commits it lands by `ref` moving to `commit`: one, or with `squash` false the agent's own and a merge of them.

    `check` is the command that it must pass; None: what holds in the project. `checked` is the tree that passed. Each
    time that another tree has come of it by then it is put back.
    """

    id: MergeId
    agent: AgentId
    fleet: FleetId
    project: str
    run: RunId
    by_itself: bool
    include_uncommitted: bool
    land_as: LandAs = LandAs.WORKING_TREE
    squash: bool = True
    ref: str | None = None
    commit: str | None = None
    check: str | None = None
    checked: str | None = None
    put_back: int = 0
    requested_by: str
    state: MergeState = MergeState.REQUESTED
    tip: str | None = None
    ours: str | None = None
    head: str | None = None
    facts: MergeFacts = NOTHING_TOLD
    undo_wanted: bool = False
    requested_at: datetime
    computed_at: datetime | None = None
    answered_at: datetime | None = None
    undone_at: datetime | None = None

    @property
    def is_uncommitted(self) -> bool:
        """It was refused for what the agent has not committed, and for nothing of the user's."""
        told = self.facts
        is_refused = self.state is MergeState.REFUSED and not self.include_uncommitted
        return is_refused and bool(told.files) and not (told.obstacles or told.written or told.runs_by_itself)

    @property
    def is_underway(self) -> bool:
        return self.state in UNDERWAY

    @property
    def terms(self) -> Terms:
        return Terms(
            include_uncommitted=self.include_uncommitted, check=self.check, land_as=self.land_as, squash=self.squash
        )

    @property
    def is_on_branch(self) -> bool:
        """It stands on a branch of ours, and in no file of the user's."""
        return self.land_as is LandAs.BRANCH and self.state is MergeState.LANDED

    @property
    def due_at(self) -> datetime:
        """Its place in line: once put back it lets pass what was requested shortly after it, and nothing later."""
        return self.requested_at + self.put_back * PUT_BACK

    def request(self) -> MergeRequested:
        return MergeRequested(fleet=self.fleet, agent=self.agent, merge=self.id, project=self.project)

    def compute(self, plan: Plan, paths: int, now: datetime) -> tuple["Merge", MergeComputed]:
        """What is to be written is known."""
        self._require(MergeState.REQUESTED)
        facts = replace(self.facts, runs_by_itself=plan.runs_by_itself[:MOST_FILES], check=plan.check)
        facts = facts.naming(plan.files)
        made_of = replace(self, tip=plan.tip, ours=plan.ours, head=plan.head, facts=facts)
        made_of = replace(made_of, ref=plan.ref, commit=plan.commit)
        merge = replace(made_of, state=MergeState.COMPUTED, computed_at=now)
        return merge, MergeComputed(fleet=self.fleet, agent=self.agent, merge=self.id, paths=paths)

    def land(self, facts: MergeFacts, now: datetime) -> tuple["Merge", MergeLanded]:
        """All of it stands in the user's files."""
        self._require(MergeState.COMPUTED)
        landed = self._answered(MergeState.LANDED, facts, now)
        count = len(facts.files) + facts.more
        return landed, MergeLanded(fleet=self.fleet, agent=self.agent, merge=self.id, files=count)

    def conflict(self, facts: MergeFacts, now: datetime) -> tuple["Merge", MergeConflicted]:
        self._require(MergeState.REQUESTED)
        conflicted = self._answered(MergeState.CONFLICTED, facts, now)
        return conflicted, MergeConflicted(fleet=self.fleet, agent=self.agent, merge=self.id, files=facts.files)

    def refuse(self, facts: MergeFacts, now: datetime) -> tuple["Merge", MergeRefused]:
        """It does not land, or not whole: `facts.why` says why."""
        self._require(*UNDERWAY)
        refused = self._answered(MergeState.REFUSED, facts, now)
        return refused, MergeRefused(fleet=self.fleet, agent=self.agent, merge=self.id, why=facts.why or "")

    def pass_check(self, tree: str) -> tuple["Merge", MergeChecked]:
        """What comes of it was found good, as it was then."""
        self._require(MergeState.REQUESTED)
        passed = replace(self, checked=tree)
        return passed, MergeChecked(fleet=self.fleet, agent=self.agent, merge=self.id, tree=tree)

    def wait_again(self) -> tuple["Merge", MergePutBack]:
        """Something else has come of it since it was checked."""
        self._require(MergeState.REQUESTED)
        waiting = replace(self, checked=None, put_back=self.put_back + 1)
        return waiting, MergePutBack(fleet=self.fleet, agent=self.agent, merge=self.id, times=waiting.put_back)

    def find_nothing(self, now: datetime) -> tuple["Merge", MergeEmptied]:
        self._require(MergeState.REQUESTED)
        empty = self._answered(MergeState.EMPTY, NOTHING_TOLD, now)
        return empty, MergeEmptied(fleet=self.fleet, agent=self.agent, merge=self.id)

    def ask_undo(self) -> tuple["Merge", MergeUndoAsked]:
        if self.is_underway:
            raise Conflict(why=f"Merge {self.id} is {self.state}: it has no answer yet.")
        asked = replace(self, undo_wanted=True, facts=replace(self.facts, kept=(), undo_why=None))
        return asked, MergeUndoAsked(fleet=self.fleet, agent=self.agent, merge=self.id, project=self.project)

    def undo(self, kept: Sequence[PathNote], now: datetime) -> tuple["Merge", MergeUndone]:
        """What could be taken back was; `kept` names the rest."""
        self._require_undo()
        facts = replace(self.facts, kept=tuple(kept[:MOST_FILES]))
        undone = replace(self, state=MergeState.UNDONE, undo_wanted=False, facts=facts, undone_at=now)
        return undone, MergeUndone(fleet=self.fleet, agent=self.agent, merge=self.id, kept=len(kept))

    def keep(self, why: str) -> tuple["Merge", MergeKept]:
        """Nothing of it could be taken back now."""
        self._require_undo()
        kept = replace(self, undo_wanted=False, facts=replace(self.facts, undo_why=why))
        return kept, MergeKept(fleet=self.fleet, agent=self.agent, merge=self.id, why=why)

    def _answered(self, state: MergeState, facts: MergeFacts, now: datetime) -> "Merge":
        return replace(self, state=state, facts=facts, answered_at=now)

    def _require(self, *states: MergeState) -> None:
        if self.state not in states:
            raise Stale(kind="merge", id=self.id, state=self.state)

    def _require_undo(self) -> None:
        if not self.undo_wanted:
            raise Stale(kind="merge", id=self.id, state=f"{self.state}, and nobody wants it undone")


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedPath:
    """One path of a merge's plan: git's names of what stood there and of what is to. Without them there is no file."""

    id: LandedPathId
    merge: MergeId
    project: str
    position: int
    path: str
    old_blob: str | None
    old_mode: str | None
    new_blob: str | None
    new_mode: str | None
    state: PathState = PathState.PLANNED

    @property
    def change(self) -> PathChange:
        return PathChange(
            path=self.path,
            old_blob=self.old_blob,
            old_mode=self.old_mode,
            new_blob=self.new_blob,
            new_mode=self.new_mode,
        )

    def write(self) -> "LandedPath":
        self._require(PathState.PLANNED)
        return replace(self, state=PathState.WRITTEN)

    def stop(self) -> "LandedPath":
        self._require(PathState.PLANNED)
        return replace(self, state=PathState.STUCK)

    def undo(self) -> "LandedPath":
        self._require(PathState.WRITTEN)
        return replace(self, state=PathState.UNDONE)

    def _require(self, state: PathState) -> None:
        if self.state is not state:
            raise Stale(kind="path", id=self.id, state=self.state)

"""Merges: what has landed, what has not and why, and what a merge that is to be made rests on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # what is told of a merge is JSON

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.change import PathChange
from muster.model.facts import Review
from muster.model.ids import AgentId, FleetId, MergeId
from muster.model.merge import UNDERWAY, LandAs, LandedPath, Merge, MergeState, PathState
from muster.model.run import Outcome, Run
from muster.model.worktree import Worktree
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Operator, System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRow:
    """`files` are those that it changed, or that stopped it; `facts` what else there is to say, and the next step.

    `by_itself`: nobody asked for it, the fleet went quiet.
    """

    merge_id: MergeId
    agent_id: AgentId
    name: str
    fleet_id: FleetId
    project: str
    state: MergeState
    by_itself: bool
    undo_wanted: bool
    files: list[str]
    facts: dict[str, Any]
    requested_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    merges: list[MergeRow]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedFile:
    """`committed`: it stands in HEAD as it was landed, so it is not in the diff."""

    path: str
    names: list[str]
    committed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """`diff` is that of all files that are not committed, new ones too; `cut` counts those that it had no room for."""

    files: list[ReviewedFile]
    diff: str
    cut: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A merge of which something stands. `tip` is None where it does not stand whole."""

    agent: AgentId
    name: str
    tip: str | None
    changes: tuple[PathChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """An agent's `tip` that landed by a commit."""

    agent: AgentId
    tip: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeWork:
    """What the next merge of a project is made from. `landed` are those before it that stand, oldest first; `committed`
    those that landed as commits on the user's branch.

    `has_failed`: the agent's newest run did not end well. `paths`: of its own plan.
    """

    merge: Merge
    worktree: Worktree
    name: str
    has_failed: bool
    paths: tuple[LandedPath, ...]
    landed: tuple[Landed, ...]
    committed: tuple[Committed, ...]


@view(by=Operator)
def brief(tx: Reading, actor: Actor, merge_id: MergeId) -> MergeRow:
    """One merge, and what came of it."""
    return row_of(tx, tx.get(Merge, merge_id))


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId | None = None,
    agent_id: AgentId | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> MergePage:
    """Merges, newest first, of a fleet or of an agent."""
    where = {"fleet": fleet_id, "agent": agent_id}
    chosen = {name: value for name, value in where.items() if value is not None}
    merges, following = tx.page(Merge, before=cursor, limit=limit, **chosen)
    return MergePage(merges=[row_of(tx, merge) for merge in merges], cursor=following)


@view(by=Operator, facts=Review)
def review(tx: Reading, actor: Actor, fleet_id: FleetId | None = None, project: str | None = None) -> Reviewed:
    """All landed work that stands, new files too, as one diff: of a fleet, else in a project, else everywhere."""
    found = tx.facts(Review)
    files = [ReviewedFile(path=file.path, names=list(file.names), committed=file.committed) for file in found.files]
    return Reviewed(files=files, diff=found.diff, cut=found.cut)


@view(by=System)
def projects(tx: Reading, actor: Actor) -> list[str]:
    """Those in which a merge is to be made or undone."""
    wanted = [*tx.distinct(Merge, "project", state=UNDERWAY), *tx.distinct(Merge, "project", undo_wanted=True)]
    return list(dict.fromkeys(wanted))


@view(by=System)
def next_(tx: Reading, actor: Actor, project: str) -> MergeWork | None:
    """The one whose turn it is there: what is being written, else the oldest undo, else the oldest request."""
    for where in ({"state": MergeState.COMPUTED}, {"undo_wanted": True}):
        if (merge := tx.find(Merge, project=project, **where)) is not None:
            return _work(tx, merge)
    waiting = _in_line(tx, project)
    return _work(tx, waiting[0]) if waiting else None


@view(by=System)
def line(tx: Reading, actor: Actor, project: str) -> list[MergeWork]:
    """Those that wait there, in the order in which they are taken."""
    return [_work(tx, merge) for merge in _in_line(tx, project)]


@view(by=System)
def standing(
    tx: Reading, actor: Actor, fleet: FleetId | None = None, project: str | None = None
) -> dict[str, list[Landed]]:
    """What has landed and stands, oldest first, by project."""
    where: dict[str, Any] = {"fleet": fleet, "project": project}
    chosen = {name: value for name, value in where.items() if value is not None}
    found: dict[str, list[Landed]] = {}
    for merge in tx.select(Merge, **chosen):
        if landed := list(_landed(tx, [merge])):
            found.setdefault(merge.project, []).extend(landed)
    return found


def _in_line(tx: Reading, project: str) -> list[Merge]:
    return sorted(tx.select(Merge, project=project, state=MergeState.REQUESTED), key=lambda merge: merge.due_at)


def row_of(tx: Reading, merge: Merge) -> MergeRow:
    told = merge.facts.told()
    if merge.ref is not None:
        told |= {"ref": merge.ref, "commit": merge.commit}
    return MergeRow(
        merge_id=merge.id,
        agent_id=merge.agent,
        name=tx.get(Agent, merge.agent).name,
        fleet_id=merge.fleet,
        project=merge.project,
        state=merge.state,
        by_itself=merge.by_itself,
        undo_wanted=merge.undo_wanted,
        files=list(told.pop("files", ())),
        facts=told,
        requested_at=merge.requested_at,
        answered_at=merge.answered_at,
    )


def _work(tx: Reading, merge: Merge) -> MergeWork:
    agent = tx.get(Agent, merge.agent)
    worktree = tx.find(Worktree, agent=agent.id)
    assert worktree is not None, f"{merge.id} is of an agent without a worktree"
    others = [other for other in tx.select(Merge, project=merge.project) if other.id != merge.id]
    return MergeWork(
        merge=merge,
        worktree=worktree,
        name=agent.name,
        has_failed=tx.get(Run, merge.run).outcome is not Outcome.DONE,
        paths=tuple(tx.select(LandedPath, merge=merge.id)),
        landed=tuple(_landed(tx, others)),
        committed=tuple(_committed(others)),
    )


def _committed(merges: Iterable[Merge]) -> Iterable[Committed]:
    for merge in merges:
        if merge.land_as is LandAs.COMMITS and merge.state is MergeState.LANDED and merge.tip and merge.commit:
            yield Committed(agent=merge.agent, tip=merge.tip, commit=merge.commit)


def _landed(tx: Reading, merges: Iterable[Merge]) -> Iterable[Landed]:
    for merge in merges:
        written = tx.select(LandedPath, merge=merge.id, state=PathState.WRITTEN)
        if written:
            yield Landed(
                agent=merge.agent,
                name=tx.get(Agent, merge.agent).name,
                tip=merge.tip if merge.state is MergeState.LANDED else None,
                changes=tuple(path.change for path in written),
            )

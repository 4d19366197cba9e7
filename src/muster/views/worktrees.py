"""Agents' own worktrees, and the snapshots that keep what is in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any  # conditions on columns of several types

from pydantic import Field

from muster.errors import NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.errand import Errand, ErrandState
from muster.model.ids import AgentId, ErrandId, FleetId, WorktreeId
from muster.model.run import Run, RunState
from muster.model.server import Server
from muster.model.worktree import Occasion, Presence, Snapshot, Worktree, WorktreeState
from muster.store.records import Reading
from muster.store.statements import SET, But
from muster.verbs import Cursor, Operator, System, view

Limit = Annotated[int, Field(ge=1, le=500)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeBrief:
    """`branch` and `snapshot` (a commit) stay when the folder is gone. `error`: what is wrong, if anything is."""

    folder: str
    branch: str
    state: WorktreeState
    snapshot: str | None
    snapshot_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeRow(WorktreeBrief):
    """`ref` keeps the snapshots, in the project and in the hub's own copy. `base`: the commit that it began as."""

    agent_id: AgentId
    fleet_id: FleetId
    name: str
    project: str
    ref: str
    base: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreePage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    worktrees: list[WorktreeRow]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWorktree(WorktreeBrief):
    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """`tip` is the newest commit of the agent's own in it. `why`: idle, work, cut, removal or merge."""

    commit: str
    tip: str | None
    why: Occasion
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPage:
    agent_id: AgentId
    branch: str
    ref: str
    snapshots: list[SnapshotRow]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandRow:
    """`folder` or `branch`: where a snapshot was brought back."""

    errand_id: ErrandId
    agent_id: AgentId
    state: ErrandState
    commit: str
    folder: str | None
    branch: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A worktree with who lives in it."""

    worktree: Worktree
    agent: Agent
    run: Run
    server: Server | None


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId | None = None,
    state: WorktreeState | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> WorktreePage:
    """Worktrees of agents, newest first, those too whose folder is gone."""
    wanted: dict[str, Any] = {"fleet": fleet_id, "state": state}
    chosen = {name: value for name, value in wanted.items() if value is not None}
    found, cursor = tx.page(Worktree, before=cursor, limit=limit, **chosen)
    return WorktreePage(worktrees=[_row(tx, worktree) for worktree in found], cursor=cursor)


@view(by=Operator)
def snapshots(
    tx: Reading, actor: Actor, agent_id: AgentId, limit: Limit = 50, cursor: Cursor | None = None
) -> SnapshotPage:
    """An agent's snapshots, newest first: each a commit that worktree.restore brings back."""
    worktree = _worktree_of(tx, agent_id)
    found, cursor = tx.page(Snapshot, before=cursor, limit=limit, worktree=worktree.id, dropped_at=None)
    rows = [SnapshotRow(commit=one.commit, tip=one.tip, why=one.why, taken_at=one.taken_at) for one in found]
    return SnapshotPage(agent_id=agent_id, branch=worktree.branch, ref=worktree.ref, snapshots=rows, cursor=cursor)


@view(by=Operator)
def brief(tx: Reading, actor: Actor, agent_id: AgentId) -> AgentWorktree:
    """How an agent's worktree is."""
    return AgentWorktree(agent_id=agent_id, **_said(_worktree_of(tx, agent_id)))


@view(by=Operator)
def errand(tx: Reading, actor: Actor, errand_id: ErrandId) -> ErrandRow:
    """How far a restoring or a dropping is."""
    row = tx.get(Errand, errand_id)
    return ErrandRow(
        errand_id=row.id,
        agent_id=row.agent,
        state=row.state,
        commit=row.commit,
        folder=row.folder,
        branch=row.branch,
        error=row.error,
    )


# ── what the reconcilers look at ─────────────────────────────────────────────────────────────────


@view(by=System)
def pending(tx: Reading, actor: Actor) -> list[WorktreeId]:
    """Those that want something: to be made, kept or removed, or looked at while somebody works there."""
    at_work = [run.agent for run in tx.select(Run, state=RunState.WORKING)]
    found = [
        *tx.select(Worktree, state=WorktreeState.ASKED),
        *tx.select(Worktree, owed_since=SET),
        *tx.select(Worktree, wanted=Presence.ABSENT, state=But(WorktreeState.REMOVED)),
        *(tx.select(Worktree, agent=at_work) if at_work else ()),
    ]
    return list({worktree.id: None for worktree in found})


@view(by=System)
def house(tx: Reading, actor: Actor, worktree: WorktreeId) -> House:
    """One worktree, its agent and the newest run."""
    row = tx.get(Worktree, worktree)
    agent = tx.get(Agent, row.agent)
    server = None if agent.server is None else tx.get(Server, agent.server)
    return House(worktree=row, agent=agent, run=tx.get(Run, agent.run), server=server)


@view(by=System)
def of_agent(tx: Reading, actor: Actor, agent: AgentId) -> Worktree | None:
    """The worktree of an agent, where it has one of its own."""
    return tx.find(Worktree, agent=agent)


@view(by=System)
def of_agents(tx: Reading, actor: Actor, agents: Sequence[str]) -> list[WorktreeId]:
    """The worktrees of those among them that have one."""
    return [worktree.id for worktree in tx.select(Worktree, agent=list(agents))]


@view(by=System)
def all_(tx: Reading, actor: Actor) -> list[Worktree]:
    """Every one of which the folder is, or may be, there."""
    return tx.select(Worktree, state=But(WorktreeState.REMOVED))


@view(by=System)
def errands(tx: Reading, actor: Actor) -> list[ErrandId]:
    """Those that wait to be done."""
    return [one.id for one in tx.select(Errand, state=ErrandState.WANTED)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    errand: Errand
    worktree: Worktree


@view(by=System)
def task(tx: Reading, actor: Actor, errand: ErrandId) -> Task:
    """An errand with the worktree that it is about."""
    row = tx.get(Errand, errand)
    return Task(errand=row, worktree=tx.get(Worktree, row.worktree))


def worktrees_of(tx: Reading, fleet: FleetId) -> Mapping[AgentId, WorktreeBrief]:
    """Those of a fleet's agents."""
    return {worktree.agent: WorktreeBrief(**_said(worktree)) for worktree in tx.select(Worktree, fleet=fleet)}


def _said(worktree: Worktree) -> dict[str, Any]:
    return {
        "folder": worktree.folder,
        "branch": worktree.branch,
        "state": worktree.state,
        "snapshot": worktree.snapshot,
        "snapshot_at": worktree.snapshot_at,
        "error": worktree.error or worktree.snapshot_error,
    }


def _row(tx: Reading, worktree: Worktree) -> WorktreeRow:
    return WorktreeRow(
        **_said(worktree),
        agent_id=worktree.agent,
        fleet_id=worktree.fleet,
        name=tx.get(Agent, worktree.agent).name,
        project=worktree.project,
        ref=worktree.ref,
        base=worktree.base,
    )


def _worktree_of(tx: Reading, agent: AgentId) -> Worktree:
    found = tx.find(Worktree, agent=tx.get(Agent, agent).id)
    if found is None:
        raise NotFound(
            kind="worktree of agent", id=agent, hint="It works in the shared checkout; worktree.list names all."
        )
    return found

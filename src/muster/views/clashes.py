"""What the radar looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final  # Any: conditions on columns of several types

from muster.model.actor import Actor
from muster.model.agent import ACTIVE, Agent, agent_status
from muster.model.clash import Clash
from muster.model.ids import AgentId, FleetId, WorktreeId
from muster.model.run import Run
from muster.model.worktree import Worktree, WorktreeState
from muster.store.records import Reading
from muster.store.statements import SET
from muster.verbs import System, view

PATHS_SHOWN = 10

SHOWING: Final[dict[str, Any]] = {"state": WorktreeState.READY, "snapshot_tree": SET, "base": SET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What an agent has in its worktree, by the newest snapshot."""

    agent: AgentId
    worktree: WorktreeId
    project: str
    base: str
    tip: str
    tree: str
    is_at_work: bool
    is_compared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A fleet's branches in the order of spawning, and by pair what was compared last."""

    branches: list[Branch]
    clashes: Mapping[frozenset[AgentId], Clash]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClashRow:
    """`more`: how many paths are not named."""

    agents: tuple[str, str]
    paths: tuple[str, ...]
    more: int
    since: datetime


def clashes_in(tx: Reading, fleet: FleetId, names: Mapping[AgentId, str]) -> list[ClashRow]:
    """Those that stand, oldest first; what the user dropped clashes no more."""
    standing = tx.select(Clash, fleet=fleet, since=SET)
    kept = {one.agent for one in tx.select(Worktree, fleet=fleet, snapshot_tree=SET)} if standing else set()
    return [_clash_row(clash, names) for clash in standing if clash.pair <= kept]


def _clash_row(clash: Clash, names: Mapping[AgentId, str]) -> ClashRow:
    shown = clash.paths[:PATHS_SHOWN]
    return ClashRow(
        agents=(names[clash.agent], names[clash.other]),
        paths=shown,
        more=clash.more + len(clash.paths) - len(shown),
        since=clash.since or clash.compared_at,
    )


@view(by=System)
def due(tx: Reading, actor: Actor) -> list[FleetId]:
    """The fleets in which an agent has something that was not compared with what others have."""
    return tx.distinct(Worktree, "fleet", is_compared=False, **SHOWING)


@view(by=System)
def sweep(tx: Reading, actor: Actor, fleet: FleetId) -> Sweep:
    """One fleet."""
    worktrees = {one.agent: one for one in tx.select(Worktree, fleet=fleet, **SHOWING)}
    agents = tx.select(Agent, id=list(worktrees))
    runs = {run.id: run for run in tx.select(Run, id=[agent.run for agent in agents])}
    return Sweep(
        branches=[_branch(worktrees[agent.id], agent, runs[agent.run]) for agent in agents],
        clashes={clash.pair: clash for clash in tx.select(Clash, fleet=fleet)},
    )


def _branch(worktree: Worktree, agent: Agent, run: Run) -> Branch:
    return Branch(
        agent=agent.id,
        worktree=worktree.id,
        project=worktree.project,
        base=worktree.base or "",
        tip=worktree.snapshot or "",
        tree=worktree.snapshot_tree or "",
        is_at_work=agent_status(agent, run) in ACTIVE,
        is_compared=worktree.is_compared,
    )

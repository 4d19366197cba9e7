"""Teams, their members, and how far these are."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from muster.errors import SpawnUndone
from muster.model.actor import Actor
from muster.model.agent import Agent, AgentStatus, agent_status
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId
from muster.model.message import Message
from muster.model.run import Run, RunState
from muster.model.turn import Turn
from muster.model.worktree import Worktree, WorktreeState
from muster.store.members import FleetMember, members_of, status_of
from muster.store.records import Reading
from muster.store.statements import SET
from muster.store.teams import FailedSpawn, failed_spawns, team_for
from muster.verbs import Operator, System, view

Named = Annotated[str, Field(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """`since` when its status is so; `agent` is the persona; `task` and `plan` wait for the board."""

    name: str
    agent_id: AgentId
    status: AgentStatus
    since: datetime
    agent: str
    model: str | None
    branch: str | None
    worktree: str | None
    task: str | None
    last_message_at: datetime | None
    plan: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamState:
    """`failed_spawns`: those since the last that went well. `tasks` counts the board's."""

    team: str
    fleet_id: FleetId
    status: FleetStatus
    members: list[MemberRow]
    tasks: dict[str, int]
    failed_spawns: list[FailedSpawn]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """`has_begun`: the host has taken its first prompt."""

    agent_id: AgentId
    status: AgentStatus
    has_begun: Annotated[bool, Field(exclude=True)]


@view(by=Operator)
def status(tx: Reading, actor: Actor, team: Named | None = None) -> TeamState:
    """Your team and its members: who works, who is idle, who was shut down, on which branches."""
    fleet = team_for(tx, actor, team)
    members = members_of(tx, fleet.id)
    return TeamState(
        team=fleet.name,
        fleet_id=fleet.id,
        status=status_of(tx, fleet, members),
        members=[_row(tx, member, tx.find(Worktree, agent=member.agent.id)) for member in members],
        tasks={},
        failed_spawns=failed_spawns(tx, fleet.id),
    )


@view(by=Operator)
def joined(tx: Reading, actor: Actor, agent_id: AgentId) -> Beginning:
    """How far a member's start is. Raises SpawnUndone."""
    agent = tx.get(Agent, agent_id)
    if agent.undone is not None:
        raise SpawnUndone(member=agent.name, why=agent.undone)
    status = agent_status(agent, tx.get(Run, agent.run))
    waits = status in (AgentStatus.QUEUED, AgentStatus.STARTING)
    sent = tx.any(Turn, agent=agent.id, sent_at=SET)
    return Beginning(agent_id=agent.id, status=status, has_begun=sent or not (waits or status is AgentStatus.WORKING))


@view(by=System)
def found(tx: Reading, actor: Actor, lead: Actor, team: str | None) -> Fleet:
    """The team that a lead means, as it is stored."""
    return team_for(tx, lead, team)


def _row(tx: Reading, member: FleetMember, own: Worktree | None) -> MemberRow:
    agent = member.agent
    return MemberRow(
        name=agent.name,
        agent_id=agent.id,
        status=member.status,
        since=_since(member),
        agent=agent.persona,
        model=agent.model,
        branch=None if own is None else own.branch,
        worktree=None if own is None or own.state is WorktreeState.REMOVED else own.folder,
        task=None,
        last_message_at=tx.last(Message, "sent_at", sender=agent.id),
        plan=None,
    )


def _since(member: FleetMember) -> datetime:
    run = member.run
    match run.state:
        case RunState.QUEUED | RunState.STARTING:
            return run.queued_at
        case RunState.WORKING:
            return run.started_at or run.queued_at
        case RunState.ENDED:
            ended = run.ended_at or run.queued_at
            gone = member.status is AgentStatus.STOPPED and member.agent.leaving_at
            return max(ended, gone) if gone else ended

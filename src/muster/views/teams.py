"""Teams, their members, and how far these are."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any  # what is told of a merge is JSON

from pydantic import Field

from muster.errors import NotDone
from muster.model.actor import Actor
from muster.model.agent import Agent, AgentStatus, agent_status
from muster.model.cleanup import Cleanup, CleanupState
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, CleanupId, FleetId, MergeId
from muster.model.merge import Merge, MergeState, PathNote
from muster.model.message import Message
from muster.model.run import Run, RunState
from muster.model.turn import Turn
from muster.model.worktree import Worktree, WorktreeState
from muster.store.members import FleetMember, members_of, status_of
from muster.store.records import Reading
from muster.store.statements import SET, But
from muster.store.teams import FailedSpawn, Kept, failed_spawns, team_for, unlanded
from muster.verbs import Operator, System, view

UNDONE = "Mend that and spawn it again; its name is free."
UNSETTLED = "Settle that; or clean up with force, which leaves it on its branch."
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
    """How far a member's start is. Raises NotDone where it could not be started."""
    agent = tx.get(Agent, agent_id)
    if agent.undone is not None:
        raise NotDone(why=f"{agent.name} could not be started: {agent.undone}", then=UNDONE, member=agent.name)
    status = agent_status(agent, tx.get(Run, agent.run))
    waits = status in (AgentStatus.QUEUED, AgentStatus.STARTING)
    sent = tx.any(Turn, agent=agent.id, sent_at=SET)
    return Beginning(agent_id=agent.id, status=status, has_begun=sent or not (waits or status is AgentStatus.WORKING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """`files` are those that it changed; `facts` what else there is to say."""

    merge_id: MergeId
    state: MergeState
    files: list[str]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmerging:
    """`kept`: what was changed since, and stays."""

    merge_id: MergeId
    state: MergeState
    undo_wanted: bool
    kept: list[PathNote]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupRow:
    """`kept`: what was not merged, and where it is. `is_done`: the team has ended, and its worktrees are gone."""

    cleanup_id: CleanupId
    state: CleanupState
    is_done: Annotated[bool, Field(exclude=True)]
    kept: list[Kept]


@view(by=Operator)
def merged(tx: Reading, actor: Actor, merge_id: MergeId) -> Merging:
    """What came of a merge. Raises NotDone where it conflicted or was refused."""
    row = tx.get(Merge, merge_id)
    told = row.facts.told()
    if row.state in (MergeState.CONFLICTED, MergeState.REFUSED):
        why, then = told.pop("why", f"It was {row.state}."), told.pop("next", "Look at the branch.")
        raise NotDone(why=why, then=_as_tool(then), state=row.state, merge_id=row.id, **told)
    return Merging(merge_id=row.id, state=row.state, files=list(told.pop("files", ())), facts=told)


@view(by=Operator)
def unmerged(tx: Reading, actor: Actor, merge_id: MergeId) -> Unmerging:
    """What came of taking a merge back. Raises NotDone where it could not be tried."""
    row = tx.get(Merge, merge_id)
    if not row.undo_wanted and row.facts.undo_why is not None:
        raise NotDone(why=row.facts.undo_why, then="Mend that and undo it again.", state=row.state, merge_id=row.id)
    return Unmerging(merge_id=row.id, state=row.state, undo_wanted=row.undo_wanted, kept=list(row.facts.kept))


@view(by=Operator)
def cleaned(tx: Reading, actor: Actor, cleanup_id: CleanupId) -> CleanupRow:
    """How far a cleanup is. Raises NotDone where the team goes on."""
    row = tx.get(Cleanup, cleanup_id)
    if row.state is CleanupState.REFUSED:
        raise NotDone(why=row.why, then=UNSETTLED, members=list(row.members))
    standing = tx.any(Worktree, fleet=row.fleet, state=But(WorktreeState.REMOVED), snapshot_error=None)
    is_done = row.state is CleanupState.DONE
    return CleanupRow(
        cleanup_id=row.id,
        state=row.state,
        is_done=is_done and not standing,
        kept=unlanded(tx, row.fleet) if is_done else [],
    )


@view(by=System)
def cleanups(tx: Reading, actor: Actor) -> list[CleanupId]:
    """Those that are not through."""
    return [row.id for row in tx.select(Cleanup, state=CleanupState.ASKED)]


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


def _as_tool(then: str) -> str:
    """The next step in the words of whoever leads: a tool, not the command line."""
    return re.sub(r"`muster merge \S+?( --include-uncommitted)?`", lambda found: _TOOLS[bool(found[1])], then)


_TOOLS = {False: "team_merge", True: "team_merge with include_uncommitted"}

"""Fleets, their agents, and how far they are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from muster.model.actor import Actor
from muster.model.agent import AgentStatus
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId
from muster.model.turn import Turn
from muster.store.members import FleetMember, error_of, members_of, newest_turn, reason_of, status_of
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Member, Operator, Settles, System, view
from muster.views.asks import PermissionRow, permissions_in
from muster.views.clashes import ClashRow, clashes_in
from muster.views.results import Results, results_of
from muster.views.worktrees import WorktreeBrief, worktrees_of

Seconds = Annotated[float, Field(ge=0, le=3600, description="how long to wait at most")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """What all agents together may spend (0 = no limit), and have spent."""

    max_turns: int
    max_tokens: int
    max_seconds: int
    turns: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """`tokens` and `cost_usd` are those of all its agents. `reason`: why it was cancelled, or is paused."""

    fleet_id: FleetId
    name: str
    status: FleetStatus
    reason: str | None
    project: str
    created_at: datetime
    tokens: int
    cost_usd: float
    budget: BudgetRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFleetRow(FleetRow):
    agents: dict[AgentStatus, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    """`permissions`: the newest that it asked for, questions too, and what it was told. `worktree`: its own checkout;
    null: the shared one.
    """

    agent_id: AgentId
    name: str
    role: str
    status: AgentStatus
    runs: int
    tool: str | None
    tokens: int
    cost_usd: float
    last_activity_at: datetime | None
    worktree: WorktreeBrief | None
    permissions: list[PermissionRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class FullAgentRow(AgentRow):
    """`agent` is the persona; `session_id` the host's own id of the conversation.

    `due_at`: when an agent that waits after a failure is started again.
    """

    agent: str
    model: str | None
    session_id: str | None
    prompt: str
    output: str | None
    error: str | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """`conflicts`: agents, by name, whose work does not fit together so far."""

    fleet: FleetRow
    agents: list[SerializeAsAny[AgentRow]]
    conflicts: list[ClashRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    fleets: list[CountedFleetRow]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetBrief:
    fleet_id: FleetId
    status: FleetStatus


@view(by=Member)
def status(tx: Reading, actor: Actor, fleet_id: FleetId, *, full: bool = False) -> FleetState:
    """One fleet and its agents. Prompts and outputs only with `full`."""
    fleet = _own_fleet(tx, actor, fleet_id)
    members = members_of(tx, fleet.id)
    asked = permissions_in(tx, fleet.id, [member.agent.id for member in members])
    own = worktrees_of(tx, fleet.id)
    agents = [_full_row(tx, member, asked, own) if full else _agent_row(member, asked, own) for member in members]
    clashes = clashes_in(tx, fleet.id, {member.agent.id: member.agent.name for member in members})
    return FleetState(fleet=_fleet_row(tx, fleet, members), agents=agents, conflicts=clashes)


@view(by=Member)
def brief(tx: Reading, actor: Actor, fleet_id: FleetId) -> FleetBrief:
    """A fleet's status alone."""
    fleet = _own_fleet(tx, actor, fleet_id)
    return FleetBrief(fleet_id=fleet.id, status=status_of(tx, fleet, members_of(tx, fleet.id)))


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    status: FleetStatus | None = None,
    project: str | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> FleetPage:
    """Fleets, newest first, with how many of their agents are how far."""
    where = {} if project is None else {"project": project}
    rows: list[CountedFleetRow] = []
    while True:
        fleets, cursor = tx.page(Fleet, before=cursor, limit=limit - len(rows), **where)
        found = [_counted_row(tx, fleet, members_of(tx, fleet.id)) for fleet in fleets]
        rows += [row for row in found if status in (None, row.status)]
        if cursor is None or len(rows) == limit:
            return FleetPage(fleets=rows, cursor=cursor)


@view(by=System)
def row(tx: Reading, actor: Actor, fleet: FleetId) -> Fleet:
    """One fleet as it is stored."""
    return tx.get(Fleet, fleet)


def _waited_enough(first: Results, latest: Results, arguments: Mapping[str, object]) -> bool:
    if latest.quiet:
        return True
    return arguments.get("until") == "any" and latest.settled_agents > first.settled_agents


@view(by=Operator, settles=Settles(until=_waited_enough, within="timeout_seconds"))
def wait(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId,
    timeout_seconds: Seconds = 45.0,
    until: Literal["all", "any"] = "all",
) -> Results:
    """Wait until a fleet is no longer running (`all`; paused counts, a team's rest too), or one more of its agents is
    through (`any`), and give the results so far. `settled` false: the time was up first and agents still work; call
    fleet.wait again.
    """
    return results_of(tx, _own_fleet(tx, actor, fleet_id))


def _own_fleet(tx: Reading, actor: Actor, fleet_id: FleetId) -> Fleet:
    fleet = tx.get(Fleet, fleet_id)
    actor.require_fleet(fleet.id)
    return fleet


def _fleet_row(tx: Reading, fleet: Fleet, members: list[FleetMember]) -> FleetRow:
    status = status_of(tx, fleet, members)
    return FleetRow(
        fleet_id=fleet.id,
        name=fleet.name,
        status=status,
        reason=reason_of(tx, fleet, status, members),
        project=fleet.project,
        created_at=fleet.created_at,
        tokens=sum(member.agent.tokens for member in members),
        cost_usd=sum(member.agent.cost_usd for member in members),
        budget=BudgetRow(
            max_turns=fleet.max_turns,
            max_tokens=fleet.max_tokens,
            max_seconds=fleet.max_seconds,
            turns=sum(member.agent.steps for member in members),
            seconds=round(fleet.worked(tx.now).total_seconds()),
        ),
    )


def _counted_row(tx: Reading, fleet: Fleet, members: list[FleetMember]) -> CountedFleetRow:
    row = _fleet_row(tx, fleet, members)
    shallow = {field.name: getattr(row, field.name) for field in fields(row)}
    return CountedFleetRow(**shallow, agents=dict(Counter(member.status for member in members)))


Permissions = Mapping[AgentId, list[PermissionRow]]
Worktrees = Mapping[AgentId, WorktreeBrief]


def _agent_row(member: FleetMember, asked: Permissions, own: Worktrees) -> AgentRow:
    agent = member.agent
    return AgentRow(
        agent_id=agent.id,
        name=agent.name,
        role=agent.role,
        status=member.status,
        runs=member.run.number,
        tool=agent.tool,
        tokens=agent.tokens,
        cost_usd=agent.cost_usd,
        last_activity_at=agent.last_activity_at,
        worktree=own.get(agent.id),
        permissions=asked.get(agent.id, []),
    )


def _full_row(tx: Reading, member: FleetMember, asked: Permissions, own: Worktrees) -> FullAgentRow:
    turn = newest_turn(tx, member.agent.id)
    (first,) = tx.select(Turn, agent=member.agent.id, limit=1)
    row = _agent_row(member, asked, own)
    return FullAgentRow(
        **{field.name: getattr(row, field.name) for field in fields(row)},
        agent=member.agent.persona,
        model=member.agent.model,
        session_id=member.agent.session,
        prompt=first.text,
        output=turn.output,
        error=error_of(tx, member) or turn.error,
        due_at=member.run.due_at if member.status is AgentStatus.QUEUED and member.run.due_at > tx.now else None,
    )

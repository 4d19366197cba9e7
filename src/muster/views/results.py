"""What agents answered, in the order they were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any  # Any: what is told of a merge is JSON

from pydantic import Field

from muster.errors import NotFound
from muster.model.actor import Actor
from muster.model.agent import ACTIVE, AgentStatus
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId
from muster.model.merge import Merge, MergeState
from muster.model.run import MILLISECOND
from muster.model.turn import Ending
from muster.store.members import FleetMember, error_of, is_quiet, members_of, newest_turn, status_of
from muster.store.records import Reading
from muster.verbs import Member, view


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeNote:
    """`files` are those that it changed, or that stopped it; `facts` say why, and the next step."""

    state: MergeState
    files: list[str]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`output` is the final text of the newest turn, verbatim; `partial`: what was said before it failed or was cut.

    `merge`: the newest try to land what it did; null: there was none.
    """

    agent_id: AgentId
    name: str
    role: str
    status: AgentStatus
    output: str | None
    partial: bool
    error: str | None
    tokens: int
    cost_usd: float
    duration_ms: int | None
    merge: MergeNote | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """`complete`: the fleet neither runs nor is paused, so nothing will be added. `quiet`: nobody is at work."""

    fleet_id: FleetId
    status: FleetStatus
    complete: bool
    quiet: Annotated[bool, Field(exclude=True)]
    results: list[Result]

    @property
    def settled_agents(self) -> int:
        return sum(result.status not in ACTIVE for result in self.results)


@view(by=Member)
def collect(tx: Reading, actor: Actor, fleet_id: FleetId, agent_id: AgentId | None = None) -> Results:
    """The results of a fleet so far, or of one of its agents."""
    fleet = tx.get(Fleet, fleet_id)
    actor.require_fleet(fleet.id)
    return results_of(tx, fleet, agent_id)


def results_of(tx: Reading, fleet: Fleet, agent_id: AgentId | None = None) -> Results:
    members = members_of(tx, fleet.id)
    chosen = [member for member in members if agent_id in (None, member.agent.id)]
    if not chosen and agent_id is not None:
        raise NotFound(kind="agent", id=str(agent_id), hint=f"Agents of the fleet: {_named(members)}.")
    status = status_of(tx, fleet, members)
    merges = {merge.agent: merge for merge in tx.select(Merge, fleet=fleet.id)}
    return Results(
        fleet_id=fleet.id,
        status=status,
        complete=status not in (FleetStatus.RUNNING, FleetStatus.PAUSED),
        quiet=is_quiet(tx, fleet, members),
        results=[_result(tx, member, merges) for member in chosen],
    )


def _result(tx: Reading, member: FleetMember, merges: Mapping[AgentId, Merge]) -> Result:
    turn = newest_turn(tx, member.agent.id)
    return Result(
        agent_id=member.agent.id,
        name=member.agent.name,
        role=member.agent.role,
        status=member.status,
        output=turn.output,
        partial=turn.output is not None and turn.ending is not Ending.ANSWERED,
        error=error_of(tx, member),
        tokens=member.agent.tokens,
        cost_usd=member.agent.cost_usd,
        duration_ms=_duration_ms(tx, member),
        merge=_merge_note(merges.get(member.agent.id)),
    )


def _merge_note(merge: Merge | None) -> MergeNote | None:
    if merge is None:
        return None
    facts = merge.facts.told()
    return MergeNote(state=merge.state, files=list(facts.pop("files", ())), facts=facts)


def _duration_ms(tx: Reading, member: FleetMember) -> int | None:
    """How long the newest run worked; null while it has not begun."""
    return None if member.run.started_at is None else round(member.run.worked(tx.now) / MILLISECOND)


def _named(members: list[FleetMember]) -> str:
    return ", ".join(f"{member.agent.id} ({member.agent.name})" for member in members)

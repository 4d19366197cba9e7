"""Fleets are spawned and cancelled."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.agents import FLEET_SIZE, AgentWish, Reason, Timeout, enlist, not_blank
from muster.commands.endings import cut_agent
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.facts import Place
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId
from muster.store.records import Transaction
from muster.verbs import Operator, Settles, command

SHARED = "Agents work in the shared checkout {directory}: their edits are not kept apart."


FleetName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(not_blank)]
Directory = Annotated[str, Field(max_length=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """`agent_ids` in the order of the request."""

    fleet_id: FleetId
    agent_ids: list[AgentId]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    fleet_id: FleetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    ok: bool
    timeout_ms: int


@command(by=Operator, facts=Place)
def spawn(
    tx: Transaction,
    actor: Actor,
    agents: Annotated[list[AgentWish], Field(min_length=1, max_length=FLEET_SIZE)],
    name: FleetName | None = None,
    project: Directory | None = None,
    timeout_ms: Timeout | None = None,
) -> Spawned:
    """Start agents that work in parallel. Answers before anything has started; wait with fleet.wait.

    `project` is the directory that they work in (absolute); `name` defaults to the agents' names. `timeout_ms` bounds
    the wall time of each run; an agent's own comes first.
    """
    place = tx.facts(Place)
    fleet = Fleet(
        id=FleetId(tx.new_id(Fleet)),
        name=name or _name_after(agents),
        project=place.project,
        directory=place.directory,
        spawned_by=actor.label,
        timeout_ms=timeout_ms,
        created_at=tx.now,
    )
    tx.add(fleet)
    tx.record(fleet.spawn(len(agents)))
    enlisted = enlist(tx, fleet, agents, place)
    notes = [SHARED.format(directory=place.directory)]
    return Spawned(fleet_id=fleet.id, agent_ids=[agent.id for agent in enlisted], notes=notes)


@command(by=Operator)
def set_timeout(tx: Transaction, actor: Actor, fleet_id: FleetId, timeout_ms: Timeout) -> Limited:
    """Bound the wall time of each run in a fleet, of those at work too. An agent's own `timeout_ms` comes first."""
    fleet = tx.get(Fleet, fleet_id)
    fleet.require_open()
    limited, event = fleet.limit(timeout_ms)
    tx.save(limited)
    tx.record(event)
    return Limited(ok=True, timeout_ms=timeout_ms)


@command(
    by=Operator,
    settles=Settles(view="fleet.brief", until=lambda _, latest, __: latest.status is not FleetStatus.RUNNING),
)
def cancel(tx: Transaction, actor: Actor, fleet_id: FleetId, reason: Reason | None = None) -> Cancelled:
    """End a fleet and all of its agents for good; what they said so far is kept. Cancelling again changes nothing."""
    fleet = tx.get(Fleet, fleet_id)
    if fleet.cancelled_at is None:
        cancelled, event = fleet.cancel(reason, tx.now)
        tx.save(cancelled)
        tx.record(event)
        for agent in tx.select(Agent, fleet=fleet.id, wanted=Wanted.RUNNING):
            cut_agent(tx, agent, reason)
    return Cancelled(fleet_id=fleet.id)


def _name_after(agents: list[AgentWish]) -> str:
    """The first roles, as a person would call the group."""
    roles = ", ".join(wish.name or wish.role for wish in agents[:3])
    return roles[:61] + "…" if len(roles) > 64 else roles

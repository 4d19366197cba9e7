"""The agents of a fleet with their newest runs: what every view of a fleet starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.errors import Broken
from muster.model.agent import Agent, AgentStatus, agent_status
from muster.model.fleet import Fleet, FleetStatus, fleet_status
from muster.model.ids import AgentId, FleetId
from muster.model.run import Run, RunState
from muster.model.turn import Turn
from muster.store.records import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    agent: Agent
    run: Run

    @property
    def status(self) -> AgentStatus:
        return agent_status(self.agent, self.run)


def members_of(tx: Reading, fleet: FleetId) -> list[FleetMember]:
    """In the order of spawning."""
    runs = {run.id: run for run in tx.select(Run, fleet=fleet)}
    return [FleetMember(agent=agent, run=runs[agent.run]) for agent in tx.select(Agent, fleet=fleet)]


def status_of(fleet: Fleet, members: Sequence[FleetMember]) -> FleetStatus:
    return fleet_status(fleet, [member.status for member in members])


def newest_turn(tx: Reading, agent: AgentId) -> Turn:
    """Every agent has one from the moment it is written."""
    turns = tx.select(Turn, agent=agent, newest_first=True, limit=1)
    if not turns:
        raise Broken(why=f"agent {agent} has no turn")
    return turns[0]


def error_of(tx: Reading, member: FleetMember) -> str | None:
    """Why its newest run failed; of one that waits to try again, why the one before it did."""
    if member.run.state is not RunState.QUEUED or member.run.number == 1:
        return member.run.error
    before = tx.find(Run, agent=member.agent.id, number=member.run.number - 1)
    return before.error if before else None

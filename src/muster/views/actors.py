"""Who the caller is."""

from dataclasses import dataclass

from muster.model.actor import Actor, ActorKind
from muster.model.agent import Agent, AgentStatus
from muster.model.ids import AgentId, FleetId
from muster.store.records import Reading
from muster.verbs import Member, view
from muster.views.members import members_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    agent_id: AgentId
    name: str
    role: str
    status: AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`kind` is operator or agent; an operator has no id, name, role or fleet, and no peers."""

    kind: ActorKind
    agent_id: AgentId | None
    name: str | None
    role: str | None
    fleet_id: FleetId | None
    peers: list[Peer]


@view(by=Member)
def whoami(tx: Reading, actor: Actor, agent_id: AgentId | None = None) -> Identity:
    """Who you are, and who works beside you. The operator may ask for an agent."""
    actor.require_agent(agent_id)
    own = agent_id or actor.agent
    if own is None:
        return Identity(kind=actor.kind, agent_id=None, name=None, role=None, fleet_id=None, peers=[])
    agent = tx.get(Agent, own)
    return Identity(
        kind=ActorKind.AGENT,
        agent_id=agent.id,
        name=agent.name,
        role=agent.role,
        fleet_id=agent.fleet,
        peers=_peers(tx, agent),
    )


def _peers(tx: Reading, agent: Agent) -> list[Peer]:
    return [
        Peer(agent_id=peer.agent.id, name=peer.agent.name, role=peer.agent.role, status=peer.status)
        for peer in members_of(tx, agent.fleet)
        if peer.agent.id != agent.id
    ]

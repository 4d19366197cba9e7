"""Who the caller is."""

from dataclasses import dataclass

from muster.errors import Unauthenticated
from muster.model.actor import Actor, ActorKind
from muster.model.agent import Agent, AgentStatus, Wanted
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, RunId, ServerId, SessionId
from muster.model.server import Server, ServerState
from muster.model.turn import Turn
from muster.model.worktree import Worktree
from muster.store.members import members_of
from muster.store.records import Reading
from muster.verbs import Member, System, view


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
    """Who you are, and who works beside you.

    The operator may ask for an agent.
    """
    own = actor.standing_for(agent_id)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where an agent's conversation is to be found, and which run it is in; the branch of its own worktree."""

    server: Server | None
    session: SessionId | None
    directory: str
    run: RunId
    branch: str | None


@view(by=System)
def seat(tx: Reading, actor: Actor, agent: AgentId) -> Seat:
    """Where an agent sits."""
    row = tx.get(Agent, agent)
    server = None if row.server is None else tx.get(Server, row.server)
    own = tx.find(Worktree, agent=row.id)
    branch = None if own is None else own.branch
    return Seat(server=server, session=row.session, directory=row.directory, run=row.run, branch=branch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An agent with what it was told at its start."""

    agent: Agent
    fleet: Fleet
    preamble: str


@view(by=System)
def placed(tx: Reading, actor: Actor, agent: AgentId) -> Placed:
    """Who an agent is, in its own words for it."""
    row = tx.get(Agent, agent)
    (first,) = tx.select(Turn, agent=agent, limit=1)
    return Placed(agent=row, fleet=tx.get(Fleet, row.fleet), preamble=first.preamble)


@view(by=System)
def authenticated(tx: Reading, actor: Actor, kind: ActorKind, id: str, generation: int) -> Actor:
    """The actor that a genuine token stands for, while what it stands for lives. Raises Unauthenticated."""
    match kind:
        case ActorKind.AGENT:
            agent = tx.find(Agent, id=id)
            if agent is not None and agent.wanted is Wanted.RUNNING:
                return Actor(kind=kind, agent=agent.id, fleet=agent.fleet, directory=agent.directory)
        case ActorKind.SERVER:
            server = tx.find(Server, id=id)
            if server is not None and server.generation == generation and server.state is not ServerState.STOPPED:
                return Actor(kind=kind, server=server.id)
    raise Unauthenticated(why=f"the {kind} that it was made for has ended")


@view(by=System)
def in_session(tx: Reading, actor: Actor, server: ServerId, session: SessionId) -> Actor:
    """The agent whose session this is, on the server that it was placed on. Raises Unauthenticated for any other."""
    agent = tx.find(Agent, server=server, session=session)
    if agent is None or agent.wanted is not Wanted.RUNNING:
        raise Unauthenticated(why=f"session {session} is none of Muster's agents on this server")
    return Actor(kind=ActorKind.AGENT, agent=agent.id, fleet=agent.fleet, directory=agent.directory)


def _peers(tx: Reading, agent: Agent) -> list[Peer]:
    return [
        Peer(agent_id=peer.agent.id, name=peer.agent.name, role=peer.agent.role, status=peer.status)
        for peer in members_of(tx, agent.fleet)
        if peer.agent.id != agent.id
    ]

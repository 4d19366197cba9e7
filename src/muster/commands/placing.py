"""Where a run works: which slot it gets, and who wakes that slot."""

from muster.model.agent import Agent
from muster.model.ceiling import Sharding
from muster.model.ids import ServerId
from muster.model.run import LIVE, Run
from muster.model.server import Server, ServerState
from muster.store.records import Transaction


def place(tx: Transaction, run: Run, agent: Agent, sharding: Sharding, host: str) -> None:
    """Give a queued run its place on a host server."""
    server = _server_for(tx, agent, sharding, host)
    if server.state is ServerState.STOPPED:
        server, woken = server.wake(tx.now)
        tx.save(server)
        tx.record(woken)
    admitted, event = run.admit(server.id, server.generation)
    tx.save(admitted)
    tx.record(event)


def _server_for(tx: Transaction, agent: Agent, sharding: Sharding, host: str) -> Server:
    """The server that holds the agent's session; else one with room, rather awake than asleep; else a new one."""
    if agent.server is not None:
        return tx.get(Server, agent.server)
    slots = tx.select(Server, host=host)
    awake_first = sorted(slots, key=lambda server: server.state is ServerState.STOPPED)
    for server in awake_first:
        if server.state is ServerState.STOPPED or _has_room(tx, server, agent, sharding):
            return server
    server, event = Server.want(id=ServerId(tx.new_id(Server)), host=host, now=tx.now)
    tx.add(server)
    tx.record(event)
    return server


def _has_room(tx: Transaction, server: Server, agent: Agent, sharding: Sharding) -> bool:
    """A directory once opened stays loaded for the server's life, so all of this generation count."""
    if tx.count(Run, server=server.id, state=LIVE) >= sharding.agents:
        return False
    placed = tx.select(Run, server=server.id, generation=server.generation)
    loaded = {one.directory for one in tx.select(Agent, id=[run.agent for run in placed])}
    return len(loaded | {agent.directory}) <= sharding.directories

"""Runs are admitted, started and ended: reports of the reconcilers."""

from muster.commands.endings import end_open_turn, end_run
from muster.errors import Stale
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.ceiling import Ceilings, Occupancy, Sharding
from muster.model.ids import RunId, ServerId, SessionId
from muster.model.run import LIVE, Outcome, Run, RunState
from muster.model.server import Server, ServerState
from muster.model.turn import Ending, Turn
from muster.store.records import Transaction
from muster.verbs import System, command


@command(by=System)
def admit(tx: Transaction, actor: Actor, ceilings: Ceilings, sharding: Sharding, host: str) -> int:
    """Give every queued run its place that fits, first in, first out; one that a ceiling holds back holds up no other.

    Answers how many were admitted.
    """
    queued = tx.select(Run, state=RunState.QUEUED)
    if not queued:
        return 0
    live = [tx.get(Agent, run.agent) for run in tx.select(Run, state=LIVE)]
    occupancy = Occupancy(live)
    admitted = 0
    for run in queued:
        agent = tx.get(Agent, run.agent)
        if occupancy.admits(agent, ceilings):
            occupancy.take(agent)
            _place(tx, run, agent, sharding, host)
            admitted += 1
    return admitted


@command(by=System)
def start(tx: Transaction, actor: Actor, run: RunId, session: SessionId) -> None:
    """The run's session exists."""
    started, event = tx.get(Run, run).start(session, tx.now)
    tx.save(started)
    tx.record(event)
    agent = tx.get(Agent, started.agent)
    tx.save(agent.settle_in(session, started.server or ServerId("")))


@command(by=System)
def end(
    tx: Transaction,
    actor: Actor,
    run: RunId,
    outcome: Outcome,
    error: str | None = None,
    output: str = "",
    tokens: int | None = None,
    cost_usd: float | None = None,
) -> None:
    """The run is over. Its open turn ends with it; a turn that was cut before keeps its ending and what was said.

    An agent that was cancelled meanwhile ends as cancelled: any other report about it is stale.
    """
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    if agent.wanted is Wanted.STOPPED and outcome is not Outcome.CANCELLED:
        raise Stale(kind="agent", id=agent.id, state="cancelled")
    spent = agent.tokens if tokens is None else tokens
    cost = agent.cost_usd if cost_usd is None else cost_usd
    moved, event = agent.move(tool=None, tokens=spent, cost_usd=cost, now=tx.now)
    tx.save(moved)
    tx.record(event)
    if outcome is Outcome.CANCELLED:
        _keep_partial(tx, agent, output)
    else:
        ending = Ending.ANSWERED if outcome is Outcome.DONE else Ending.FAILED
        end_open_turn(tx, agent.id, ending, error, output)
    end_run(tx, row, outcome, error)


def _keep_partial(tx: Transaction, agent: Agent, output: str) -> None:
    newest = tx.select(Turn, agent=agent.id, newest_first=True, limit=1)
    for turn in newest:
        tx.save(turn.keep_output(output))


def _place(tx: Transaction, run: Run, agent: Agent, sharding: Sharding, host: str) -> None:
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

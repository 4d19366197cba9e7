"""What the runs reconciler looks at."""

from dataclasses import dataclass
from typing import Any  # conditions on columns of several types

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, RunId, ServerId, SessionId
from muster.model.run import LIVE, Run, RunState
from muster.model.server import Server
from muster.model.turn import Turn
from muster.store.members import newest_turn
from muster.store.records import Reading
from muster.verbs import System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A run with all that it takes to do it. `turns`: the agent's open ones, in order; its newest where none is."""

    run: Run
    agent: Agent
    fleet: Fleet
    turns: list[Turn]
    server: Server | None

    @property
    def unsent(self) -> Turn | None:
        """The next to be sent. An earlier run's sending does not count: each run sees to it anew that all are there."""
        return next((turn for turn in self.turns if turn.sent_in != self.run.id), None)

    @property
    def turn(self) -> Turn:
        """By which it is seen how far the run has got: the newest that was sent, for it stands for those before it."""
        sent = [turn for turn in self.turns if turn.sent_in == self.run.id]
        return sent[-1] if sent else self.turns[0]


@view(by=System)
def work(tx: Reading, actor: Actor, run: RunId) -> Work:
    """One run."""
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    turns = tx.select(Turn, agent=agent.id, ending=None) or [newest_turn(tx, agent.id)]
    server = None if row.server is None else tx.get(Server, row.server)
    return Work(run=row, agent=agent, fleet=tx.get(Fleet, row.fleet), turns=turns, server=server)


@view(by=System)
def live(
    tx: Reading,
    actor: Actor,
    server: ServerId | None = None,
    fleet: FleetId | None = None,
    agent: AgentId | None = None,
) -> list[RunId]:
    """The runs that occupy a host server: all, or those on one server, of one fleet or one agent."""
    where: dict[str, Any] = {"server": server, "fleet": fleet, "agent": agent}
    chosen = {name: value for name, value in where.items() if value is not None}
    return [run.id for run in tx.select(Run, state=LIVE, **chosen)]


@view(by=System)
def queued(tx: Reading, actor: Actor) -> int:
    """How many runs wait for a place."""
    return tx.count(Run, state=RunState.QUEUED)


@view(by=System)
def agent_in(tx: Reading, actor: Actor, server: ServerId, session: SessionId) -> Agent | None:
    """The agent whose session this is, on the server that it was placed on."""
    return tx.find(Agent, server=server, session=session)

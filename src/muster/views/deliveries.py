"""What the deliveries reconciler looks at."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.agent import Agent, why_gone
from muster.model.delivery import Delivery
from muster.model.ids import AgentId, TurnId
from muster.model.run import Run, RunState
from muster.model.server import Server
from muster.model.turn import Turn
from muster.store import inboxes
from muster.store.records import Reading
from muster.verbs import System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An agent with what is underway to it. `server`: where its session is. `unsent`: prompts nobody has sent so far.

    `is_due`: something waits that it can have now. `is_gone`: nothing will reach it any more, and something should.
    """

    agent: Agent
    run: Run
    server: Server | None
    underway: list[Delivery]
    unsent: frozenset[TurnId]
    is_due: bool
    is_gone: bool


@view(by=System)
def round_(tx: Reading, actor: Actor, agent: AgentId) -> Round:
    """One agent."""
    row = tx.get(Agent, agent)
    run = tx.get(Run, row.run)
    return Round(
        agent=row,
        run=run,
        server=None if row.server is None else tx.get(Server, row.server),
        underway=inboxes.underway(tx, agent),
        unsent=frozenset(turn.id for turn in tx.select(Turn, agent=agent, ending=None) if not turn.sends),
        is_due=_is_due(tx, row, run),
        is_gone=why_gone(row, run) is not None and inboxes.any_waiting(tx, [agent]),
    )


@view(by=System)
def open_(tx: Reading, actor: Actor) -> list[AgentId]:
    """The agents to whom something is underway, or waits and can be had."""
    return [*{*inboxes.agents_underway(tx), *_able(tx, inboxes.agents_waiting(tx))}]


@view(by=System)
def able(tx: Reading, actor: Actor, agents: list[AgentId]) -> list[AgentId]:
    """Those of the agents who can have now what waits for them, or never will."""
    return _able(tx, agents)


def _able(tx: Reading, agents: Sequence[AgentId]) -> list[AgentId]:
    rows = tx.select(Agent, id=list(agents))
    runs = {run.id: run for run in tx.select(Run, id=[row.run for row in rows])}
    found = [(row, runs[row.run]) for row in rows]
    return [row.id for row, run in found if why_gone(row, run) is not None or _is_due(tx, row, run)]


def _is_due(tx: Reading, agent: Agent, run: Run) -> bool:
    if why_gone(agent, run) is not None or agent.paused is not None:
        return False
    match run.state:
        case RunState.ENDED:
            return inboxes.will_wake(tx, [agent.id])
        case RunState.WORKING:
            return inboxes.oldest_urgent(tx, agent.id) is not None
        case RunState.QUEUED | RunState.STARTING:
            return False

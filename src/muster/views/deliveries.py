"""What the deliveries reconciler looks at."""

from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.agent import Agent, why_gone
from muster.model.delivery import Delivery
from muster.model.ids import AgentId
from muster.model.run import Run, RunState
from muster.model.server import Server
from muster.store import inboxes
from muster.store.records import Reading
from muster.verbs import System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """An agent with what is underway to it. `server`: where its session is.

    `is_due`: something waits that it can have now. `is_gone`: nothing will reach it any more, and something should.
    """

    agent: Agent
    run: Run
    server: Server | None
    underway: list[Delivery]
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
        is_due=_is_due(tx, row, run),
        is_gone=why_gone(row, run) is not None and inboxes.count_waiting(tx, agent) > 0,
    )


@view(by=System)
def open_(tx: Reading, actor: Actor) -> list[AgentId]:
    """The agents for whom something is underway or waits."""
    return inboxes.agents_with_mail(tx)


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

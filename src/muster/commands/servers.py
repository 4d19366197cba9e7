"""Host servers come and go: reports of the hosts reconciler."""

from datetime import datetime

from muster.commands.endings import CUT_OUTCOMES, end_run, queue_again
from muster.commands.failures import fail_run
from muster.errors import Conflict
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.ids import ServerId
from muster.model.retry import Again
from muster.model.run import LIVE, Outcome, Run
from muster.model.server import Server, StopReason
from muster.model.turn import Turn
from muster.store.records import Transaction
from muster.verbs import System, command

LOSSES_BORNE = 3
"""How often an agent's host server may die under it before the agent is given up."""


@command(by=System)
def ready(
    tx: Transaction,
    actor: Actor,
    server: ServerId,
    generation: int,
    pid: int,
    pid_started_at: float,
    port: int,
    version: str,
) -> None:
    """The process runs and answers."""
    row, event = tx.get(Server, server).ready(
        generation=generation, pid=pid, pid_started_at=pid_started_at, port=port, version=version, now=tx.now
    )
    tx.save(row)
    tx.record(event)


@command(by=System)
def stop(
    tx: Transaction,
    actor: Actor,
    server: ServerId,
    generation: int,
    why: StopReason,
    detail: str | None = None,
    jitter: float = 0.0,
) -> None:
    """The process is gone. Its agents' runs end with it; where work was left, another run goes on with it."""
    row, event = tx.get(Server, server).stop(generation=generation, why=why, detail=detail, now=tx.now)
    tx.save(row)
    tx.record(event)
    for run in tx.select(Run, server=server, state=LIVE):
        _release(tx, run, why, detail, jitter)


@command(by=System)
def retire(tx: Transaction, actor: Actor, server: ServerId, generation: int, idle_since: datetime) -> None:
    """Let a server go that has had nothing to do since a moment; refused where it has."""
    busy = tx.count(Run, server=server, state=LIVE)
    newest = tx.select(Run, server=server, newest_first=True, limit=1)
    row = tx.get(Server, server)
    last_use = max([row.changed_at, *(run.ended_at for run in newest if run.ended_at)])
    if busy or last_use > idle_since:
        raise Conflict(why=f"Server {server} is in use.")
    stopped, event = row.stop(generation=generation, why=StopReason.IDLE, detail=None, now=tx.now)
    tx.save(stopped)
    tx.record(event)


def _release(tx: Transaction, run: Run, why: StopReason, detail: str | None, jitter: float) -> None:
    agent = tx.get(Agent, run.agent)
    (turn,) = tx.select(Turn, agent=agent.id, newest_first=True, limit=1)
    if turn.ending in CUT_OUTCOMES:
        end_run(tx, run, CUT_OUTCOMES[turn.ending], turn.error)
    elif why is StopReason.UNFIT:
        fail_run(tx, run, agent, detail or "The host is missing.", again=Again.NEVER, jitter=jitter)
    elif why is StopReason.FAILED:
        fail_run(tx, run, agent, detail or "The host server did not start.", again=Again.SAME_TURN, jitter=jitter)
    elif why is StopReason.LOST and _losses(tx, agent) + 1 >= LOSSES_BORNE:
        error = f"The host server died {LOSSES_BORNE} times under this agent."
        fail_run(tx, run, agent, error, again=Again.NEVER, jitter=jitter)
    else:
        queue_again(tx, run, agent)
        end_run(tx, run, Outcome.INTERRUPTED, why)


def _losses(tx: Transaction, agent: Agent) -> int:
    return tx.count(Run, agent=agent.id, outcome=Outcome.INTERRUPTED, error=StopReason.LOST)

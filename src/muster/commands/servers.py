"""Host servers come and go: reports of the hosts reconciler."""

from datetime import datetime

from muster.commands.endings import cut_outcome, end_run, queue_again
from muster.commands.failures import fail_run
from muster.commands.suspicion import LONE_DEATHS_BORNE, has_survived, lone_deaths
from muster.errors import Conflict
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.ids import ServerId
from muster.model.retry import Again
from muster.model.run import LIVE, Outcome, Run
from muster.model.server import DEATHS, Server, StopReason
from muster.model.turn import CUTS
from muster.store.members import newest_turn
from muster.store.records import Transaction
from muster.verbs import System, command


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
def drain(tx: Transaction, actor: Actor, server: ServerId, generation: int, memory_mib: int) -> None:
    """The process holds more memory than it may: nobody is let in any more."""
    row, event = tx.get(Server, server).drain(generation=generation, memory_mib=memory_mib)
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
    tx.record(event)
    live = tx.select(Run, server=server, state=LIVE)
    if why in DEATHS and len(live) > 1:
        row = (row.calm() if has_survived(tx, row) else row).shake()
    tx.save(row)
    for run in live:
        _release(tx, run.die_alone() if why in DEATHS and len(live) == 1 else run, row, jitter)


@command(by=System)
def retire(tx: Transaction, actor: Actor, server: ServerId, generation: int, idle_since: datetime) -> None:
    """Let a server go that has had nothing to do since a moment; refused where it has."""
    row = tx.get(Server, server)
    if tx.any(Run, server=server, state=LIVE) or row.idle_since(tx.last(Run, "ended_at", server=server)) > idle_since:
        raise Conflict(why=f"Server {server} is in use.")
    stopped, event = row.stop(generation=generation, why=StopReason.IDLE, detail=None, now=tx.now)
    tx.save(stopped)
    tx.record(event)


def _release(tx: Transaction, run: Run, server: Server, jitter: float) -> None:
    agent = tx.get(Agent, run.agent)
    turn = newest_turn(tx, agent.id)
    if turn.ending in CUTS:
        end_run(tx, run, cut_outcome(agent, turn), turn.error)
    elif server.why is StopReason.UNFIT:
        fail_run(tx, run, agent, server.detail or "The host is missing.", again=Again.NEVER, jitter=jitter)
    elif server.why is StopReason.FAILED:
        why = server.detail or "The host server did not start."
        fail_run(tx, run, agent, why, again=Again.SAME_TURN, jitter=jitter)
    elif run.lone_death and lone_deaths(tx, agent.id) + 1 >= LONE_DEATHS_BORNE:
        _quarantine(tx, run, agent, server, jitter)
    else:
        queue_again(tx, run, agent)
        end_run(tx, run, Outcome.INTERRUPTED, server.why)


def _quarantine(tx: Transaction, run: Run, agent: Agent, server: Server, jitter: float) -> None:
    """Nobody else was there, each time: it is this agent's doing, and nobody else is suspected any more."""
    error = (
        f"Quarantined: the host server died {LONE_DEATHS_BORNE} times in a row while this agent was alone on it"
        f" (at last: {server.detail or server.why})."
    )
    fail_run(tx, run, agent, error, again=Again.NEVER, jitter=jitter)
    tx.save(server.calm())

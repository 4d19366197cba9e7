"""Runs are admitted, started and ended: reports of the reconcilers."""

from dataclasses import dataclass
from datetime import datetime

from muster.commands.endings import CUT_OUTCOMES, end_open_turn, end_run
from muster.commands.failures import fail_run, said_before
from muster.commands.placing import Places
from muster.errors import Stale
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.ceiling import Ceilings, Occupancy, Sharding
from muster.model.fleet import Fleet
from muster.model.ids import RunId, ServerId, SessionId
from muster.model.retry import Again
from muster.model.run import LIVE, MILLISECOND, Outcome, Run, RunState
from muster.model.spent import Spent
from muster.model.turn import Ending, Turn
from muster.store.records import Transaction
from muster.verbs import System, command


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How many runs were let in, and when the next that waits for its moment is due."""

    admitted: int
    next_due: datetime | None


@command(by=System)
def admit(tx: Transaction, actor: Actor, ceilings: Ceilings, sharding: Sharding, host: str) -> Admission:
    """Give every queued run its place that is due and fits, first in, first out.

    One that a ceiling or its host server holds back, or whose moment has not come, holds up no other.
    """
    places = Places(tx=tx, sharding=sharding, host=host)
    queued = places.suspects_first(tx.select(Run, state=RunState.QUEUED))
    occupancy = Occupancy(tx.get(Agent, run.agent) for run in tx.select(Run, state=LIVE))
    admitted = 0
    for run in queued:
        agent = tx.get(Agent, run.agent)
        if run.due_at <= tx.now and occupancy.admits(agent, ceilings) and places.give(run, agent):
            occupancy.take(agent)
            admitted += 1
    waiting = [run.due_at for run in queued if run.due_at > tx.now]
    return Admission(admitted=admitted, next_due=min(waiting, default=None))


@command(by=System)
def start(tx: Transaction, actor: Actor, run: RunId, session: SessionId) -> None:
    """The run's session exists."""
    started, event = tx.get(Run, run).start(session, tx.now)
    tx.save(started)
    tx.record(event)
    agent = tx.get(Agent, started.agent)
    tx.save(agent.settle_in(session, started.server or ServerId("")))


@command(by=System)
def time_out(tx: Transaction, actor: Actor, run: RunId) -> None:
    """The run's wall time is up: its turn ends so, before anything is stopped. Refused before that moment."""
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    limit = agent.timeout_ms or tx.get(Fleet, row.fleet).timeout_ms
    if limit is None or row.started_at is None or tx.now < row.started_at + limit * MILLISECOND:
        raise Stale(kind="run", id=run, state="within its time")
    end_open_turn(tx, agent.id, Ending.TIMED_OUT, f"The run was not done within {limit} ms.", "")


@command(by=System)
def finish(tx: Transaction, actor: Actor, run: RunId, output: str, spent: Spent) -> None:
    """The turn was answered."""
    row, agent = _report(tx, run, spent)
    end_open_turn(tx, agent.id, Ending.ANSWERED, None, output)
    end_run(tx, row, Outcome.DONE, None, output)


@command(by=System)
def fail(
    tx: Transaction,
    actor: Actor,
    run: RunId,
    error: str,
    again: Again,
    jitter: float,
    output: str = "",
    spent: Spent | None = None,
    *,
    session_lost: bool = False,
) -> None:
    """The run failed. While attempts are left and trying again can help, another is queued, after a pause."""
    row, agent = _report(tx, run, spent)
    kept = agent.lose_session() if session_lost else agent
    fail_run(tx, row, kept, error, again=again, jitter=jitter, output=output)


@command(by=System)
def cut(tx: Transaction, actor: Actor, run: RunId, output: str, spent: Spent) -> None:
    """What the run did was stopped, for the reason that its turn ended with. What was said is kept."""
    row = tx.get(Run, run)
    agent = _spend(tx, tx.get(Agent, row.agent), spent)
    (turn,) = tx.select(Turn, agent=agent.id, newest_first=True, limit=1)
    if turn.ending not in CUT_OUTCOMES:
        raise Stale(kind="turn", id=turn.id, state=turn.ending or "open")
    tx.save(turn.keep_output(output or said_before(tx, agent.id)))
    end_run(tx, row, CUT_OUTCOMES[turn.ending], turn.error, output)


def _report(tx: Transaction, run: RunId, spent: Spent | None) -> tuple[Run, Agent]:
    """A report about a turn that is still open; what was cut meanwhile ends as cut, so any other report is stale."""
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    if agent.wanted is Wanted.STOPPED or agent.run != row.id or not tx.select(Turn, agent=agent.id, ending=None):
        raise Stale(kind="run", id=run, state="cut")
    return row, agent if spent is None else _spend(tx, agent, spent)


def _spend(tx: Transaction, agent: Agent, spent: Spent) -> Agent:
    moved, event = agent.move(tool=None, tokens=spent.tokens, cost_usd=spent.cost_usd, now=tx.now)
    tx.save(moved)
    tx.record(event)
    return moved

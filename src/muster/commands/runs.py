"""Runs are admitted, started and ended: reports of the reconcilers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.commands.budgets import enforce, pause_agent, why_not
from muster.commands.endings import cut_outcome, end_open_turns, end_run, end_turns, open_turns
from muster.commands.failures import fail_run, revive, said_before
from muster.commands.isolating import is_housed
from muster.commands.placing import Places
from muster.commands.proofs import note_seen
from muster.errors import Stale
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.ask import Ask, AskState
from muster.model.ceiling import Ceilings, Occupancy, Sharding
from muster.model.deadline import Lapse, Watch, next_deadline
from muster.model.event import HubSlept
from muster.model.fleet import Fleet
from muster.model.ids import RunId, ServerId, SessionId, TurnId
from muster.model.retry import Again
from muster.model.run import LIVE, Outcome, Run, RunState
from muster.model.spent import Spent
from muster.model.turn import CUTS, Ending, Turn
from muster.store import inboxes
from muster.store.members import has_open_turn, newest_turn
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

    One that a ceiling, its host server or a worktree that is not ready holds back, or whose moment has not come, holds
    up no other. One whose budget is used up is paused.
    """
    places = Places(tx, sharding, host)
    queued = places.suspects_first(tx.select(Run, state=RunState.QUEUED))
    occupancy = Occupancy(tx.get(Agent, run.agent) for run in tx.select(Run, state=LIVE))
    admitted = 0
    for run in queued:
        agent = tx.get(Agent, run.agent)
        if run.due_at > tx.now or not occupancy.admits(agent, ceilings):
            continue
        if (reason := why_not(tx, agent)) is not None:
            pause_agent(tx, agent, reason)
        elif is_housed(tx, agent) and places.give(run, agent):
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
    tx.save(tx.get(Fleet, started.fleet).begin_work(tx.now))


@command(by=System)
def lapse(tx: Transaction, actor: Actor, run: RunId, watch: Watch) -> None:
    """A deadline of the run has passed: its turn ends so, before anything is stopped. Refused before that moment."""
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    due = next_deadline(row, agent, tx.get(Fleet, row.fleet), watch)
    if due is None or due.at > tx.now or row.state is not RunState.WORKING:
        raise Stale(kind="run", id=run, state="within its time")
    if due.lapse is Lapse.SECONDS:
        enforce(tx, agent)
    else:
        end_open_turns(tx, agent.id, Ending.TIMED_OUT, due.says)


@command(by=System)
def stir(tx: Transaction, actor: Actor, run: RunId) -> None:
    """The run gave a sign of life that nothing else tells."""
    row = tx.get(Run, run)
    tx.save(row.stir(tx.now))
    tx.save(tx.get(Agent, row.agent).stir(tx.now))


@command(by=System)
def sleep(tx: Transaction, actor: Actor, gap: timedelta) -> None:
    """For so long nobody looked after the runs at work: their deadlines, and what counts as work, move by as much."""
    runs = tx.select(Run, state=RunState.WORKING)
    for run in runs:
        tx.save(run.sleep(gap))
    for fleet in tx.select(Fleet, id=[*{run.fleet for run in runs}]):
        tx.save(fleet.sleep(gap))
    for ask in tx.select(Ask, state=AskState.WAITING):
        tx.save(ask.sleep(gap))
    if runs:
        tx.record(HubSlept(seconds=gap.total_seconds(), runs=len(runs)))


@command(by=System)
def finish(tx: Transaction, actor: Actor, run: RunId, turn: TurnId, output: str, spent: Spent | None) -> None:
    """A turn was answered, and with it all that were sent before it. What came after it goes on in the same run."""
    row, agent = _report(tx, run, spent)
    turns = open_turns(tx, agent.id)
    answered = _up_to(turn, turns)
    end_turns(tx, answered, Ending.ANSWERED, None, output)
    if len(answered) == len(turns):
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
    not_before: datetime | None = None,
    *,
    session_lost: bool = False,
) -> None:
    """The run failed. While attempts are left and trying again can help, another is queued, after a pause.

    `not_before` is when the provider will hear of it again, where it said so.
    """
    row, agent = _report(tx, run, spent)
    if session_lost:
        agent = agent.lose_session()
        revive(tx, agent)
    fail_run(tx, row, agent, error, again=again, jitter=jitter, output=output, not_before=not_before)


@command(by=System)
def cut(
    tx: Transaction, actor: Actor, run: RunId, output: str, spent: Spent | None = None, *, answered: bool = False
) -> None:
    """What the run did was stopped, for the reason that its turn ended with. What was said is kept.

    `answered`: the answer had come before it was stopped. After a pause it stands, so that nobody pays for it twice.
    """
    row = tx.get(Run, run)
    agent = _spend(tx, tx.get(Agent, row.agent), spent)
    turn = newest_turn(tx, agent.id)
    if turn.ending not in CUTS:
        raise Stale(kind="turn", id=turn.id, state=turn.ending or "open")
    if answered and turn.ending is Ending.PAUSED and agent.paused is not None:
        _answer_after_all(tx, row, agent, turn, output)
        return
    tx.save(turn.keep_output(output or said_before(tx, agent.id)))
    end_run(tx, row, cut_outcome(agent, turn), turn.error, output)


def _answer_after_all(tx: Transaction, run: Run, agent: Agent, turn: Turn, output: str) -> None:
    resumed, event = agent.resume()
    tx.save(resumed)
    tx.record(event)
    paused = tx.select(Turn, agent=agent.id, ending=Ending.PAUSED, sent_in=run.id)
    for one in paused:
        answered = one.answer_after_all()
        tx.save(answered.keep_output(output) if one.id == turn.id else answered)
    for delivery in inboxes.carried_by(tx, [one.id for one in paused]):
        note_seen(tx, delivery)
    end_run(tx, run, Outcome.DONE, None, output)


def _up_to(turn: TurnId, turns: Sequence[Turn]) -> list[Turn]:
    """Raises Stale where that one was ended meanwhile."""
    for index, one in enumerate(turns, start=1):
        if one.id == turn:
            return list(turns[:index])
    raise Stale(kind="turn", id=turn, state="ended")


def _report(tx: Transaction, run: RunId, spent: Spent | None) -> tuple[Run, Agent]:
    """A report about a turn that is still open; what was cut meanwhile ends as cut, so any other report is stale."""
    row = tx.get(Run, run)
    agent = tx.get(Agent, row.agent)
    if agent.wanted is Wanted.STOPPED or agent.run != row.id or not has_open_turn(tx, agent.id):
        raise Stale(kind="run", id=run, state="cut")
    return row, _spend(tx, agent, spent)


def _spend(tx: Transaction, agent: Agent, spent: Spent | None) -> Agent:
    moved, event = agent.move(tool=None, spent=spent, now=tx.now)
    tx.save(moved)
    tx.record(event)
    return moved

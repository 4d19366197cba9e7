"""How work ends inside a transaction: the endings are written here, before anything outside is stopped."""

from datetime import timedelta

from muster.commands.notices import announce
from muster.model.agent import Agent, Wanted, agent_status
from muster.model.ask import OPEN, Ask
from muster.model.event import FleetQuieted
from muster.model.fleet import Fleet, FleetStatus, fleet_status
from muster.model.ids import AgentId, FleetId, RunId
from muster.model.run import Outcome, Run, RunState
from muster.model.turn import CUTS, Ending, Turn
from muster.store.records import Transaction


def cut_agent(tx: Transaction, agent: Agent, reason: str | None) -> None:
    """Want no more of an agent. A run that was only waiting ends here; one at work is ended by its reconciler."""
    stopped, event = agent.cancel(reason)
    tx.save(stopped)
    tx.record(event)
    end_open_turn(tx, agent.id, Ending.CANCELLED, reason, "")
    run = tx.get(Run, agent.run)
    if run.state is RunState.QUEUED:
        end_run(tx, run, Outcome.CANCELLED, reason)


def cut_outcome(agent: Agent, turn: Turn) -> Outcome:
    """How a run ends whose turn was cut; what was cancelled since then is cancelled."""
    return Outcome.CANCELLED if agent.wanted is Wanted.STOPPED or turn.ending is None else CUTS[turn.ending]


def end_run(tx: Transaction, run: Run, outcome: Outcome, error: str | None, output: str = "") -> None:
    """End a run, and tell when its fleet has thereby become quiet."""
    ended, event = run.end(outcome, error, tx.now, output)
    tx.save(ended)
    for ask in tx.select(Ask, agent=ended.agent, run=ended.id, state=OPEN):
        withdraw_ask(tx, ask)
    tx.record(event)
    if run.state is RunState.WORKING:
        _settle_time(tx, ended)
    status = status_of(tx, run.fleet)
    if status is not FleetStatus.RUNNING:
        tx.record(FleetQuieted(fleet=run.fleet, status=status))
        announce(tx, tx.get(Fleet, run.fleet), status)


def announce_rest(tx: Transaction, fleet: FleetId) -> None:
    """Tell the lead of a fleet that is at rest: what was paused has no run left whose end would do it."""
    if (status := status_of(tx, fleet)) not in (FleetStatus.RUNNING, FleetStatus.PAUSED):
        announce(tx, tx.get(Fleet, fleet), status)


def _settle_time(tx: Transaction, ended: Run) -> None:
    tx.save(tx.get(Agent, ended.agent).rest(ended))
    if not tx.count(Run, fleet=ended.fleet, state=RunState.WORKING):
        tx.save(tx.get(Fleet, ended.fleet).rest(tx.now))


def withdraw_ask(tx: Transaction, ask: Ask) -> None:
    """Nobody waits for an answer any more."""
    gone, event = ask.withdraw()
    tx.save(gone)
    tx.record(event)


def status_of(tx: Transaction, fleet: FleetId) -> FleetStatus:
    runs = {run.id: run for run in tx.select(Run, fleet=fleet)}
    statuses = [agent_status(agent, runs[agent.run]) for agent in tx.select(Agent, fleet=fleet)]
    return fleet_status(tx.get(Fleet, fleet), statuses)


def queue_again(tx: Transaction, run: Run, agent: Agent, pause: timedelta = timedelta()) -> None:
    """The agent's next run, there before this one is closed, so that its fleet never looks quiet in between."""
    following, queued = Run.queue(
        id=RunId(tx.new_id(Run)), agent=agent.id, fleet=agent.fleet, number=run.number + 1, now=tx.now, pause=pause
    )
    tx.add(following)
    tx.save(agent.follow(following.id))
    tx.record(queued)


def end_open_turn(tx: Transaction, agent: AgentId, ending: Ending, error: str | None, output: str) -> None:
    """End the agent's open turn with what was said, in its last run or else in one before."""
    for turn in tx.select(Turn, agent=agent, ending=None):
        ended, event = turn.end(ending, tx.now, error=error)
        tx.save(ended.keep_output(output))
        tx.record(event)

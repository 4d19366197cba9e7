"""How work ends inside a transaction: the endings are written here, before anything outside is stopped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from muster.commands.isolating import forsake, owe_snapshot, take_down
from muster.commands.landings import ask_landings, withdraw_landings
from muster.commands.notices import announce
from muster.commands.outcomes import settling
from muster.commands.proofs import give_up, note_return, note_seen
from muster.model.agent import Agent, Wanted, why_gone
from muster.model.ask import OPEN, Ask
from muster.model.delivery import DeliveryState
from muster.model.event import AgentStopped, AgentUndone, FleetQuieted
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId, RunId
from muster.model.run import ON_THE_WAY, Outcome, Run, RunState
from muster.model.turn import CUTS, Ending, Turn
from muster.store import inboxes
from muster.store.members import is_quiet, members_of, standing_of, status_of
from muster.store.records import Transaction

IDLE = "idle"
SHUT_DOWN = "Shut down by its lead."
QUIET = (FleetStatus.COMPLETE, FleetStatus.FAILED)
UNSETTLED = (FleetStatus.RUNNING, FleetStatus.PAUSED)


def cut_agent(tx: Transaction, agent: Agent, reason: str | None) -> None:
    """Want no more of an agent. A run that was only waiting ends here; one at work is ended by its reconciler."""
    stopped, event = agent.cancel(reason)
    tx.save(stopped)
    tx.record(event)
    end_open_turns(tx, agent.id, Ending.CANCELLED, reason)
    run = tx.get(Run, agent.run)
    withdraw_landings(tx, agent.id)
    for delivery in inboxes.all_waiting(tx, agent.id):
        give_up(tx, delivery, why_gone(stopped, run) or "")
    forsake(tx, agent.id)
    if run.state is RunState.QUEUED:
        end_run(tx, run, Outcome.CANCELLED, reason)


def dismiss(tx: Transaction, agent: Agent, *, force: bool) -> None:
    """Let a member go: at the end of its turn, where it is in one; by force it ends that, and by itself it is stopped
    here. Who wrote to it meanwhile hears that it got nothing of that.
    """
    if agent.leaving_at is None or force:
        agent, event = agent.dismiss(tx.now, force=force)
        tx.save(agent)
        tx.record(event)
    run = tx.get(Run, agent.run)
    if run.state is RunState.ENDED:
        _leave(tx, agent)
    elif run.state is RunState.QUEUED:
        end_open_turns(tx, agent.id, Ending.CANCELLED, SHUT_DOWN)
        end_run(tx, run, Outcome.CANCELLED, SHUT_DOWN)
    elif force:
        end_open_turns(tx, agent.id, Ending.CANCELLED, SHUT_DOWN)


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
    agent = tx.get(Agent, run.agent)
    if agent.run == run.id:
        _let_go(tx, agent, ended)
        let_lapse(tx, agent)
    owe_snapshot(tx, run)
    note_rest(tx, run.fleet)


def let_lapse(tx: Transaction, agent: Agent) -> None:
    """It has ended, and is not woken for what concerned it only while it worked."""
    for delivery in inboxes.lapsing(tx, agent.id):
        give_up(tx, delivery, f"{agent.name} was done before it could have it")


def note_rest(tx: Transaction, id: FleetId) -> None:
    """Tell that a fleet is quiet or paused, where it is. A team that has nothing to do is idle, and runs on.

    Before a fleet is quiet, what its agents did is to land.
    """
    if tx.any(Run, fleet=id, state=ON_THE_WAY):
        return  # this is asked at every run's end, and all but the last need not read the whole fleet
    fleet = tx.get(Fleet, id)
    members = members_of(tx, id)
    status = status_of(tx, fleet, members)
    if status in QUIET and ask_landings(tx, fleet, members):
        return
    if is_quiet(tx, fleet, members):
        tx.record(FleetQuieted(fleet=id, status=IDLE if status is FleetStatus.RUNNING else status))
        announce(tx, fleet, status, members)


def _let_go(tx: Transaction, agent: Agent, ended: Run) -> None:
    """No other run follows this one: its member may be free to go, or never got to work."""
    if not agent.member or agent.wanted is Wanted.STOPPED:
        return
    if agent.leaving_at is not None:
        _leave(tx, agent)
    elif ended.outcome is Outcome.FAILED and not agent.steps:
        _give_up(tx, *agent.undo(ended.error or "nobody said why"))


def _leave(tx: Transaction, agent: Agent) -> None:
    end_open_turns(tx, agent.id, Ending.CANCELLED, SHUT_DOWN)
    _give_up(tx, *agent.stop())


def _give_up(tx: Transaction, agent: Agent, event: AgentStopped | AgentUndone) -> None:
    """Write that it is wanted no more, and tell whoever waits for it."""
    with settling(tx, agent.fleet):
        tx.save(agent)
        tx.record(event)
    if agent.undone is None:
        forsake(tx, agent.id)
    else:
        take_down(tx, agent.id)
    run = tx.get(Run, agent.run)
    for delivery in inboxes.all_waiting(tx, agent.id):
        give_up(tx, delivery, why_gone(agent, run) or "")


@contextmanager
def noting_rest(tx: Transaction, id: FleetId) -> Iterator[None]:
    """What is done within may put a fleet to rest without the end of a run, which would tell by itself."""
    before, told = standing_of(tx, id), tx.count(Run, fleet=id, state=RunState.ENDED)
    yield
    came_to_rest = before in UNSETTLED and standing_of(tx, id) not in (before, FleetStatus.RUNNING)
    if came_to_rest and tx.count(Run, fleet=id, state=RunState.ENDED) == told:
        note_rest(tx, id)


def _settle_time(tx: Transaction, ended: Run) -> None:
    tx.save(tx.get(Agent, ended.agent).rest(ended))
    if not tx.any(Run, fleet=ended.fleet, state=RunState.WORKING):
        tx.save(tx.get(Fleet, ended.fleet).rest(tx.now))


def withdraw_ask(tx: Transaction, ask: Ask) -> None:
    """Nobody waits for an answer any more."""
    gone, event = ask.withdraw()
    tx.save(gone)
    tx.record(event)


def queue_again(tx: Transaction, run: Run, agent: Agent, pause: timedelta = timedelta()) -> None:
    """The agent's next run, there before this one is closed, so that its fleet never looks quiet in between."""
    following, queued = Run.queue(
        id=RunId(tx.new_id(Run)), agent=agent.id, fleet=agent.fleet, number=run.number + 1, now=tx.now, pause=pause
    )
    tx.add(following)
    tx.save(agent.follow(following.id))
    tx.record(queued)


def open_turns(tx: Transaction, agent: AgentId) -> list[Turn]:
    """Oldest first. Those whose sending has begun come before the others."""
    return tx.select(Turn, agent=agent, ending=None)


def end_open_turns(tx: Transaction, agent: AgentId, ending: Ending, error: str | None, output: str = "") -> None:
    """End what the agent works on with what was said. Messages that were to be sent, and were not, wait again."""
    withdraw_unsent(tx, agent)
    end_turns(tx, open_turns(tx, agent), ending, error, output)


def end_turns(tx: Transaction, turns: Sequence[Turn], ending: Ending, error: str | None, output: str = "") -> None:
    """End turns that one answer, or one failure, ended. What was said stands with the newest of them.

    An answer proves that what they brought was read, and all that was read back from the conversation before it.
    """
    for turn in turns:
        ended, event = turn.end(ending, tx.now, error=error)
        tx.save(ended.keep_output(output) if turn is turns[-1] else ended)
        tx.record(event)
    if ending is Ending.ANSWERED:
        answered = {turn.id for turn in turns}
        for delivery in inboxes.carried(tx, turns[-1].agent):
            if delivery.turn in answered or delivery.state is DeliveryState.INJECTED:
                note_seen(tx, delivery)


def withdraw_unsent(tx: Transaction, agent: AgentId) -> None:
    """Take back the prompts that only bring messages and stand nowhere yet, where the agent works on something else."""
    turns = open_turns(tx, agent)
    unsent = [turn for turn in turns if turn.brings_messages and turn.begun_at is None]
    for turn in unsent if len(unsent) < len(turns) else ():
        withdrawn, event = turn.end(Ending.WITHDRAWN, tx.now)
        tx.save(withdrawn)
        tx.record(event)
        for delivery in inboxes.carried_by(tx, [turn.id]):
            note_return(tx, delivery)

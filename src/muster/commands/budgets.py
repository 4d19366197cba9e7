"""What happens at a ceiling: the work pauses there, and goes on when somebody says so."""

from muster.commands.endings import end_open_turns, end_run, queue_again
from muster.commands.turns import say
from muster.model.agent import Agent, Wanted
from muster.model.budget import Budget, Means, Use
from muster.model.fleet import Fleet
from muster.model.ids import FleetId
from muster.model.run import LIVE, Outcome, Run, RunState
from muster.model.turn import Ending, Turn, TurnKind
from muster.prompts.continuation import GO_ON
from muster.store import inboxes
from muster.store.members import has_open_turn, newest_turn
from muster.store.records import Transaction
from muster.store.statements import SET

RESUME = "`muster resume {fleet} --more {means}=N` lets it go on."
OPEN = (RunState.QUEUED, *LIVE)


def enforce(tx: Transaction, agent: Agent) -> None:
    """Pause what has nothing left: the whole fleet at its own ceiling, else the agent at its."""
    if (reason := _used_up_by_fleet(tx, agent.fleet)) is not None:
        for run in tx.select(Run, fleet=agent.fleet, state=OPEN):
            pause_agent(tx, tx.get(Agent, run.agent), reason)
    elif (reason := _used_up_by_agent(tx, agent)) is not None:
        pause_agent(tx, agent, reason)


def why_not(tx: Transaction, agent: Agent) -> str | None:
    """Why nothing may be started for an agent, where that is so."""
    return _used_up_by_fleet(tx, agent.fleet) or _used_up_by_agent(tx, agent)


def pause_agent(tx: Transaction, agent: Agent, reason: str) -> None:
    """A run that was only waiting ends here, its turn still open; one at work is cut by its reconciler.

    What is cut already ends as it was cut; whoever wakes the agent afterwards meets the ceiling then.
    """
    if agent.paused is not None or agent.wanted is Wanted.STOPPED or not has_open_turn(tx, agent.id):
        return
    paused, event = agent.pause(reason)
    tx.save(paused)
    tx.record(event)
    run = tx.get(Run, agent.run)
    if run.state is RunState.QUEUED:
        end_run(tx, run, Outcome.INTERRUPTED, reason)
    else:
        end_open_turns(tx, agent.id, Ending.PAUSED, reason)


def resume_agent(tx: Transaction, agent: Agent) -> None:
    """Let it go on where it stopped, in the same session."""
    resumed, event = agent.resume()
    tx.save(resumed)
    tx.record(event)
    turn = newest_turn(tx, agent.id)
    if turn.ending is Ending.PAUSED:
        _follow(tx, resumed, turn)
    run = tx.get(Run, agent.run)
    if run.state is RunState.ENDED:
        queue_again(tx, run, resumed)


def raise_budgets(tx: Transaction, fleet: Fleet, more: Budget) -> None:
    """Add to the ceilings that there are: the fleet's, and those of its agents that paused at their own."""
    raised, event = fleet.raise_budget(more)
    tx.save(raised)
    tx.record(event)
    for agent in tx.select(Agent, fleet=fleet.id, wanted=Wanted.RUNNING, paused=SET):
        if _used_up_by_agent(tx, agent) is not None:
            tx.save(agent.raise_budget(more))


def _follow(tx: Transaction, agent: Agent, cut: Turn) -> None:
    """Say next: to go on; or the turn itself with what it brings, where nothing of it can stand in the session."""
    if not _is_new(tx, cut):
        say(tx, agent, TurnKind.CONTINUATION, text=GO_ON, attempts=cut.attempts)
        return
    following = say(tx, agent, cut.kind, text=cut.text, preamble=cut.preamble, attempts=cut.attempts)
    for delivery in inboxes.carried_by(tx, [cut.id]):
        tx.save(delivery.carry(following.id))


def _is_new(tx: Transaction, cut: Turn) -> bool:
    """A task is better told twice than not at all; what others said is brought once."""
    if cut.brings_messages:
        return cut.begun_at is None
    return cut.sends == 0 and not (cut.kind is TurnKind.REVIVAL and inboxes.any_read_back(tx, cut))


def _used_up_by_fleet(tx: Transaction, id: FleetId) -> str | None:
    fleet = tx.get(Fleet, id)
    use = Use(
        turns=tx.total(Agent, "steps", fleet=id),
        tokens=tx.total(Agent, "tokens", fleet=id),
        seconds=fleet.worked(tx.now).total_seconds(),
    )
    means = fleet.budget.used_up(use)
    return None if means is None else _reason("The fleet", fleet.budget, means, id)


def _used_up_by_agent(tx: Transaction, agent: Agent) -> str | None:
    worked = agent.worked(tx.get(Run, agent.run), tx.now)
    use = Use(turns=agent.steps, tokens=agent.tokens, seconds=worked.total_seconds())
    means = agent.budget.used_up(use)
    return None if means is None else _reason(f"Agent {agent.name}", agent.budget, means, agent.fleet)


def _reason(who: str, budget: Budget, means: Means, fleet: FleetId) -> str:
    return f"{who} has used its {budget.limit(means):,} {means}. {RESUME.format(fleet=fleet, means=means)}"

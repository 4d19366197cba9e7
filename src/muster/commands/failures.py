"""What a failed run is followed by: another one, or the end of its turns."""

from collections.abc import Sequence
from datetime import datetime

from muster.commands.endings import end_run, end_turns, open_turns, queue_again, withdraw_unsent
from muster.commands.proofs import note_loss
from muster.commands.turns import say
from muster.model.agent import Agent
from muster.model.delivery import Delivery, first_batch
from muster.model.ids import AgentId
from muster.model.message import Message
from muster.model.retry import Again, pause
from muster.model.run import Outcome, Run
from muster.model.turn import Ending, Turn, TurnKind
from muster.prompts.messages import digest, revival
from muster.prompts.retry import AFTER_REFUSAL, ASK_FOR_ANSWER
from muster.store import inboxes
from muster.store.decisions import proposals_among
from muster.store.records import Transaction
from muster.store.statements import SET

ASKING_ANEW = {Again.NEW_TURN: ASK_FOR_ANSWER, Again.AFTER_REFUSAL: AFTER_REFUSAL}


def fail_run(
    tx: Transaction,
    run: Run,
    agent: Agent,
    error: str,
    *,
    again: Again,
    jitter: float,
    output: str = "",
    not_before: datetime | None = None,
) -> None:
    """End a run as failed. While attempts are left and trying again can help, queue another, after a pause."""
    withdraw_unsent(tx, agent.id)
    turns = open_turns(tx, agent.id)
    attempts = max(turn.attempts for turn in turns) + 1
    if again is Again.NEVER or attempts >= agent.max_attempts:
        end_turns(tx, turns, Ending.FAILED, error, output or said_before(tx, agent.id))
    else:
        if again in ASKING_ANEW:
            end_turns(tx, turns, Ending.FAILED, error)
            say(tx, agent, TurnKind.RETRY, text=ASKING_ANEW[again], attempts=attempts)
        else:
            for turn in turns:
                tx.save(turn.fail_attempt())
        queue_again(tx, run, agent, max(pause(attempts, jitter), (not_before or tx.now) - tx.now))
    end_run(tx, run, Outcome.FAILED, error, output)


def said_before(tx: Transaction, agent: AgentId) -> str:
    """What the newest run said that said anything."""
    said = tx.select(Run, agent=agent, output=SET, newest_first=True, limit=1)
    return said[0].output or "" if said else ""


def revive(tx: Transaction, agent: Agent) -> None:
    """Its session is lost, and with it all that was said there: begin anew, with the task and what is unacknowledged.

    Where that is all it was told, it is simply told again; what it took itself meanwhile waits again.
    """
    withdraw_unsent(tx, agent.id)
    turns = open_turns(tx, agent.id)
    if [turn.kind for turn in turns] in ([TurnKind.FIRST], [TurnKind.REVIVAL]):
        _tell_again(tx, agent, turns[0])
        return
    end_turns(tx, turns, Ending.FAILED, "Its session was lost.")
    (first,) = tx.select(Turn, agent=agent.id, limit=1)
    answered = tx.select(Turn, agent=agent.id, ending=Ending.ANSWERED, newest_first=True, limit=1)
    unacknowledged = [note_loss(tx, delivery) for delivery in inboxes.unacknowledged(tx, agent.id)]
    chosen = first_batch(unacknowledged)
    mail = _digest(tx, chosen, more=len(unacknowledged) - len(chosen)) if chosen else ""
    turn = say(
        tx,
        agent,
        TurnKind.REVIVAL,
        preamble=first.preamble,
        text=revival(first.text, answered[0].output if answered else None, mail),
        attempts=max(turn.attempts for turn in turns),
    )
    for delivery in chosen:
        tx.save(delivery.carry(turn.id))


def _tell_again(tx: Transaction, agent: Agent, turn: Turn) -> None:
    """What the turn brings it brings once more; what else the agent had then waits."""
    for delivery in inboxes.unacknowledged(tx, agent.id):
        lost = note_loss(tx, delivery)
        if delivery.turn == turn.id:
            tx.save(lost.carry(turn.id))


def _digest(tx: Transaction, deliveries: Sequence[Delivery], *, more: int) -> str:
    messages = tx.select(Message, id=[delivery.message for delivery in deliveries])
    return digest(messages, proposals=proposals_among(tx, messages), more=more, at_work=True)

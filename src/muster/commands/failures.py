"""What a failed run is followed by: another one, or the end of its turn."""

from datetime import datetime

from muster.commands.endings import end_open_turn, end_run, queue_again
from muster.model.agent import Agent
from muster.model.ids import AgentId, TurnId
from muster.model.retry import Again, pause
from muster.model.run import Outcome, Run
from muster.model.turn import Ending, Turn, TurnKind
from muster.prompts.retry import AFTER_REFUSAL, ASK_FOR_ANSWER
from muster.store.records import Transaction

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
    (turn,) = tx.select(Turn, agent=agent.id, ending=None)
    failed = turn.fail_attempt()
    if again is Again.NEVER or failed.attempts >= agent.max_attempts:
        end_open_turn(tx, agent.id, Ending.FAILED, error, output or said_before(tx, agent.id))
    else:
        tx.save(failed)
        if again in ASKING_ANEW:
            _ask_anew(tx, failed, error, ASKING_ANEW[again])
        queue_again(tx, run, agent, max(pause(failed.attempts, jitter), (not_before or tx.now) - tx.now))
    end_run(tx, run, Outcome.FAILED, error, output)


def said_before(tx: Transaction, agent: AgentId) -> str:
    """What the newest run said that said anything."""
    said = (run.output for run in tx.select(Run, agent=agent, newest_first=True))
    return next((output for output in said if output), "")


def _ask_anew(tx: Transaction, turn: Turn, error: str, text: str) -> None:
    ended, event = turn.end(Ending.FAILED, tx.now, error=error)
    tx.save(ended)
    tx.record(event)
    asking = Turn(
        id=TurnId(tx.new_id(Turn)),
        agent=turn.agent,
        fleet=turn.fleet,
        kind=TurnKind.RETRY,
        preamble="",
        text=text,
        attempts=turn.attempts,
        created_at=tx.now,
    )
    tx.add(asking)

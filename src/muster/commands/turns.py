"""Turns are sent: reports of the runs reconciler."""

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.ids import RunId, TurnId
from muster.model.turn import Turn, TurnKind
from muster.store.records import Transaction
from muster.verbs import System, command


@command(by=System)
def begin(tx: Transaction, actor: Actor, turn: TurnId) -> None:
    """The host is about to be asked to see to the turn for the first time. From now on it may stand in the session,
    whatever dies and whatever cuts it before that is reported; refused where it was ended meanwhile.
    """
    tx.save(tx.get(Turn, turn).begin(tx.now))


@command(by=System)
def send(tx: Transaction, actor: Actor, turn: TurnId, run: RunId) -> None:
    """The host was asked to see to the turn, once more, in a run."""
    sent, event = tx.get(Turn, turn).send(run, tx.now)
    tx.save(sent)
    tx.record(event)


def say(tx: Transaction, agent: Agent, kind: TurnKind, *, text: str, preamble: str = "", attempts: int = 0) -> Turn:
    """Write what an agent is to be told next. It is sent by the run that is on the way, or is queued beside it."""
    turn = Turn(
        id=TurnId(tx.new_id(Turn)),
        agent=agent.id,
        fleet=agent.fleet,
        kind=kind,
        preamble=preamble,
        text=text,
        attempts=attempts,
        created_at=tx.now,
    )
    tx.add(turn)
    return turn

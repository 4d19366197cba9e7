"""Turns are sent: reports of the runs reconciler."""

from muster.model.actor import Actor
from muster.model.ids import RunId, TurnId
from muster.model.turn import Turn
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

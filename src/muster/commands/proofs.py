"""What is proved of a message is written down: how far a delivery got, and the receipt that says so."""

from muster.commands.notices import owe_undelivered
from muster.commands.posting import tell
from muster.model.actor import SYSTEM, Actor
from muster.model.agent import Agent
from muster.model.delivery import Delivery
from muster.model.ids import AgentId
from muster.model.message import Message, MessageType
from muster.model.receipt import SEEN, UNDELIVERABLE, Receipt, receipt_id
from muster.prompts.messages import undeliverable
from muster.store.records import Transaction


def note_seen(tx: Transaction, delivery: Delivery) -> None:
    """A model request with it has ended."""
    seen, event = delivery.see(tx.now)
    tx.save(seen)
    tx.record(event)
    write_receipt(tx, tx.get(Message, delivery.message), delivery.agent, SEEN, by=SYSTEM)


def note_return(tx: Transaction, delivery: Delivery) -> None:
    """What was to bring it did not."""
    back, event = delivery.return_()
    tx.save(back)
    tx.record(event)


def note_loss(tx: Transaction, delivery: Delivery) -> Delivery:
    """The conversation that had it is lost. Returns it as it waits again."""
    back, event = delivery.forget()
    tx.save(back)
    if not delivery.waits:
        tx.record(event)
    return back


def give_up(tx: Transaction, delivery: Delivery, why: str) -> None:
    """It cannot be delivered any more, and its sender hears of it."""
    lost, event = delivery.give_up(why, tx.now)
    tx.save(lost)
    tx.record(event)
    write_receipt(tx, tx.get(Message, delivery.message), delivery.agent, UNDELIVERABLE, why, by=SYSTEM)
    name = tx.get(Agent, delivery.agent).name
    tell(tx, delivery.sender, MessageType.ALERT, undeliverable(delivery.message, name, why), delivery.message)
    if delivery.session is not None:
        owe_undelivered(tx, delivery.session, delivery.message, name, why)


def write_receipt(
    tx: Transaction, message: Message, agent: AgentId | None, action: str, note: str | None = None, *, by: Actor
) -> Receipt:
    """Repeated, the first stands."""
    id = receipt_id(message.id, agent, action, by.label)
    if (first := tx.find(Receipt, id=id)) is not None:
        return first
    receipt = Receipt(
        id=id,
        message=message.id,
        fleet=message.fleet,
        agent=agent,
        action=action,
        note=note,
        by=by.label,
        at=tx.now,
    )
    tx.add(receipt)
    tx.record(receipt.write())
    return receipt

"""Who saw a message, who acknowledged it, and what was noted on it."""

from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.ids import MessageId
from muster.model.receipt import ACK, Receipt, ReceiptRow
from muster.store.inboxes import message_for
from muster.store.records import Reading
from muster.verbs import Member, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Oldest first. `acknowledged`: by every recipient."""

    receipts: list[ReceiptRow]
    acknowledged: bool


@view(by=Member)
def list_(tx: Reading, actor: Actor, message_id: MessageId) -> Receipts:
    """Who saw and acknowledged a message of your fleet, and what else was noted on it."""
    message = message_for(tx, actor, message_id)
    receipts = tx.select(Receipt, message=message.id)
    done = {receipt.agent for receipt in receipts if receipt.action == ACK}
    return Receipts(receipts=[one.row() for one in receipts], acknowledged=done.issuperset(message.recipients))

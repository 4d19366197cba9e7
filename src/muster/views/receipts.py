"""Who saw a message, who acknowledged it, what was noted on it, and who voted how on a proposal."""

from dataclasses import dataclass
from heapq import merge

from muster.model.actor import Actor
from muster.model.decision import Vote
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
    """What was noted on a message, and by whom: seen, ack, votes."""
    message = message_for(tx, actor, message_id)
    receipts = tx.select(Receipt, message=message.id)
    votes = [_vote(vote) for vote in tx.select(Vote, decision=message.id)]
    done = {receipt.agent for receipt in receipts if receipt.action == ACK}
    return Receipts(
        receipts=list(merge([one.row() for one in receipts], votes, key=lambda row: row.at)),
        acknowledged=done.issuperset(message.recipients),
    )


def _vote(vote: Vote) -> ReceiptRow:
    action = "vote-approve" if vote.approve else "vote-decline"
    return ReceiptRow(agent_id=vote.agent, action=action, at=vote.at, by=vote.by, note=vote.note)

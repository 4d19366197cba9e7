"""A fleet's messages with what came of them."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.delivery import Delivery, DeliveryState, delivery_id
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, MessageId
from muster.model.message import Message, MessageType
from muster.model.receipt import Receipt, ReceiptRow
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Operator, view

EXCERPT = 160  # letters


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRow:
    """`held`: why it wakes nobody. `why`: why it could not be delivered."""

    agent_id: AgentId
    name: str
    state: DeliveryState
    held: str | None
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """`excerpt` is how it begins; `by` who sent it in fact. `to` is `*` or the recipient's id."""

    message_id: MessageId
    from_agent_id: AgentId | None
    from_name: str
    to: str
    type: MessageType
    excerpt: str
    bytes: int
    correlation_id: str | None
    by: str
    sent_at: datetime
    recipients: list[RecipientRow]
    receipts: list[ReceiptRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """Newest first. `cursor` asks for the older ones; null where there are none."""

    messages: list[MessageRow]
    cursor: int | None


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId,
    cursor: Cursor | None = None,
    limit: Limit = 50,
) -> MessagePage:
    """A fleet's messages, how far each has got with each recipient, and the receipts for it."""
    tx.get(Fleet, fleet_id)
    found, older = tx.page(Message, before=cursor, limit=limit, fleet=fleet_id)
    names = {agent.id: agent.name for agent in tx.select(Agent, fleet=fleet_id)}
    return MessagePage(messages=[_row(tx, message, names) for message in found], cursor=older)


def _row(tx: Reading, message: Message, names: dict[AgentId, str]) -> MessageRow:
    ids = [delivery_id(message.id, agent) for agent in message.recipients]
    return MessageRow(
        message_id=message.id,
        from_agent_id=message.sender,
        from_name=message.from_name,
        to=message.to,
        type=message.type,
        excerpt=message.payload[:EXCERPT],
        bytes=len(message.payload.encode()),
        correlation_id=message.correlation_id,
        by=message.by,
        sent_at=message.sent_at,
        recipients=[_recipient(delivery, names) for delivery in tx.select(Delivery, id=ids)],
        receipts=[receipt.row() for receipt in tx.select(Receipt, message=message.id)],
    )


def _recipient(delivery: Delivery, names: dict[AgentId, str]) -> RecipientRow:
    return RecipientRow(
        agent_id=delivery.agent,
        name=names[delivery.agent],
        state=delivery.state,
        held=delivery.held,
        why=delivery.why,
    )

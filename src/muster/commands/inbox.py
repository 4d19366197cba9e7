"""An inbox is read: by its agent, who thereby has what it got; or by the operator, whose look changes nothing."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.delivery import Delivery
from muster.model.ids import AgentId
from muster.model.message import Message
from muster.store import inboxes
from muster.store.inboxes import InboxRow, inbox_row
from muster.store.records import Transaction
from muster.verbs import Cursor, Member, Settles, command

Limit = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=3600, description="how long to wait for one")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Oldest first. `cursor`, given as `since`, asks for what follows; `remaining`: how many do."""

    messages: list[InboxRow]
    cursor: int
    remaining: int


@command(
    by=Member,
    awaits=Settles(view="inbox.waits", until=lambda _, latest, __: latest.any, within="wait_seconds"),
)
def read(
    tx: Transaction,
    actor: Actor,
    agent_id: AgentId | None = None,
    since: Cursor = 0,
    limit: Limit = 50,
    wait_seconds: Seconds = 0,
) -> Inbox:
    """Your messages that are not acknowledged yet, oldest first."""
    own = actor.acting_as(agent_id, "inbox.read")
    tx.get(Agent, own)
    found = inboxes.page(tx, own, after=since, limit=limit)
    cursor = found[-1][0] if found else since
    mine = actor.agent == own
    deliveries = [_taken(tx, actor, delivery) if mine else delivery for _, delivery in found]
    shown = [delivery for delivery in deliveries if not (mine and delivery.is_underway)]
    messages = {message.id: message for message in tx.select(Message, id=[one.message for one in shown])}
    return Inbox(
        messages=[inbox_row(messages[delivery.message], delivery) for delivery in shown],
        cursor=cursor,
        remaining=inboxes.count_after(tx, own, after=cursor) if len(found) == limit else 0,
    )


def _taken(tx: Transaction, actor: Actor, delivery: Delivery) -> Delivery:
    """What its recipient got so stands in its conversation, and is not brought to it again."""
    if not delivery.waits:
        return delivery
    taken, event = delivery.take(actor.call, tx.now)
    tx.save(taken)
    tx.record(event)
    return taken

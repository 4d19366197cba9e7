"""An inbox is read: by its agent, who thereby has what it got; or by the operator, whose look changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.delivery import Delivery
from muster.model.ids import AgentId, MessageId
from muster.model.message import Message
from muster.store import inboxes
from muster.store.inboxes import InboxRow, inbox_row
from muster.store.records import Transaction
from muster.verbs import Cursor, Member, Settles, command
from muster.visible import as_json

Limit = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


ANSWER_BYTES = 40 * 1024
"""To an agent in one answer: OpenCode cuts a tool's output at 50 KiB, and what it cut off nobody would have read."""
ROW_BYTES = 400  # a row's own words


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
    agent = tx.get(Agent, actor.acting_as(agent_id, "inbox.read"))
    found = inboxes.page(tx, agent.id, after=since, limit=limit)
    messages = {message.id: message for message in tx.select(Message, id=[one.message for _, one in found])}
    cursor = found[-1][0] if found else since
    shown = [delivery for _, delivery in found]
    if actor.agent == agent.id:
        chosen, cursor = _choose(found, messages, agent, since)
        shown = [_taken(tx, actor, delivery) for delivery in chosen]
    routed = inboxes.routed(tx, list(messages.values()), agent.id)
    is_last = len(found) < limit and (not found or cursor == found[-1][0])
    return Inbox(
        messages=[inbox_row(messages[one.message], one, routed.get(one.message)) for one in shown],
        cursor=cursor,
        remaining=0 if is_last else inboxes.count_after(tx, agent.id, after=cursor),
    )


def _choose(
    found: Sequence[tuple[int, Delivery]], messages: Mapping[MessageId, Message], agent: Agent, since: int
) -> tuple[list[Delivery], int]:
    """What an agent gets at once, and up to which cursor: the oldest, as many as one answer holds.

    Left out is what a prompt brings: what is on its way, and what is too long for any answer. An agent that cannot be
    prompted gets that alone.
    """
    chosen: list[Delivery] = []
    cursor, room = since, ANSWER_BYTES
    for place, delivery in found:
        size = _told_bytes(messages[delivery.message])
        if not delivery.is_underway and (agent.session is None or size <= ANSWER_BYTES):
            room -= size
            if chosen and room < 0:
                break
            chosen.append(delivery)
        cursor = place
    return chosen, cursor


def _told_bytes(message: Message) -> int:
    told = as_json([message.payload, message.correlation_id])
    return len(told.encode()) + ROW_BYTES


def _taken(tx: Transaction, actor: Actor, delivery: Delivery) -> Delivery:
    """What its recipient got so stands in its conversation, and is not brought to it again."""
    if not delivery.waits:
        return delivery
    taken, event = delivery.take(actor.call, tx.now)
    tx.save(taken)
    tx.record(event)
    return taken

"""Which messages wait for whom. The one place that knows by which columns they are found.

What still matters is a small part of all deliveries, and has indexes of its own (`schema.py`): whatever is asked here
names the conditions of one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final  # Any: conditions on columns of several types

from muster.errors import NotFound
from muster.model.actor import Actor
from muster.model.delivery import Delivery, DeliveryState
from muster.model.ids import AgentId, FleetId, MessageId, SessionId, TurnId
from muster.model.message import Message, MessageType, Routing
from muster.model.turn import Turn
from muster.store.records import Reading
from muster.store.statements import SET, Above

UNSEEN: Final[dict[str, Any]] = {"settled_at": None, "seen_at": None}
WAITING: Final = UNSEEN | {"turn": None, "injected_at": None}
CARRIED: Final = UNSEEN | {"turn": SET}
TAKEN: Final = UNSEEN | {"turn": None, "injected_at": SET}


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """`to` is `*` or the recipient's id. `state`: how far it has got. `routed`: who was asked first, if anybody."""

    message_id: MessageId
    fleet_id: FleetId
    from_agent_id: AgentId | None
    from_name: str
    to: str
    type: MessageType
    payload: str
    correlation_id: str | None
    sent_at: datetime
    state: DeliveryState
    routed: str | None = None


def routed(tx: Reading, messages: Sequence[Message], agent: AgentId) -> dict[MessageId, str]:
    """What an agent is told of those of its messages by which some were asked first."""
    ids = [message.id for message in messages if message.is_routed]
    return {routing.id: routing.told_to(agent) for routing in tx.select(Routing, id=ids)} if ids else {}


def inbox_row(message: Message, delivery: Delivery, routed: str | None = None) -> InboxRow:
    return InboxRow(
        message_id=message.id,
        fleet_id=message.fleet,
        from_agent_id=message.sender,
        from_name=message.from_name,
        to=message.to,
        type=message.type,
        payload=message.payload,
        correlation_id=message.correlation_id,
        sent_at=message.sent_at,
        state=delivery.state,
        routed=routed,
    )


def message_for(tx: Reading, actor: Actor, id: MessageId) -> Message:
    """A message of a fleet that the caller may see; any other is not there for it. Raises NotFound."""
    message = tx.find(Message, id=id)
    if message is None or actor.fleet not in (None, message.fleet):
        raise NotFound(kind="message", id=id, hint="get_inbox lists your messages with their ids.")
    return message


def page(tx: Reading, agent: AgentId, *, after: int, limit: int) -> list[tuple[int, Delivery]]:
    """What is unacknowledged, oldest first, each with its cursor."""
    return tx.following(Delivery, after=after, limit=limit, agent=agent, settled_at=None)


def arrivals(tx: Reading, agent: AgentId, *, after: int, limit: int) -> list[tuple[int, Delivery]]:
    """What was sent to it, however far that has got, oldest first, each with its cursor."""
    return tx.following(Delivery, after=after, limit=limit, agent=agent)


def count_after(tx: Reading, agent: AgentId, *, after: int) -> int:
    return tx.count(Delivery, agent=agent, settled_at=None, seq=Above(after))


def any_after(tx: Reading, agent: AgentId, *, after: int) -> bool:
    return tx.any(Delivery, agent=agent, settled_at=None, seq=Above(after))


def waiting(tx: Reading, agent: AgentId, *, limit: int) -> list[Delivery]:
    """What nothing carries yet and may wake the agent, oldest first."""
    return tx.select(Delivery, agent=agent, held=None, limit=limit, **WAITING)


def waiting_from(tx: Reading, agent: AgentId, sender: AgentId | None, *, limit: int) -> list[Delivery]:
    """What nothing carries yet of one sender, held back or not, oldest first."""
    return tx.select(Delivery, agent=agent, sender=sender, limit=limit, **WAITING)


def oldest_urgent(tx: Reading, agent: AgentId) -> Delivery | None:
    found = tx.select(Delivery, agent=agent, urgent=True, limit=1, **WAITING)
    return found[0] if found else None


def held_fleets(tx: Reading) -> list[FleetId]:
    return tx.distinct(Delivery, "fleet", held=SET, **WAITING)


def held_in(tx: Reading, agents: Sequence[AgentId]) -> list[Delivery]:
    return tx.select(Delivery, agent=list(agents), held=SET, **WAITING)


def all_waiting(tx: Reading, agent: AgentId) -> list[Delivery]:
    return tx.select(Delivery, agent=agent, **WAITING)


def any_waiting(tx: Reading, agents: Sequence[AgentId]) -> bool:
    return tx.any(Delivery, agent=list(agents), **WAITING)


def lapsing(tx: Reading, agent: AgentId) -> list[Delivery]:
    """What nothing carries yet, and is not worth waking the agent for."""
    return tx.select(Delivery, agent=agent, lapses=True, **WAITING)


def count_waiting(tx: Reading, agent: AgentId) -> int:
    return tx.count(Delivery, agent=agent, **WAITING)


def underway(tx: Reading, agent: AgentId) -> list[Delivery]:
    """What a prompt carries, or the agent took, and nobody has seen read yet."""
    return carried(tx, agent) + tx.select(Delivery, agent=agent, **TAKEN)


def carried(tx: Reading, agent: AgentId) -> list[Delivery]:
    """What prompts carry and nobody has seen read yet."""
    return tx.select(Delivery, agent=agent, **CARRIED)


def any_underway(tx: Reading, agents: Sequence[AgentId]) -> bool:
    own = list(agents)
    return tx.any(Delivery, agent=own, **CARRIED) or tx.any(Delivery, agent=own, **TAKEN)


def any_read_back(tx: Reading, turn: Turn) -> bool:
    """Whether something that the prompt brings was found in the conversation."""
    return tx.any(Delivery, agent=turn.agent, turn=turn.id, injected_at=SET)


def any_unseen(tx: Reading, agents: Sequence[AgentId]) -> bool:
    return any_waiting(tx, agents) or any_underway(tx, agents)


def carried_by(tx: Reading, turns: Sequence[TurnId]) -> list[Delivery]:
    """What these prompts carry and nobody has seen read yet."""
    return tx.select(Delivery, turn=list(turns), **UNSEEN) if turns else []


def any_underway_from(tx: Reading, sessions: Sequence[SessionId]) -> bool:
    """Whether something that was sent in one of these conversations has not been seen yet."""
    return tx.any(Delivery, session=list(sessions), **UNSEEN) if sessions else False


def unacknowledged(tx: Reading, agent: AgentId) -> list[Delivery]:
    return tx.select(Delivery, agent=agent, settled_at=None)


def will_wake(tx: Reading, agents: Sequence[AgentId]) -> bool:
    """Whether something waits for one of these that they will be woken for."""
    return tx.any(Delivery, agent=list(agents), held=None, **WAITING)


def reason_of_hold(tx: Reading, agents: Sequence[AgentId]) -> str | None:
    held = tx.select(Delivery, agent=list(agents), held=SET, limit=1, **WAITING)
    return held[0].held if held else None


def agents_waiting(tx: Reading) -> list[AgentId]:
    """Those for whom something waits."""
    return tx.each(Delivery, "agent", **WAITING)


def agents_underway(tx: Reading) -> list[AgentId]:
    """Those to whom a prompt carries something, or who took it, and nobody has seen it read yet."""
    return [*tx.each(Delivery, "agent", **CARRIED), *tx.each(Delivery, "agent", **TAKEN)]

"""A delivery: one recipient's copy of a message, and how far it got."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import (
    DeliveryHeld,
    DeliveryInjected,
    DeliveryReleased,
    DeliveryReturned,
    DeliverySeen,
    DeliveryUndeliverable,
)
from muster.model.ids import AgentId, DeliveryId, FleetId, MessageId, SessionId, TurnId
from muster.model.message import Message


class DeliveryState(StrEnum):
    QUEUED = "queued"
    INJECTED = "injected"  # it stands in the recipient's conversation
    SEEN = "seen"  # a model request with it has ended
    ACKNOWLEDGED = "acknowledged"
    UNDELIVERABLE = "undeliverable"


UNSEEN = (DeliveryState.QUEUED, DeliveryState.INJECTED)
SETTLED = (DeliveryState.ACKNOWLEDGED, DeliveryState.UNDELIVERABLE)


class Arrival(StrEnum):
    """How far something that was given to a session has got, by what stands there now."""

    ABSENT = "absent"
    PENDING = "pending"  # a tool call that has not ended
    STANDS = "stands"
    SEEN = "seen"


BATCH = 20
BATCH_BYTES = 16 * 1024


def first_batch(waiting: "Sequence[Delivery]") -> "list[Delivery]":
    """What one prompt brings: the first ones, as many as fit; one that is larger than that comes alone and whole."""
    size = 0
    chosen: list[Delivery] = []
    for delivery in waiting[:BATCH]:
        size += delivery.bytes
        if chosen and size > BATCH_BYTES:
            break
        chosen.append(delivery)
    return chosen


def delivery_id(message: MessageId, agent: AgentId) -> DeliveryId:
    return DeliveryId(f"{message}:{agent}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`turn` is the prompt that carries it. `call`: the agent took it by that tool call of its own.

    Neither: it waits, or the agent took it where nothing can be read back (`injected_at` says when).
    `session`: the operator's own conversation that it was sent in, where it was in one.
    `lapses`: it is news for an agent at work alone: one that is done before it has it is not woken for it.
    `held`: why it does not wake its recipient. `why`: why it could not be delivered. `settled_at`: nothing more is
    to be done about it, for it was acknowledged or is undeliverable.
    """

    id: DeliveryId
    message: MessageId
    fleet: FleetId
    agent: AgentId
    sender: AgentId | None
    session: SessionId | None = None
    urgent: bool
    lapses: bool = False
    bytes: int
    state: DeliveryState = DeliveryState.QUEUED
    turn: TurnId | None = None
    call: str | None = None
    held: str | None = None
    why: str | None = None
    sent_at: datetime
    injected_at: datetime | None = None
    seen_at: datetime | None = None
    settled_at: datetime | None = None

    @classmethod
    def of(
        cls, message: Message, agent: AgentId, session: SessionId | None, *, urgent: bool, lapses: bool
    ) -> "Delivery":
        return cls(
            id=delivery_id(message.id, agent),
            message=message.id,
            fleet=message.fleet,
            agent=agent,
            sender=message.sender,
            session=session,
            urgent=urgent,
            lapses=lapses,
            bytes=len(message.payload.encode()),
            sent_at=message.sent_at,
        )

    @property
    def mark(self) -> str:
        """By which name it is looked for in the conversation: its prompt, its call, or itself."""
        return self.turn or self.call or self.id

    @property
    def is_underway(self) -> bool:
        """A prompt is written that brings it, and was not read back yet."""
        return self.state is DeliveryState.QUEUED and self.turn is not None

    @property
    def waits(self) -> bool:
        """Nothing carries it yet."""
        return self.state is DeliveryState.QUEUED and self.turn is None

    def carry(self, turn: TurnId) -> "Delivery":
        """A prompt is written that brings it, the first one or, after its session was lost, another."""
        return replace(
            self, state=DeliveryState.QUEUED, turn=turn, call=None, held=None, injected_at=None, seen_at=None
        )

    def take(self, call: str | None, now: datetime) -> "tuple[Delivery, DeliveryInjected]":
        """Its recipient got it by asking for it."""
        if not self.waits:
            raise Stale(kind="delivery", id=self.id, state=self.state)
        return self._injected(now, call=call)

    def inject(self, now: datetime) -> "tuple[Delivery, DeliveryInjected]":
        """It was read back from the conversation."""
        self._require(DeliveryState.QUEUED)
        return self._injected(now, call=None)

    def see(self, now: datetime) -> "tuple[Delivery, DeliverySeen]":
        self._require(*UNSEEN)
        seen = replace(self, state=DeliveryState.SEEN, held=None, injected_at=self.injected_at or now, seen_at=now)
        return seen, DeliverySeen(fleet=self.fleet, agent=self.agent, message=self.message)

    def return_(self) -> "tuple[Delivery, DeliveryReturned]":
        """What was to bring it did not: it waits again."""
        self._require(*UNSEEN)
        back = replace(self, state=DeliveryState.QUEUED, turn=None, call=None, injected_at=None)
        return back, DeliveryReturned(fleet=self.fleet, agent=self.agent, message=self.message)

    def forget(self) -> "tuple[Delivery, DeliveryReturned]":
        """The conversation that had it is lost: it waits again."""
        back = replace(self, state=DeliveryState.QUEUED, turn=None, call=None, injected_at=None, seen_at=None)
        return back, DeliveryReturned(fleet=self.fleet, agent=self.agent, message=self.message)

    def hold(self, why: str) -> "tuple[Delivery, DeliveryHeld]":
        """It wakes nobody until the operator lets it through."""
        return replace(self, held=why), DeliveryHeld(
            fleet=self.fleet, agent=self.agent, message=self.message, reason=why
        )

    def release(self) -> "tuple[Delivery, DeliveryReleased]":
        return replace(self, held=None), DeliveryReleased(fleet=self.fleet, agent=self.agent, message=self.message)

    def acknowledge(self, now: datetime) -> "Delivery":
        """Its recipient is done with it, however far it had got: then it is not brought any more."""
        return replace(self, state=DeliveryState.ACKNOWLEDGED, held=None, settled_at=now)

    def give_up(self, why: str, now: datetime) -> "tuple[Delivery, DeliveryUndeliverable]":
        self._require(*UNSEEN)
        lost = replace(self, state=DeliveryState.UNDELIVERABLE, held=None, why=why, settled_at=now)
        event = DeliveryUndeliverable(fleet=self.fleet, agent=self.agent, message=self.message, reason=why)
        return lost, event

    def _injected(self, now: datetime, call: str | None) -> "tuple[Delivery, DeliveryInjected]":
        stands = replace(self, state=DeliveryState.INJECTED, call=call, held=None, injected_at=now)
        return stands, DeliveryInjected(fleet=self.fleet, agent=self.agent, message=self.message)

    def _require(self, *states: DeliveryState) -> None:
        if self.state not in states:
            raise Stale(kind="delivery", id=self.id, state=self.state)

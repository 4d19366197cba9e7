"""What happened to messages and decisions."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import AgentId, MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """`agent` is the sender; what was said stands in the message."""

    message: MessageId
    to: str
    type: str
    recipients: tuple[AgentId, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRouted(Event):
    """These of its recipients are asked first. `attached` was added to the fleet for it."""

    message: MessageId
    agents: tuple[AgentId, ...]
    attached: AgentId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryInjected(Event):
    """The message stands in the agent's conversation."""

    message: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySeen(Event):
    """A model request with the message in it has ended."""

    message: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReturned(Event):
    """What was to bring the message did not: it waits again."""

    message: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryHeld(Event):
    """The message wakes nobody until the operator lets it through."""

    message: MessageId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReleased(Event):
    message: MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryUndeliverable(Event):
    message: MessageId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptWritten(Event):
    """`by`: the label of who wrote it; what the hub proves may come of what somebody else did."""

    message: MessageId
    action: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionOpened(Event):
    """`agent` is who proposes; what is proposed stands in the message."""

    message: MessageId
    quorum: int
    voters: tuple[AgentId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCast(Event):
    """`number` counts the voter's votes on this proposal; the newest counts."""

    message: MessageId
    number: int
    approve: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionResolved(Event):
    """No vote counts any more."""

    message: MessageId
    status: str

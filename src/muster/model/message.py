"""A message: what was said, once. How far each recipient's copy got is its delivery (`delivery.py`)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.model.event import MessageRouted, MessageSent
from muster.model.ids import AgentId, FleetId, MessageId

EVERYBODY = "*"
OPERATOR_NAME = "operator"
MUSTER_NAME = "muster"


class MessageType(StrEnum):
    HANDOFF = "handoff"
    QUESTION = "question"
    RESULT = "result"
    ALERT = "alert"
    REQUEST_HELP = "request_help"


ROUTED = frozenset({MessageType.ALERT, MessageType.REQUEST_HELP})
"""What an agent says to all others, and goes first to those who can answer it."""
URGENT = frozenset({MessageType.ALERT, MessageType.QUESTION, MessageType.REQUEST_HELP})
"""What reaches an agent that works; the rest waits until it is idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`sender` None: the operator or Muster itself speaks, as `from_name` says. `by` is who sent it in fact.

    `to` is `*` or the one recipient's id; `recipients` are all, in the order of spawning.
    """

    id: MessageId
    fleet: FleetId
    sender: AgentId | None
    from_name: str
    to: str
    type: MessageType
    payload: str
    correlation_id: str | None
    recipients: tuple[AgentId, ...]
    by: str
    sent_at: datetime

    @property
    def urgent(self) -> bool:
        return self.type in URGENT

    @property
    def is_routed(self) -> bool:
        """Whether some of its recipients may have been asked first."""
        return self.to == EVERYBODY and self.type in ROUTED

    def send(self) -> MessageSent:
        return MessageSent(
            fleet=self.fleet,
            agent=self.sender,
            message=self.id,
            to=self.to,
            type=self.type,
            recipients=self.recipients,
            bytes=len(self.payload.encode()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Who was asked first by a message to all, and why: `agents`, `names` and `reasons` are in the same order.

    `id` is the message's. `attached`: the agent that was added to the fleet for it.
    """

    id: MessageId
    fleet: FleetId
    agents: tuple[AgentId, ...]
    names: tuple[str, ...]
    reasons: tuple[str, ...]
    attached: AgentId | None = None
    routed_at: datetime

    def route(self) -> MessageRouted:
        return MessageRouted(fleet=self.fleet, message=self.id, agents=self.agents, attached=self.attached)

    def told_to(self, agent: AgentId) -> str:
        """What a recipient is told of it."""
        if agent in self.agents:
            return f"you are asked first: {self.reasons[self.agents.index(agent)]}"
        return f"asked first: {', '.join(self.names)}"

"""A message: what was said, once. How far each recipient's copy got is its delivery (`delivery.py`)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.model.event import MessageSent
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
"""What finds by itself, among all others, whoever can answer it."""
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

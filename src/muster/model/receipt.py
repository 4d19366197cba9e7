"""A receipt: the proof of one step that a message took, or what one of its parties noted on it."""

import re
from dataclasses import dataclass
from datetime import datetime

from muster.model.event import ReceiptWritten
from muster.model.ids import AgentId, FleetId, MessageId, ReceiptId

ACK = "ack"
SEEN = "seen"
UNDELIVERABLE = "undeliverable"
RESERVED = re.compile(r"ack|vote-.*|r-decline.*", re.DOTALL)
"""Words that prove something, so that nobody writes them by hand: `ack_message` and `cast_vote` do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One for each message, agent and action; repeated, the first stands. `agent` None: the operator for itself.

    `by` is the label of who wrote it: the agent, the operator for it, or the hub, which saw it.
    """

    id: ReceiptId
    message: MessageId
    fleet: FleetId
    agent: AgentId | None
    action: str
    note: str | None = None
    by: str
    at: datetime

    def row(self) -> "ReceiptRow":
        return ReceiptRow(agent_id=self.agent, action=self.action, at=self.at, by=self.by, note=self.note)

    def write(self) -> ReceiptWritten:
        return ReceiptWritten(fleet=self.fleet, agent=self.agent, message=self.message, action=self.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """What is told of a receipt. `agent_id` null: the operator for itself. `by` `system` is the hub, which saw it."""

    agent_id: AgentId | None
    action: str
    at: datetime
    by: str
    note: str | None


def receipt_id(message: MessageId, agent: AgentId | None, action: str) -> ReceiptId:
    """Ids hold no colon, so only the action may: no two receipts have the same."""
    return ReceiptId(f"{message}:{agent or 'operator'}:{action}")

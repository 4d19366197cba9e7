"""A receipt: the proof of one step that a message took, or what one of its parties noted on it."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from muster.model.event import ReceiptWritten
from muster.model.ids import AgentId, FleetId, MessageId, ReceiptId

ACK = "ack"
SEEN = "seen"
UNDELIVERABLE = "undeliverable"
PROVEN = (SEEN, UNDELIVERABLE)
HUB = "system"
SAID = "~"  # no letter of an id
RESERVED = re.compile(r"ack|vote-.*|r-decline.*", re.DOTALL)
"""Words that prove something, so that nobody writes them by hand: `ack_message` and `cast_vote` do."""
ALIKE = str.maketrans(
    "\u0430\u03b1\u0441\u03f2\u043a\u03ba\u0475\u03bd\u043e\u03bf\u0442\u03c4\u0435\u03b5\u0501\u04cf\u0456\u03b9\u2212",
    "aacckkvvootteedlii-",
)
"""Letters of other scripts, and a sign, that look like those of these words."""


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
        return ReceiptWritten(fleet=self.fleet, agent=self.agent, message=self.message, action=self.action, by=self.by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """What is told of a receipt. `agent_id` null: the operator for itself. `by` `system` is the hub, which saw it."""

    agent_id: AgentId | None
    action: str
    at: datetime
    by: str
    note: str | None


def is_reserved(action: str) -> bool:
    """Also where it only reads so: in capitals, in letters that look alike, with what is not seen between them."""
    plain = unicodedata.normalize("NFKD", action).casefold()
    return RESERVED.fullmatch("".join(map(_plain, plain)).translate(ALIKE)) is not None


def _plain(letter: str) -> str:
    category = unicodedata.category(letter)
    return "-" if category == "Pd" else "" if category[0] in "MZC" else letter


def receipt_id(message: MessageId, agent: AgentId | None, action: str, by: str) -> ReceiptId:
    """Ids hold no colon, so only the action may: no two receipts have the same.

    What somebody says in a word of the hub's takes not the place of what the hub proves.
    """
    said = SAID if action in PROVEN and by != HUB else ""
    return ReceiptId(f"{message}:{agent or 'operator'}{said}:{action}")

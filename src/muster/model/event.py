"""What happened. An event is a fact in the past participle, never an instruction.

`FleetSpawned` is told as `fleet.spawned`. Every event names the fleet and the agent that it concerns, where there
is one, so that readers can follow one of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any  # an event's body is JSON

from muster.model.ids import AgentId, AskId, FleetId, MessageId, NoticeId, RunId, ServerId, SessionId, TurnId


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    fleet: FleetId | None = None
    agent: AgentId | None = None


def event_name(kind: type[Event]) -> str:
    """`RunEnded` → `run.ended`."""
    return _told_as(kind.__name__)


@lru_cache
def _told_as(name: str) -> str:
    noun, *rest = re.findall(r"[A-Z][a-z]*", name)
    return f"{noun.lower()}.{'_'.join(word.lower() for word in rest)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact as it was told. `cursor` counts up without end and is never used twice."""

    cursor: int
    at: datetime
    name: str
    actor: str
    fleet: str | None
    agent: str | None
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSpawned(Event):
    name: str
    agents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCancelled(Event):
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetQuieted(Event):
    """No agent of the fleet is queued, starting or working any more."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLimited(Event):
    """Its agents' runs have another wall time from now on."""

    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRaised(Event):
    """The fleet may spend more: what was added."""

    turns: int
    tokens: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSlept(Event):
    """For so long nobody looked after the agents at work; their deadlines move by as much."""

    seconds: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAttached(Event):
    name: str
    role: str
    persona: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCancelled(Event):
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMoved(Event):
    """The agent did something worth seeing: it uses another tool, or a step has ended."""

    tool: str | None
    tokens: int
    cost_usd: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPaused(Event):
    """Nothing more is started for the agent, and what it does is stopped."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResumed(Event):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued(Event):
    run: RunId
    number: int
    after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAdmitted(Event):
    run: RunId
    server: ServerId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The run has its session; from here on the agent works."""

    run: RunId
    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    run: RunId
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnComposed(Event):
    """Messages are to be brought to the agent by a prompt of their own."""

    turn: TurnId
    messages: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnSent(Event):
    turn: TurnId
    sends: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    turn: TurnId
    ending: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAsked(Event):
    """The agent stands still until somebody answers."""

    ask: AskId
    kind: str
    what: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAnswered(Event):
    """`words` are those for the model: why it was refused, or one text for each question."""

    ask: AskId
    answer: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDelivered(Event):
    """The host has the answer, and the agent goes on."""

    ask: AskId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskWithdrawn(Event):
    """Nobody waits for an answer any more: the run has ended, or the host took it back."""

    ask: AskId


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """`agent` is the sender; what was said stands in the message."""

    message: MessageId
    to: str
    type: str
    recipients: tuple[AgentId, ...]
    bytes: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWanted(Event):
    server: ServerId
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReady(Event):
    server: ServerId
    generation: int
    pid: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStopped(Event):
    server: ServerId
    generation: int
    why: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDrained(Event):
    """It holds more memory than it may: no new run is let in, and it is replaced once nothing runs on it."""

    server: ServerId
    generation: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadEntered(Event):
    """A conversation of the person's own has a toolkit from now on."""

    session: SessionId
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadMoved(Event):
    session: SessionId
    bridge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeWritten(Event):
    """A lead is to be told something."""

    notice: NoticeId
    session: SessionId
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeEnded(Event):
    notice: NoticeId
    ending: str

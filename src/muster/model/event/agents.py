"""What happened to fleets, their agents and runs, host servers and leads."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import AskId, MessageId, NoticeId, RunId, ServerId, SessionId, TurnId


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

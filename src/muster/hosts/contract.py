"""The seam between Muster and the programs that run agents.

Above it: the reconcilers, which decide when something happens. Below it: one package per host (OpenCode, the
scripted one), which knows routes, files and formats. The seam knows no fleets, no store and no retries: it takes
wishes, does each so that doing it twice is harmless, and says what it sees. What it sees is always read anew;
a `Hint` only says where looking is worth while, and losing one costs time, not truth.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from muster.model.ask import AskKind, HostAsk
from muster.model.delivery import Arrival
from muster.model.facts import Line, Persona
from muster.model.ids import AgentId, RunId, ServerId, SessionId, TurnId
from muster.model.spent import Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWish:
    """A host server that should run.

    `folder` is its own (0700, kept over generations: its database lives there). `log` is the file for its output.
    `hub_file` is the path of hub.json; the bridge finds the hub through it and proves itself with `token`.
    """

    id: ServerId
    generation: int
    folder: Path
    log: Path
    hub_file: Path
    password: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """The OS process of a host server.

    `started_at`, in seconds since the epoch as the OS tells it, makes a reused pid visible.
    """

    pid: int
    started_at: float
    port: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWish:
    """A conversation that should exist. `run` marks it, so that it is found again instead of made twice.

    `since`: it cannot be older than this, which shortens the search; None: look at all.

    `tools` are the tools of Muster's that this session is offered; all others of ours stay hidden from it.
    `read_only`: it can change nothing, neither by itself nor through a shell or a sub-agent.
    """

    agent: AgentId
    run: RunId
    directory: str
    title: str
    persona: str
    model: str | None
    tools: tuple[str, ...]
    read_only: bool = False
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWish:
    """A prompt that should be answered. `parts` are given to the model in order, each verbatim."""

    id: TurnId
    session: SessionId
    directory: str
    parts: tuple[str, ...]
    persona: str
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalsWish:
    """What to look for in a session: turns; tool calls (`<message id>:<call id>`); and moments, by any name."""

    session: SessionId
    directory: str
    turns: tuple[TurnId, ...] = ()
    calls: tuple[str, ...] = ()
    moments: Mapping[str, datetime] = field(default_factory=dict)


class Standing(StrEnum):
    """How far a turn has got, by what stands in the session now."""

    ABSENT = "absent"  # the session does not have it: send it
    OPEN = "open"  # it stands there and is being worked on
    STALLED = "stalled"  # it stands there, nobody works on it, and it has no answer: send it again
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of a turn.

    `final`: it failed in a way that sending it again cannot mend (no or a wrong key, no such model). `refused`: it
    failed because what it asked for was refused, and would ask for it again.
    `output`: the text of the newest answer so far, verbatim; of this turn only. `error`: the provider's own words.
    `spent`: of the whole session so far; None where nothing was seen. `tool`: the tool that runs at this moment.
    `closing`: it is still at work, but its answer is there, so no step follows. `retry_at`: the host waits until then
    before it asks the model again.
    """

    standing: Standing
    output: str = ""
    error: str | None = None
    final: bool = False
    refused: bool = False
    spent: Spent | None = None
    tool: str | None = None
    closing: bool = False
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyWish:
    """How an ask should be answered. `id` is the host's.

    A permission: `allowed` this once, else the first of `words` says why not. A question: `words` for each of its
    questions, also where it is refused.
    """

    id: str
    kind: AskKind
    directory: str
    allowed: bool
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something moved in a session. `turning` is true where a step or a turn may have ended, so that looking pays.
    A sub-agent's hints are those of the session that it works for.

    `session` None: the stream of hints was broken, so anything may have moved. `asking`: the session stands still for
    an answer, or no longer does. `stirring_only`: it lives, and no more.
    """

    session: SessionId | None
    turning: bool
    asking: bool = False
    tool: str | None = None
    stirring_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Whose marks the living processes of a state folder bear."""

    servers: frozenset[ServerId]
    runs: frozenset[RunId]


class Connection(Protocol):
    """A running host server, spoken to. Every method raises `HostAway` when it does not answer within its bound."""

    async def healthy(self) -> bool:
        """True where the server answers as the one that was started."""
        ...

    async def open_session(self, wish: SessionWish) -> SessionId:
        """Find the session that bears the wish's run mark, else create it."""
        ...

    async def send(self, wish: TurnWish) -> None:
        """Make sure that the turn is answered: harmless when it stands there, nothing when it has a good answer.

        When a turn is sent again, this returns once the new try shows, so that a look does not see an earlier one.
        After a first sending the turn may look ABSENT or STALLED for seconds: give it time before sending again.
        Raises `SessionLost`, or `HostFailed` when the host refuses the prompt for good.
        """
        ...

    async def look(self, wish: TurnWish) -> Sight:
        """See how far a turn has got. Raises `SessionLost`."""
        ...

    async def arrivals(self, wish: ArrivalsWish) -> Mapping[str, Arrival]:
        """How far what was given to a session has got, by turn, call and name. Raises `SessionLost`.

        *Seen* is what a step of the model began after, that has ended well. A call that failed is absent: its answer
        does not stand there.
        """
        ...

    async def abort(self, session: SessionId, directory: str) -> None:
        """Stop whatever the session does. Harmless when it does nothing, or is gone."""
        ...

    async def asks(self, directory: str) -> tuple[HostAsk, ...]:
        """What the sessions of a directory, and their sub-agents, stand still for."""
        ...

    async def reply(self, wish: ReplyWish) -> bool:
        """Answer an ask, so that its turn goes on; a refusal may take what else that session asks with it.

        False: nobody waits for it any more.
        """
        ...

    async def transcript(self, session: SessionId, directory: str) -> tuple[Line, ...]:
        """The conversation so far, oldest first. Raises `SessionLost`."""
        ...

    async def forget(self, directory: str) -> None:
        """Let go of all that is kept loaded for a directory which is about to be removed. Its sessions stay."""
        ...

    def hints(self) -> AsyncIterator[Hint]:
        """Endless; reconnects by itself while the server lives, and then yields `Hint(session=None, turning=True)`."""
        ...

    async def aclose(self) -> None: ...


class Host(Protocol):
    """A program that runs agents, for one state folder; what runs for another one is none of its business."""

    @property
    def name(self) -> str: ...

    async def start(self, wish: ServerWish) -> ServerProcess:
        """Start a server and wait until it can be spoken to; what an earlier try left of the same id is ended first.

        Raises `HostMissing`, `HostVersionUnknown`, `HostFailed`. Nothing is left running when it raises or is
        cancelled.
        """
        ...

    def connect(self, wish: ServerWish, process: ServerProcess) -> Connection:
        """Speak to a server that runs. Does no I/O by itself."""
        ...

    async def stop(self, server: ServerId) -> None:
        """End every process of the server and what its agents started, whatever their parent.

        Harmless when all are gone.
        """
        ...

    async def end_run(self, run: RunId) -> None:
        """End every process that a run left behind."""
        ...

    async def works(self, run: RunId) -> bool:
        """True where a process of the run uses the CPU at this moment, whatever its session says."""
        ...

    async def traces(self) -> Traces:
        """Which servers and runs have processes, whoever started these and whoever forgot them."""
        ...

    async def tidy(self, wish: ServerWish) -> None:
        """Remove what a server that does not run any more kept in its folder for its own life only."""
        ...

    def alive(self, process: ServerProcess) -> bool:
        """True where that very process still runs (pid and start time)."""
        ...

    def memory_mib(self, process: ServerProcess) -> int:
        """What that process holds; 0 where it is gone."""
        ...

    def configured_by(self, directory: str) -> tuple[Path, ...]:
        """The files, absolute, that say which personas there are in a directory and what agents may do there."""
        ...

    def personas(self, directory: str) -> tuple[Persona, ...]:
        """The personas that may be asked for in a directory, from its files and the user's.

        Blocking, quick, cached by mtime.
        """
        ...

"""The hub itself."""

from collections import Counter
from dataclasses import dataclass

from muster import __version__
from muster.model.actor import Actor
from muster.model.agent import Agent, AgentStatus, agent_status
from muster.model.ask import Ask, AskState
from muster.model.cleanup import Cleanup, CleanupState
from muster.model.errand import Errand, ErrandState
from muster.model.facts import Condition
from muster.model.ids import ServerId
from muster.model.merge import UNDERWAY, Merge
from muster.model.run import LIVE, Run, RunState
from muster.model.server import Server, ServerState
from muster.model.worktree import Presence, Worktree, WorktreeState
from muster.store.decisions import with_deadline
from muster.store.records import Reading
from muster.store.statements import SET, But
from muster.verbs import Member, Operator, System, view
from muster.views.health import Health, Part, parts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    ok: bool
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """`swollen_mib`: the memory at which it was closed to new runs; it is replaced once nothing runs on it.

    `shocks`: how often in a row it died under several agents; until one has proved harmless it lets in one at a time.
    """

    server_id: ServerId
    host: str
    version: str | None
    state: ServerState
    pid: int | None
    agents: int
    swollen_mib: int | None
    shocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HubState:
    """`agents` counts those on the way, `asks` those that wait for the operator; `servers` are awake."""

    version: str
    agents: dict[AgentStatus, int]
    asks: int
    servers: list[ServerRow]


@view(by=Member)
def ping(tx: Reading, actor: Actor) -> Pong:
    """Whether the hub answers."""
    return Pong(ok=True, version=__version__)


@view(by=Operator)
def status(tx: Reading, actor: Actor) -> HubState:
    """What the hub is at: agents on the way, and host servers that run."""
    runs = tx.select(Run, state=(RunState.QUEUED, *LIVE))
    counts = dict(Counter(agent_status(tx.get(Agent, run.agent), run) for run in runs))
    awake = tx.select(Server, state=(ServerState.STARTING, ServerState.READY))
    return HubState(
        version=__version__,
        agents=counts,
        asks=tx.count(Ask, state=AskState.WAITING),
        servers=[_row(tx, server) for server in awake],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HubHealth:
    """`state` is that of its worst part."""

    state: Health
    parts: list[Part]


@view(by=Operator, facts=Condition)
def health(tx: Reading, actor: Actor) -> HubHealth:
    """Each part's state, and what to do where something is wrong or waits for the person."""
    parts = parts_of(tx, tx.facts(Condition))
    worst = max((part.state for part in parts), key=list(Health).index)
    return HubHealth(state=worst, parts=parts)


@view(by=System)
def occupied(tx: Reading, actor: Actor) -> bool:
    """Whether there is something to do: an agent on the way, a host server awake, a vote that ends by itself, and what
    worktrees want.
    """
    return (
        tx.any(Run, state=(RunState.QUEUED, *LIVE))
        or tx.any(Server, state=(ServerState.STARTING, ServerState.READY))
        or bool(with_deadline(tx))
        or tx.any(Worktree, owed_since=SET, snapshot_error=None)
        or tx.any(Worktree, wanted=Presence.ABSENT, state=But(WorktreeState.REMOVED), snapshot_error=None)
        or tx.any(Errand, state=ErrandState.WANTED)
        or tx.any(Merge, state=UNDERWAY)
        or tx.any(Merge, undo_wanted=True)
        or tx.any(Cleanup, state=CleanupState.ASKED)
    )


def _row(tx: Reading, server: Server) -> ServerRow:
    return ServerRow(
        server_id=server.id,
        host=server.host,
        version=server.version,
        state=server.state,
        pid=server.pid,
        agents=tx.count(Run, server=server.id, state=LIVE),
        swollen_mib=server.swollen_mib,
        shocks=server.shocks,
    )

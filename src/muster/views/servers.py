"""What the hosts reconciler looks at."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.actor import Actor
from muster.model.ids import ServerId
from muster.model.run import LIVE, Run
from muster.model.server import Server, ServerState
from muster.store.records import Reading
from muster.verbs import System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupied:
    """A server, and since when nobody has worked on it (None: somebody does)."""

    server: Server
    idle_since: datetime | None


@view(by=System)
def get(tx: Reading, actor: Actor, server: ServerId) -> Occupied:
    """One host server."""
    row = tx.get(Server, server)
    if tx.any(Run, server=row.id, state=LIVE):
        return Occupied(server=row, idle_since=None)
    return Occupied(server=row, idle_since=row.idle_since(tx.last(Run, "ended_at", server=row.id)))


@view(by=System)
def all_(tx: Reading, actor: Actor, *, awake_only: bool = True) -> list[Server]:
    """The host servers that run or should; or every slot there is."""
    states = (ServerState.STARTING, ServerState.READY)
    return tx.select(Server, state=states) if awake_only else tx.select(Server)

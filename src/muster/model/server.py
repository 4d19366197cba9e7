"""A host server: one OS process of a host, and the slot that it lives in.

The slot keeps its folder, and with it the host's database, over generations. Each start is a new generation, and a
token or password made for an earlier one is void.

When a server dies under several runs, nobody can tell which of them did it. The slot is then *shaken*: it lets one
run in, and others only once that one has ended by itself or has worked for a while. So a run that kills its server
comes to be alone with it, and is known.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import ServerDrained, ServerReady, ServerStopped, ServerWanted
from muster.model.ids import ServerId


class ServerState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"


class StopReason(StrEnum):
    """Why a host server is not running."""

    HUB_STOPPED = "hub_stopped"
    IDLE = "idle"
    LOST = "lost"  # it died, or answers no more
    FAILED = "failed"  # it could not be started
    UNFIT = "unfit"  # it is missing or of another kind: starting it again cannot help
    SWOLLEN = "swollen"  # it held more memory than it may


DEATHS = (StopReason.LOST, StopReason.SWOLLEN)  # what one of its runs may have brought about
PATIENCE = timedelta(minutes=1)
MOST_DOUBLINGS = 12  # three days: nothing is waited for longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`pid_started_at`, in seconds since the epoch as the OS tells it, makes a reused pid visible.

    `swollen_mib`: what it held when it was closed to new runs; it is replaced once nothing runs on it.
    `shocks`: how often in a row it died under several runs, last as generation `shaken_in`.
    """

    id: ServerId
    host: str
    generation: int
    state: ServerState
    pid: int | None = None
    pid_started_at: float | None = None
    port: int | None = None
    version: str | None = None
    why: StopReason | None = None
    detail: str | None = None
    swollen_mib: int | None = None
    shocks: int = 0
    shaken_in: int | None = None
    changed_at: datetime

    @classmethod
    def want(cls, *, id: ServerId, host: str, now: datetime) -> "tuple[Server, ServerWanted]":
        server = cls(id=id, host=host, generation=1, state=ServerState.STARTING, changed_at=now)
        return server, ServerWanted(server=id, generation=1)

    def wake(self, now: datetime) -> "tuple[Server, ServerWanted]":
        """Want a stopped server again, as its next generation."""
        if self.state is not ServerState.STOPPED:
            raise Stale(kind="server", id=self.id, state=self.state)
        server = replace(
            self,
            generation=self.generation + 1,
            state=ServerState.STARTING,
            pid=None,
            port=None,
            why=None,
            detail=None,
            swollen_mib=None,
            changed_at=now,
        )
        return server, ServerWanted(server=self.id, generation=server.generation)

    def ready(
        self, *, generation: int, pid: int, pid_started_at: float, port: int, version: str, now: datetime
    ) -> "tuple[Server, ServerReady]":
        self._require(generation, ServerState.STARTING)
        server = replace(
            self,
            state=ServerState.READY,
            pid=pid,
            pid_started_at=pid_started_at,
            port=port,
            version=version,
            changed_at=now,
        )
        return server, ServerReady(server=self.id, generation=generation, pid=pid, version=version)

    def stop(
        self, *, generation: int, why: StopReason, detail: str | None, now: datetime
    ) -> "tuple[Server, ServerStopped]":
        self._require(generation, ServerState.STARTING, ServerState.READY)
        server = replace(self, state=ServerState.STOPPED, why=why, detail=detail, changed_at=now)
        return server, ServerStopped(server=self.id, generation=generation, why=why, detail=detail)

    def drain(self, *, generation: int, memory_mib: int) -> "tuple[Server, ServerDrained]":
        """Let no new runs in, for the memory that it holds."""
        self._require(generation, ServerState.READY)
        if self.swollen_mib is not None:
            raise Stale(kind="server", id=self.id, state="drained")
        server = replace(self, swollen_mib=memory_mib)
        return server, ServerDrained(server=self.id, generation=generation, memory_mib=memory_mib)

    def shake(self) -> "Server":
        """It died under several runs."""
        return replace(self, shocks=self.shocks + 1, shaken_in=self.generation)

    def calm(self) -> "Server":
        """A run has ended by itself on it since it was shaken, or the one that shook it is known."""
        return replace(self, shocks=0, shaken_in=None)

    @property
    def patience(self) -> timedelta:
        """How long a run works alone before others join it; twice as long after each shock that follows another."""
        doublings = min(max(self.shocks - 1, 0), MOST_DOUBLINGS)
        return PATIENCE * (1 << doublings)

    def idle_since(self, last_ended_at: datetime | None) -> datetime:
        """Since when nobody works on it, of whose runs the last ended at that moment."""
        return self.changed_at if last_ended_at is None else max(self.changed_at, last_ended_at)

    def _require(self, generation: int, *states: ServerState) -> None:
        if generation != self.generation or self.state not in states:
            raise Stale(kind="server", id=self.id, state=f"{self.state}, generation {self.generation}")

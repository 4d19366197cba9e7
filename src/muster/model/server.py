"""A host server: one OS process of a host, and the slot that it lives in.

The slot keeps its folder, and with it the host's database, over generations. Each start is a new generation, and a
token or password made for an earlier one is void.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import ServerReady, ServerStopped, ServerWanted
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`pid_started_at`, in seconds since the epoch as the OS tells it, makes a reused pid visible."""

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

    def _require(self, generation: int, *states: ServerState) -> None:
        if generation != self.generation or self.state not in states:
            raise Stale(kind="server", id=self.id, state=f"{self.state}, generation {self.generation}")

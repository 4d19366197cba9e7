"""A fleet: agents with one purpose."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster import errors
from muster.model.agent import ACTIVE, AgentStatus
from muster.model.event import FleetCancelled, FleetLimited, FleetSpawned
from muster.model.ids import FleetId


class FleetStatus(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


FAILURES = frozenset({AgentStatus.FAILED, AgentStatus.TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`directory` is where its agents work; `project` is the git top level above it, else the directory itself."""

    id: FleetId
    name: str
    project: str
    directory: str
    spawned_by: str
    created_at: datetime
    cancelled_at: datetime | None = None
    reason: str | None = None
    timeout_ms: int | None = None

    def spawn(self, agents: int) -> FleetSpawned:
        return FleetSpawned(fleet=self.id, name=self.name, agents=agents)

    def cancel(self, reason: str | None, now: datetime) -> tuple["Fleet", FleetCancelled]:
        self.require_open()
        return replace(self, cancelled_at=now, reason=reason), FleetCancelled(fleet=self.id, reason=reason)

    def limit(self, timeout_ms: int) -> tuple["Fleet", FleetLimited]:
        return replace(self, timeout_ms=timeout_ms), FleetLimited(fleet=self.id, timeout_ms=timeout_ms)

    def require_open(self) -> None:
        if self.cancelled_at is not None:
            raise errors.FleetCancelled(id=self.id)


def fleet_status(fleet: Fleet, agents: Collection[AgentStatus]) -> FleetStatus:
    """Computed, never stored: running while anyone is on the way, then how it came out."""
    if ACTIVE.intersection(agents):
        return FleetStatus.RUNNING
    if fleet.cancelled_at is not None:
        return FleetStatus.CANCELLED
    if FAILURES.intersection(agents):
        return FleetStatus.FAILED
    return FleetStatus.COMPLETE

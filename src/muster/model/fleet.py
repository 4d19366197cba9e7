"""A fleet: agents with one purpose."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from muster import errors
from muster.model.agent import ACTIVE, AgentStatus
from muster.model.ask import OnAsk
from muster.model.budget import Budget
from muster.model.event import FleetCancelled, FleetEnded, FleetLimited, FleetRaised, FleetSpawned
from muster.model.ids import FleetId, SessionId
from muster.model.run import MILLISECOND


class FleetKind(StrEnum):
    MESH = "mesh"  # nobody leads it: it is complete when its agents are through
    TEAM = "team"  # it has a lead, and stands until that ends it


class FleetStatus(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


FAILURES = frozenset({AgentStatus.FAILED, AgentStatus.TIMED_OUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`directory` is where its agents work; `project` is the git top level above it, else the directory itself.

    `spawned_in` is the lead's conversation that asked for it and is told when it is quiet; None: a shell or an MCP
    client asked, whom nobody can tell.

    `on_ask` is what its project wants done with its agents' asks; None: what the hub does with all.
    `land_when_quiet`: what its agents did lands by itself.

    `worked_ms` is how long any of its agents worked, up to `working_since`, from when on at least one does.
    `ended_at`: since when a team is cleaned up. `let_through_at`: when the operator last let it go on; wake-ups count
    from then.
    """

    id: FleetId
    kind: FleetKind = FleetKind.MESH
    name: str
    project: str
    directory: str
    spawned_by: str
    spawned_in: SessionId | None = None
    created_at: datetime
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    timeout_ms: int | None = None
    max_turns: int = 0
    max_tokens: int = 0
    max_seconds: int = 0
    on_ask: OnAsk | None = None
    land_when_quiet: bool = True
    worked_ms: int = 0
    working_since: datetime | None = None
    let_through_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Agents may still join it."""
        return self.cancelled_at is None and self.ended_at is None

    @property
    def budget(self) -> Budget:
        return Budget(max_turns=self.max_turns, max_tokens=self.max_tokens, max_seconds=self.max_seconds)

    def spawn(self, agents: int) -> FleetSpawned:
        return FleetSpawned(fleet=self.id, name=self.name, agents=agents)

    def cancel(self, reason: str | None, now: datetime) -> tuple["Fleet", FleetCancelled]:
        self.require_open()
        return replace(self, cancelled_at=now, reason=reason), FleetCancelled(fleet=self.id, reason=reason)

    def end(self, now: datetime) -> tuple["Fleet", FleetEnded]:
        """A team has done what it was for."""
        self.require_open()
        return replace(self, ended_at=now), FleetEnded(fleet=self.id)

    def limit(self, timeout_ms: int) -> tuple["Fleet", FleetLimited]:
        return replace(self, timeout_ms=timeout_ms), FleetLimited(fleet=self.id, timeout_ms=timeout_ms)

    def raise_budget(self, more: Budget) -> tuple["Fleet", FleetRaised]:
        raised = self.budget.raised(more)
        fleet = replace(self, max_turns=raised.max_turns, max_tokens=raised.max_tokens, max_seconds=raised.max_seconds)
        return fleet, FleetRaised(fleet=self.id, turns=more.max_turns, tokens=more.max_tokens, seconds=more.max_seconds)

    def begin_work(self, now: datetime) -> "Fleet":
        """An agent is at work."""
        return self if self.working_since is not None else replace(self, working_since=now)

    def rest(self, now: datetime) -> "Fleet":
        """The last agent at work has ended."""
        return replace(self, worked_ms=self.worked(now) // MILLISECOND, working_since=None)

    def sleep(self, gap: timedelta) -> "Fleet":
        """Count a time in which nobody looked after it as if it had not been."""
        return self if self.working_since is None else replace(self, working_since=self.working_since + gap)

    def worked(self, now: datetime) -> timedelta:
        since = timedelta() if self.working_since is None else now - self.working_since
        return self.worked_ms * MILLISECOND + since

    def let_through(self, now: datetime) -> "Fleet":
        """What was held back may wake agents again, and wake-ups count from now."""
        return replace(self, let_through_at=now)

    def require_open(self) -> None:
        if self.cancelled_at is not None:
            raise errors.FleetCancelled(id=self.id)
        if self.ended_at is not None:
            raise errors.Conflict(why=f"Team {self.name} ({self.id}) was cleaned up; that is final.")


def fleet_status(
    fleet: Fleet, agents: Collection[AgentStatus], *, expected: bool = False, held: bool = False
) -> FleetStatus:
    """Computed, never stored: running while anyone is on the way, then how it came out. A team runs until it is ended:
    quiet, empty or with a failed member it waits for what its lead does next.

    `expected`: a message waits that will wake somebody, or a snapshot is owed. `held`: a message would wake somebody,
    and is held back.
    """
    if ACTIVE.intersection(agents):
        return FleetStatus.RUNNING
    if fleet.cancelled_at is not None:
        return FleetStatus.CANCELLED
    if expected:
        return FleetStatus.RUNNING
    if held or AgentStatus.PAUSED in agents:
        return FleetStatus.PAUSED
    if fleet.kind is FleetKind.TEAM:
        return FleetStatus.RUNNING if fleet.ended_at is None else FleetStatus.COMPLETE
    if FAILURES.intersection(agents):
        return FleetStatus.FAILED
    return FleetStatus.COMPLETE

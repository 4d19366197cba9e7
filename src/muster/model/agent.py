"""An agent: a durable identity in a fleet."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Conflict
from muster.model.event import AgentAttached, AgentCancelled, AgentMoved, AgentRefused
from muster.model.ids import AgentId, FleetId, RunId, ServerId, SessionId
from muster.model.retry import MAX_ATTEMPTS
from muster.model.run import Outcome, Run, RunState


class Wanted(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"


class AgentStatus(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


ACTIVE = frozenset({AgentStatus.QUEUED, AgentStatus.STARTING, AgentStatus.WORKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`run` is its newest run. `session` lives on `server`, which it therefore goes back to.

    `position` is its place in the order of spawning; `tokens` and `cost_usd` are of its session so far.
    `timeout_ms` is the wall time of one run; its fleet's where it has none.
    """

    id: AgentId
    fleet: FleetId
    position: int
    name: str
    role: str
    persona: str
    model: str | None
    directory: str
    wanted: Wanted = Wanted.RUNNING
    stop_reason: str | None = None
    run: RunId
    server: ServerId | None = None
    session: SessionId | None = None
    tool: str | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    last_activity_at: datetime | None = None
    max_attempts: int = MAX_ATTEMPTS
    timeout_ms: int | None = None
    created_at: datetime

    def attach(self) -> AgentAttached:
        return AgentAttached(fleet=self.fleet, agent=self.id, name=self.name, role=self.role, persona=self.persona)

    def cancel(self, reason: str | None) -> "tuple[Agent, AgentCancelled]":
        """Want no more of it: final. Cancelling again is refused, so that nobody counts it twice."""
        if self.wanted is Wanted.STOPPED:
            raise Conflict(why=f"Agent {self.id} was cancelled before.")
        agent = replace(self, wanted=Wanted.STOPPED, stop_reason=reason)
        return agent, AgentCancelled(fleet=self.fleet, agent=self.id, reason=reason)

    def settle_in(self, session: SessionId, server: ServerId) -> "Agent":
        return replace(self, session=session, server=server)

    def lose_session(self) -> "Agent":
        return replace(self, session=None)

    def follow(self, run: RunId) -> "Agent":
        return replace(self, run=run)

    def refuse(self, kind: str, what: str, pattern: str) -> AgentRefused:
        return AgentRefused(fleet=self.fleet, agent=self.id, kind=kind, what=what, pattern=pattern)

    def move(self, *, tool: str | None, tokens: int, cost_usd: float, now: datetime) -> "tuple[Agent, AgentMoved]":
        agent = replace(self, tool=tool, tokens=tokens, cost_usd=cost_usd, last_activity_at=now)
        return agent, AgentMoved(fleet=self.fleet, agent=self.id, tool=tool, tokens=tokens, cost_usd=cost_usd)


def agent_status(run: Run) -> AgentStatus:
    """An agent's status follows from its newest run alone."""
    match run.state:
        case RunState.QUEUED:
            return AgentStatus.QUEUED
        case RunState.STARTING:
            return AgentStatus.STARTING
        case RunState.WORKING:
            return AgentStatus.WORKING
        case RunState.ENDED:
            return _ENDED[run.outcome or Outcome.FAILED]


_ENDED = {
    Outcome.DONE: AgentStatus.DONE,
    Outcome.FAILED: AgentStatus.FAILED,
    Outcome.CANCELLED: AgentStatus.CANCELLED,
    Outcome.TIMED_OUT: AgentStatus.TIMED_OUT,
    Outcome.INTERRUPTED: AgentStatus.FAILED,  # interrupted and not taken up again: given up
}

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def name_for(role: str, taken: Collection[str]) -> str:
    """A role's slug (`Code Reviewer` → `code-reviewer`), numbered from 2 when taken; `agent` for an empty one."""
    slug = re.sub(r"[^a-z0-9]+", "-", role.lower()).strip("-")[:32].rstrip("-") or "agent"
    if slug not in taken:
        return slug
    numbers = (f"{slug[: 31 - len(str(number))]}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in numbers if name not in taken)

"""An agent: a durable identity in a fleet."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from muster.errors import Conflict
from muster.model.budget import Budget
from muster.model.event import (
    AgentAttached,
    AgentCancelled,
    AgentDismissed,
    AgentMoved,
    AgentPaused,
    AgentResumed,
    AgentStopped,
    AgentUndone,
)
from muster.model.ids import AgentId, FleetId, RunId, ServerId, SessionId
from muster.model.retry import MAX_ATTEMPTS
from muster.model.run import MILLISECOND, Outcome, Run, RunState
from muster.model.spent import Spent


class Wanted(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"


class AgentStatus(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    WORKING = "working"
    IDLE = "idle"  # a team's member that has nothing to do
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"  # a team's member that was shut down


ACTIVE = frozenset({AgentStatus.QUEUED, AgentStatus.STARTING, AgentStatus.WORKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`run` is its newest run. `session` lives on `server`, which it therefore goes back to.

    `position` is its place in the order of spawning. `tokens`, `cost_usd` and `steps` are all that it has spent;
    those named `earlier_…` of them in sessions that were lost. `paused`: why nothing more is started for it.
    `timeout_ms` is the wall time of one run; its fleet's where it has none. `worked_ms`: in the runs that have ended.

    `member`: of a team. `read_only`: it gets no rights to edit, nor a shell. `leaving_at`: since when it is being shut
    down. `undone`: why it could not be started; such a one counts for nothing.
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
    steps: int = 0
    earlier_tokens: int = 0
    earlier_cost_usd: float = 0.0
    earlier_steps: int = 0
    last_activity_at: datetime | None = None
    max_attempts: int = MAX_ATTEMPTS
    timeout_ms: int | None = None
    max_turns: int = 0
    max_tokens: int = 0
    max_seconds: int = 0
    worked_ms: int = 0
    paused: str | None = None
    member: bool = False
    read_only: bool = False
    leaving_at: datetime | None = None
    undone: str | None = None
    created_at: datetime

    @property
    def budget(self) -> Budget:
        return Budget(max_turns=self.max_turns, max_tokens=self.max_tokens, max_seconds=self.max_seconds)

    @property
    def spent(self) -> Spent:
        return Spent(tokens=self.tokens, cost_usd=self.cost_usd, steps=self.steps)

    def attach(self) -> AgentAttached:
        return AgentAttached(fleet=self.fleet, agent=self.id, name=self.name, role=self.role, persona=self.persona)

    def cancel(self, reason: str | None) -> "tuple[Agent, AgentCancelled]":
        """Want no more of it: final. Cancelling again is refused, so that nobody counts it twice."""
        if self.wanted is Wanted.STOPPED:
            raise Conflict(why=f"Agent {self.id} was cancelled before.")
        agent = replace(self, wanted=Wanted.STOPPED, stop_reason=reason)
        return agent, AgentCancelled(fleet=self.fleet, agent=self.id, reason=reason)

    def live_in(self, directory: str) -> "Agent":
        """Work there instead."""
        return replace(self, directory=directory)

    def dismiss(self, now: datetime, *, force: bool) -> "tuple[Agent, AgentDismissed]":
        """Let it go: with the end of its turn it is stopped."""
        leaving = replace(self, leaving_at=self.leaving_at or now)
        return leaving, AgentDismissed(fleet=self.fleet, agent=self.id, force=force)

    def stop(self) -> "tuple[Agent, AgentStopped]":
        """Nothing is wanted of it any more, as its lead said."""
        return replace(self, wanted=Wanted.STOPPED), AgentStopped(fleet=self.fleet, agent=self.id)

    def undo(self, why: str) -> "tuple[Agent, AgentUndone]":
        """It never got to work."""
        undone = replace(self, wanted=Wanted.STOPPED, undone=why)
        return undone, AgentUndone(fleet=self.fleet, agent=self.id, why=why)

    def settle_in(self, session: SessionId, server: ServerId) -> "Agent":
        return replace(self, session=session, server=server)

    def lose_session(self) -> "Agent":
        """A new session counts from nothing, so what this one has cost is kept."""
        return replace(
            self,
            session=None,
            earlier_tokens=self.tokens,
            earlier_cost_usd=self.cost_usd,
            earlier_steps=self.steps,
        )

    def pause(self, reason: str) -> "tuple[Agent, AgentPaused]":
        """Start nothing more for it until it is resumed."""
        return replace(self, paused=reason), AgentPaused(fleet=self.fleet, agent=self.id, reason=reason)

    def resume(self) -> "tuple[Agent, AgentResumed]":
        return replace(self, paused=None), AgentResumed(fleet=self.fleet, agent=self.id)

    def rest(self, run: Run) -> "Agent":
        """A run of its has ended."""
        return replace(self, worked_ms=self.worked_ms + run.worked(run.ended_at or run.queued_at) // MILLISECOND)

    def worked(self, run: Run, now: datetime) -> timedelta:
        """How long it has worked in all; `run` is its newest."""
        current = timedelta() if run.state is RunState.ENDED else run.worked(now)
        return self.worked_ms * MILLISECOND + current

    def raise_budget(self, more: Budget) -> "Agent":
        raised = self.budget.raised(more)
        return replace(self, max_turns=raised.max_turns, max_tokens=raised.max_tokens, max_seconds=raised.max_seconds)

    def follow(self, run: RunId) -> "Agent":
        return replace(self, run=run)

    def move(self, *, tool: str | None, spent: Spent | None, now: datetime) -> "tuple[Agent, AgentMoved]":
        """`spent` is of its session so far; None where nobody looked."""
        total = self.spent if spent is None else self._earlier + spent
        agent = replace(
            self, tool=tool, tokens=total.tokens, cost_usd=total.cost_usd, steps=total.steps, last_activity_at=now
        )
        return agent, AgentMoved(
            fleet=self.fleet,
            agent=self.id,
            tool=tool,
            tokens=total.tokens,
            cost_usd=total.cost_usd,
            steps=total.steps,
        )

    def stir(self, now: datetime) -> "Agent":
        return replace(self, last_activity_at=now)

    @property
    def _earlier(self) -> Spent:
        return Spent(tokens=self.earlier_tokens, cost_usd=self.earlier_cost_usd, steps=self.earlier_steps)


def agent_status(agent: Agent, run: Run) -> AgentStatus:
    """An agent's status follows from its newest run, and from what is wanted where that was interrupted."""
    match run.state:
        case RunState.QUEUED:
            return AgentStatus.QUEUED
        case RunState.STARTING:
            return AgentStatus.STARTING
        case RunState.WORKING:
            return AgentStatus.WORKING
        case RunState.ENDED if agent.leaving_at is not None and agent.wanted is Wanted.STOPPED:
            return AgentStatus.STOPPED
        case RunState.ENDED if agent.member and run.outcome is Outcome.DONE:
            return AgentStatus.IDLE
        case RunState.ENDED if run.outcome is Outcome.INTERRUPTED and agent.wanted is Wanted.STOPPED:
            return AgentStatus.CANCELLED
        case RunState.ENDED if run.outcome is Outcome.INTERRUPTED and agent.paused is not None:
            return AgentStatus.PAUSED
        case RunState.ENDED:
            return _ENDED[run.outcome or Outcome.FAILED]


def why_gone(agent: Agent, run: Run) -> str | None:
    """Why nothing will reach an agent any more, where that is so; `run` is its newest."""
    if agent.wanted is Wanted.STOPPED:
        return _why_stopped(agent)
    if run.state is RunState.ENDED and run.outcome is Outcome.FAILED and run.lone_death:
        return f"{agent.name} was given up: {run.error}"
    return None


def why_closed(agent: Agent) -> str | None:
    """Why nothing new is taken for an agent, where that is so."""
    if agent.wanted is Wanted.STOPPED:
        return _why_stopped(agent)
    return f"{agent.name} is being shut down" if agent.leaving_at is not None else None


def _why_stopped(agent: Agent) -> str:
    if agent.undone is not None:
        return f"{agent.name} could not be started: {agent.undone}"
    if agent.leaving_at is not None:
        return f"{agent.name} was shut down"
    return f"{agent.name} was cancelled" + (f": {agent.stop_reason}" if agent.stop_reason else "")


def why_unread(agent: Agent, run: Run) -> str | None:
    """Why an agent reads nothing more of what was brought to it, where that is so; `run` is its newest.

    What only waits is another matter: that may wake it.
    """
    if run.state is not RunState.ENDED or run.outcome in (Outcome.DONE, Outcome.INTERRUPTED):
        return why_gone(agent, run) if run.state is RunState.ENDED else None
    return (
        why_gone(agent, run) or f"the run of {agent.name} that had it {run.outcome}: {run.error or 'nobody said why'}"
    )


_ENDED = {
    Outcome.DONE: AgentStatus.DONE,
    Outcome.FAILED: AgentStatus.FAILED,
    Outcome.CANCELLED: AgentStatus.CANCELLED,
    Outcome.TIMED_OUT: AgentStatus.TIMED_OUT,
    Outcome.INTERRUPTED: AgentStatus.FAILED,  # interrupted and not taken up again: given up
}

GOODBYES = ("agent.cancelled", "agent.stopped", "agent.undone")
"""The facts with any of which an agent is wanted no more."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def name_for(role: str, taken: Collection[str]) -> str:
    """A role's slug (`Code Reviewer` → `code-reviewer`), numbered from 2 when taken; `agent` for an empty one."""
    slug = re.sub(r"[^a-z0-9]+", "-", role.lower()).strip("-")[:32].rstrip("-") or "agent"
    if slug not in taken:
        return slug
    numbers = (f"{slug[: 31 - len(str(number))]}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in numbers if name not in taken)

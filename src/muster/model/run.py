"""A run: from start or wake-up until the agent has no open turn."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import RunAdmitted, RunEnded, RunQueued, RunStarted
from muster.model.ids import AgentId, FleetId, RunId, ServerId, SessionId


class RunState(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    WORKING = "working"
    ENDED = "ended"


MILLISECOND = timedelta(milliseconds=1)
LIVE = (RunState.STARTING, RunState.WORKING)  # those that occupy a host server
ON_THE_WAY = (RunState.QUEUED, *LIVE)


class Outcome(StrEnum):
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"  # its host server went away under it; another run goes on with the turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`number` counts the runs of one agent from 1. `server` and `generation` say where it was placed.

    It is not admitted before `due_at`. `output` is what was said in it, whole or not. `stirred_at` is when it last
    gave a sign of life; `slept_ms` is how long nobody looked after it, which no deadline counts. `lone_death`: its
    host server died while no other run was on it.
    """

    id: RunId
    agent: AgentId
    fleet: FleetId
    number: int
    state: RunState
    outcome: Outcome | None = None
    error: str | None = None
    server: ServerId | None = None
    generation: int | None = None
    queued_at: datetime
    due_at: datetime
    started_at: datetime | None = None
    stirred_at: datetime | None = None
    slept_ms: int = 0
    ended_at: datetime | None = None
    output: str | None = None
    lone_death: bool = False

    @classmethod
    def queue(
        cls, *, id: RunId, agent: AgentId, fleet: FleetId, number: int, now: datetime, pause: timedelta = timedelta()
    ) -> "tuple[Run, RunQueued]":
        due = now + pause
        run = cls(id=id, agent=agent, fleet=fleet, number=number, state=RunState.QUEUED, queued_at=now, due_at=due)
        return run, RunQueued(fleet=fleet, agent=agent, run=id, number=number, after_ms=round(pause / MILLISECOND))

    def admit(self, server: ServerId, generation: int) -> "tuple[Run, RunAdmitted]":
        """Give the queued run a place on a host server."""
        self._require(RunState.QUEUED)
        run = replace(self, state=RunState.STARTING, server=server, generation=generation)
        return run, RunAdmitted(fleet=self.fleet, agent=self.agent, run=self.id, server=server)

    def start(self, session: SessionId, now: datetime) -> "tuple[Run, RunStarted]":
        """The session exists: the agent can work."""
        self._require(RunState.STARTING)
        run = replace(self, state=RunState.WORKING, started_at=now, stirred_at=now)
        return run, RunStarted(fleet=self.fleet, agent=self.agent, run=self.id, session=session)

    def stir(self, now: datetime) -> "Run":
        return replace(self, stirred_at=now)

    def sleep(self, gap: timedelta) -> "Run":
        """Count a time in which nobody looked after it as if it had not been."""
        stirred = None if self.stirred_at is None else self.stirred_at + gap
        return replace(self, slept_ms=self.slept_ms + gap // MILLISECOND, stirred_at=stirred)

    def worked(self, now: datetime) -> timedelta:
        """How long it has worked, without the time that nobody looked after it."""
        if self.started_at is None:
            return timedelta()
        return (self.ended_at or now) - self.started_at - self.slept_ms * MILLISECOND

    def end(self, outcome: Outcome, error: str | None, now: datetime, output: str = "") -> "tuple[Run, RunEnded]":
        self._require(*ON_THE_WAY)
        run = replace(self, state=RunState.ENDED, outcome=outcome, error=error, output=output or None, ended_at=now)
        return run, RunEnded(fleet=self.fleet, agent=self.agent, run=self.id, outcome=outcome, error=error)

    def die_alone(self) -> "Run":
        return replace(self, lone_death=True)

    def _require(self, *states: RunState) -> None:
        if self.state not in states:
            raise Stale(kind="run", id=self.id, state=self.state)

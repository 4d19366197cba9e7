"""An errand: what the operator wants done with an agent's snapshots. A reconciler does it, once."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import ErrandAsked, ErrandEnded
from muster.model.ids import AgentId, ErrandId, FleetId, WorktreeId


class ErrandKind(StrEnum):
    RESTORE = "restore"  # a snapshot, as a folder or a branch
    DROP = "drop"  # all of them, with the agent's branch


class ErrandState(StrEnum):
    WANTED = "wanted"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """`commit` is the snapshot that is meant; of a drop the newest. It is restored to `folder`, or as `branch`."""

    id: ErrandId
    worktree: WorktreeId
    agent: AgentId
    fleet: FleetId
    kind: ErrandKind
    commit: str
    folder: str | None = None
    branch: str | None = None
    state: ErrandState = ErrandState.WANTED
    error: str | None = None
    asked_at: datetime
    ended_at: datetime | None = None

    def ask(self) -> ErrandAsked:
        return ErrandAsked(fleet=self.fleet, agent=self.agent, errand=self.id, kind=self.kind)

    def end(self, error: str | None, now: datetime) -> "tuple[Errand, ErrandEnded]":
        """It is done, or could not be, which is final too: the operator says what next."""
        if self.state is not ErrandState.WANTED:
            raise Stale(kind="errand", id=self.id, state=self.state)
        state = ErrandState.DONE if error is None else ErrandState.FAILED
        ended = replace(self, state=state, error=error, ended_at=now)
        return ended, ErrandEnded(fleet=self.fleet, agent=self.agent, errand=self.id, error=error)

"""A cleanup: one try to end a team, with all that is to be settled before."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import CleanupAsked, CleanupEnded
from muster.model.ids import CleanupId, FleetId


class CleanupState(StrEnum):
    ASKED = "asked"
    REFUSED = "refused"  # something is not settled, and the team goes on
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """`force`: whatever cannot be settled is left on its branch. `acknowledge_uncommitted`: so may be what is not
    committed. `why` it was refused, because of `members`.
    """

    id: CleanupId
    fleet: FleetId
    force: bool
    acknowledge_uncommitted: bool
    state: CleanupState = CleanupState.ASKED
    why: str | None = None
    members: tuple[str, ...] = ()
    asked_at: datetime
    ended_at: datetime | None = None

    def ask(self) -> CleanupAsked:
        return CleanupAsked(fleet=self.fleet, cleanup=self.id, force=self.force)

    def refuse(self, why: str, members: tuple[str, ...], now: datetime) -> "tuple[Cleanup, CleanupEnded]":
        return replace(self, why=why, members=members)._end(CleanupState.REFUSED, now)

    def complete(self, now: datetime) -> "tuple[Cleanup, CleanupEnded]":
        return self._end(CleanupState.DONE, now)

    def _end(self, state: CleanupState, now: datetime) -> "tuple[Cleanup, CleanupEnded]":
        if self.state is not CleanupState.ASKED:
            raise Stale(kind="cleanup", id=self.id, state=self.state)
        ended = replace(self, state=state, ended_at=now)
        return ended, CleanupEnded(fleet=self.fleet, cleanup=self.id, state=state, why=self.why)

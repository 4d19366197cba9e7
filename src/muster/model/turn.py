"""A turn: one prompt given to a session, and what came of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import TurnEnded, TurnSent
from muster.model.ids import AgentId, FleetId, RunId, TurnId
from muster.model.run import Outcome


class TurnKind(StrEnum):
    FIRST = "first"
    RETRY = "retry"  # asks for the answer that the turn before it did not bring
    CONTINUATION = "continuation"  # goes on where a pause cut the turn before it
    DIGEST = "digest"  # brings messages
    REVIVAL = "revival"  # tells a new session, after the old one was lost, the task and what was said


class Ending(StrEnum):
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"  # it was never sent: its messages wait again


CUTS = {
    Ending.CANCELLED: Outcome.CANCELLED,
    Ending.TIMED_OUT: Outcome.TIMED_OUT,
    Ending.PAUSED: Outcome.INTERRUPTED,
}
"""The endings that we decide, before anything is stopped; and how a run ends whose turn was cut so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Written before anything is sent; `preamble` and `text` never change. No `ending`: it is open.

    A turn with an ending is never sent again. `sends` counts how often the host was asked to see to it,
    `sent_at` is the last time, in the run `sent_in`. `begun_at`: from then on it may stand in the session, whether a
    sending was reported or not. `attempts` counts the runs that failed it so far.
    """

    id: TurnId
    agent: AgentId
    fleet: FleetId
    kind: TurnKind
    preamble: str
    text: str
    ending: Ending | None = None
    output: str | None = None
    error: str | None = None
    sends: int = 0
    sent_in: RunId | None = None
    attempts: int = 0
    created_at: datetime
    begun_at: datetime | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def brings_messages(self) -> bool:
        """And nothing else: where it was never sent, nothing is lost with it."""
        return self.kind is TurnKind.DIGEST

    def begin(self, now: datetime) -> "Turn":
        self._require_open()
        return replace(self, begun_at=now)

    def send(self, run: RunId, now: datetime) -> "tuple[Turn, TurnSent]":
        self._require_open()
        turn = replace(self, sends=self.sends + 1, sent_in=run, sent_at=now)
        return turn, TurnSent(fleet=self.fleet, agent=self.agent, turn=self.id, sends=turn.sends)

    def end(self, ending: Ending, now: datetime, *, error: str | None = None) -> "tuple[Turn, TurnEnded]":
        """Decide how the turn ended. For a cut this comes before the cut itself, so that nothing revives it."""
        self._require_open()
        turn = replace(self, ending=ending, error=error, ended_at=now)
        return turn, TurnEnded(fleet=self.fleet, agent=self.agent, turn=self.id, ending=ending)

    def answer_after_all(self) -> "Turn":
        """Its answer had come when a pause ended it."""
        return replace(self, ending=Ending.ANSWERED, error=None)

    def fail_attempt(self) -> "Turn":
        """One run more has failed it; it stays open, to be sent again."""
        self._require_open()
        return replace(self, attempts=self.attempts + 1)

    def keep_output(self, output: str) -> "Turn":
        """Keep what was said, whole or partial."""
        return replace(self, output=output or None)

    def _require_open(self) -> None:
        if self.ending is not None:
            raise Stale(kind="turn", id=self.id, state=self.ending)

"""What happened to teams and their members."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import CleanupId


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEnded(Event):
    """A team was cleaned up: its name is free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupAsked(Event):
    """A team is to end, once all is settled."""

    cleanup: CleanupId
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupEnded(Event):
    """The team has ended, or goes on, and `why`."""

    cleanup: CleanupId
    state: str
    why: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDismissed(Event):
    """The lead wants no more of it: it stops with the end of its turn. `force`: at once."""

    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStopped(Event):
    """It was shut down, and nothing of it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUndone(Event):
    """It could not be started: its name is free again, and it counts for nothing."""

    why: str

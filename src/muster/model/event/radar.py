"""What was seen of agents' work ahead of its landing."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import AgentId, ClashId


@dataclass(frozen=True, slots=True, kw_only=True)
class ClashFound(Event):
    """What two agents changed does not fit together in these files, of which some are news."""

    clash: ClashId
    other: AgentId
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClashEnded(Event):
    """It fits together again."""

    clash: ClashId
    other: AgentId

"""A lead: a conversation of the person's own OpenCode that has a toolkit and may spawn fleets."""

from dataclasses import dataclass, replace
from datetime import datetime

from muster.model.event import LeadEntered, LeadMoved
from muster.model.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """`id` is the host's own id of the session.

    `bridge` names the OpenCode process in which the session last did something: that one tells it its notices, for
    a prompt from another would run the same conversation in two processes at once.
    """

    id: SessionId
    directory: str
    bridge: str
    created_at: datetime

    @classmethod
    def enter(cls, *, id: SessionId, directory: str, bridge: str, now: datetime) -> "tuple[Lead, LeadEntered]":
        lead = cls(id=id, directory=directory, bridge=bridge, created_at=now)
        return lead, LeadEntered(session=id, directory=directory)

    def move(self, *, directory: str, bridge: str) -> "tuple[Lead, LeadMoved]":
        """It was opened in another process."""
        return replace(self, directory=directory, bridge=bridge), LeadMoved(session=self.id, bridge=bridge)

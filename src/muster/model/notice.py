"""A notice: what a lead is told by a prompt of its own, once, when it is idle."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Stale
from muster.model.event import NoticeEnded, NoticeWritten
from muster.model.ids import FleetId, NoticeId, SessionId


class NoticeKind(StrEnum):
    DOOR = "door"  # the toolkit that was asked for is there
    QUIET = "quiet"  # a fleet's first quiet
    PAUSED = "paused"
    OUTCOME = "outcome"  # of its own proposal
    CLASH = "clash"  # of two agents' work
    UNDELIVERABLE = "undeliverable"  # a message of its own


class NoticeEnding(StrEnum):
    TOLD = "told"  # it stands in the conversation
    KNOWN = "known"  # there was nothing to tell any more: the conversation has it from a tool, or went on by itself
    LOST = "lost"  # there is no such conversation any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Written where its reason came true; `text` never changes. No `ending`: it is still owed.

    `after` is the message in which the door was opened: a later prompt of the person's has overtaken the notice.
    """

    id: NoticeId
    session: SessionId
    kind: NoticeKind
    fleet: FleetId | None = None
    after: str | None = None
    text: str
    created_at: datetime
    ending: NoticeEnding | None = None
    ended_at: datetime | None = None

    def write(self) -> NoticeWritten:
        return NoticeWritten(fleet=self.fleet, notice=self.id, session=self.session, kind=self.kind)

    def end(self, ending: NoticeEnding, now: datetime) -> "tuple[Notice, NoticeEnded]":
        if self.ending is not None:
            raise Stale(kind="notice", id=self.id, state=self.ending)
        ended = replace(self, ending=ending, ended_at=now)
        return ended, NoticeEnded(fleet=self.fleet, notice=self.id, ending=ending)

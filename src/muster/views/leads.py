"""What a lead's bridge wants to know: what the lead is to be told, and what it leads."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.decision import Decision
from muster.model.fleet import Fleet
from muster.model.ids import FleetId, NoticeId, SessionId
from muster.model.lead import Lead
from muster.model.notice import Notice, NoticeKind
from muster.model.run import ON_THE_WAY, Run
from muster.store import inboxes
from muster.store.records import Reading
from muster.verbs import System, view

FLEETS_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A notice with the directory in which its conversation is."""

    notice: NoticeId
    session: SessionId
    directory: str
    kind: NoticeKind
    fleet: FleetId | None
    after: str | None
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """`more` is false where nothing is owed, and no fleet, vote or message is on the way that could owe something."""

    notices: list[Owed]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Led:
    """A lead, and the newest fleets that it spawned, each with its name and the number of its agents."""

    lead: Lead
    fleets: list[tuple[FleetId, str, int]]


@view(by=System)
def owing(tx: Reading, actor: Actor, bridge: str) -> Owing:
    """What the leads in one OpenCode process are to be told, oldest first."""
    leads = {lead.id: lead for lead in tx.select(Lead, bridge=bridge)}
    owed = tx.select(Notice, session=list(leads), ending=None)
    quiet = {notice.fleet for notice in tx.select(Notice, session=list(leads), kind=NoticeKind.QUIET)}
    fleets = {fleet.id for fleet in tx.select(Fleet, spawned_in=list(leads))}
    return Owing(
        notices=[_owed(notice, leads[notice.session]) for notice in owed],
        more=bool(owed) or not fleets <= quiet or _is_any_underway(tx, list(leads), list(fleets)),
    )


@view(by=System)
def led(tx: Reading, actor: Actor, session: SessionId) -> Led | None:
    """What a conversation leads; None where it is no lead."""
    lead = tx.find(Lead, id=session)
    if lead is None:
        return None
    newest = tx.select(Fleet, spawned_in=session, newest_first=True, limit=FLEETS_NAMED)
    return Led(lead=lead, fleets=[(fleet.id, fleet.name, tx.count(Agent, fleet=fleet.id)) for fleet in newest])


def _is_any_underway(tx: Reading, leads: list[SessionId], fleets: list[FleetId]) -> bool:
    """Whether a vote of theirs is open, a message of theirs unseen, or a fleet of theirs at work, which may pause."""
    return (
        tx.any(Decision, session=leads, resolved_at=None)
        or inboxes.any_underway_from(tx, leads)
        or tx.any(Run, fleet=fleets, state=ON_THE_WAY)
    )


def _owed(notice: Notice, lead: Lead) -> Owed:
    return Owed(
        notice=notice.id,
        session=notice.session,
        directory=lead.directory,
        kind=notice.kind,
        fleet=notice.fleet,
        after=notice.after,
        text=notice.text,
        created_at=notice.created_at,
    )

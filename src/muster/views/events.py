"""The journal, read in pages; `GET /api/v1/events` follows it live."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.event import Entry
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Operator, System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Oldest first. `cursor` is the last one's, to ask for what came after it."""

    events: list[Entry]
    cursor: int


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId | None = None,
    agent_id: AgentId | None = None,
    cursor: Cursor | None = None,
    limit: Limit = 50,
) -> EventPage:
    """What happened after `cursor`; without one, the newest."""
    if fleet_id is not None:
        tx.get(Fleet, fleet_id)
    if agent_id is not None:
        tx.get(Agent, agent_id)
    if cursor is None:
        events = tx.last_events(limit=limit, fleet=fleet_id, agent=agent_id)
    else:
        events = tx.events(after=cursor, limit=limit, fleet=fleet_id, agent=agent_id)
    newest = events[-1].cursor if events else cursor if cursor is not None else tx.journal_head()
    return EventPage(events=events, cursor=newest)


@view(by=System)
def last_at(tx: Reading, actor: Actor) -> datetime | None:
    """When something happened last."""
    newest = tx.last_events(limit=1)
    return newest[0].at if newest else None

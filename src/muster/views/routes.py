"""Who should do a piece of work: the fit by words, weighed by who is free and by what came of earlier work."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.capability import Capability
from muster.model.facts import Contenders
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId
from muster.store.matches import Match, best
from muster.store.records import Reading
from muster.store.statements import Above
from muster.verbs import Member, System, view

Description = Annotated[str, Field(min_length=1, max_length=20_000)]
TopN = Annotated[int, Field(ge=0, le=500)]

PAGE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Best first; nobody where nobody fits."""

    matches: list[Match]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a router must know of an agent. `cursor` is the agent's place in the order of spawning of all."""

    cursor: int
    agent: AgentId
    fleet: FleetId
    role: str
    name: str
    persona: str
    directory: str


@view(by=Member, facts=Contenders)
def work(
    tx: Reading,
    actor: Actor,
    description: Description,
    top_n: TopN = 1,
    fleet_id: FleetId | None = None,
    project: str | None = None,
    *,
    include_personas: bool = False,
) -> Routed:
    """Who fits a piece of work best, with reasons.

    `include_personas`: also whom one could attach. An agent looks in its own fleet; the operator in `fleet_id`, or in
    all.
    """
    if fleet_id is not None:
        actor.require_fleet(fleet_id)
    facts = tx.facts(Contenders)
    return Routed(matches=best(tx, actor, facts.found, top_n), notes=list(facts.notes))


@view(by=System)
def candidates(tx: Reading, actor: Actor, after: int) -> list[Candidate]:
    """Agents that were spawned after a cursor and live, in pages."""
    found = tx.following(Agent, after=after, limit=PAGE, wanted=Wanted.RUNNING)
    return [
        Candidate(
            cursor=cursor,
            agent=agent.id,
            fleet=agent.fleet,
            role=agent.role,
            name=agent.name,
            persona=agent.persona,
            directory=tx.get(Fleet, agent.fleet).directory,
        )
        for cursor, agent in found
    ]


@view(by=System)
def claims(tx: Reading, actor: Actor, since: datetime | None) -> list[Capability]:
    """What agents said that they can do after a moment."""
    return tx.select(Capability) if since is None else tx.select(Capability, registered_at=Above(since))

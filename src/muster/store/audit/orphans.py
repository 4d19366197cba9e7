"""Rows that belong to nothing."""

from collections.abc import Iterator

from sqlalchemy import select

from muster.model.fleet import FleetKind
from muster.store.audit.check import Drawn, Wrong, error
from muster.store.audit.words import absent, kind_of
from muster.store.schema import (
    agents,
    asks,
    clashes,
    cleanups,
    deliveries,
    errands,
    fleets,
    leads,
    merges,
    notices,
    runs,
    servers,
    snapshots,
    turns,
    worktrees,
)

WORKS_OF_AN_AGENT = (runs, turns, asks, deliveries, worktrees, snapshots, errands, merges, clashes)


@error
def fleet_without_agents() -> Wrong:
    """Fleet {id} has no agent, and none but a team is made without."""
    manned = select(agents.c.id).where(agents.c.fleet == fleets.c.id)
    return select(fleets.c.id).where(fleets.c.kind == FleetKind.MESH.value, ~manned.exists())


@error
def cleanup_without_team() -> Wrong:
    """Cleanup {id} is of fleet {fleet}, and there is no such team."""
    team = select(fleets.c.id).where(fleets.c.id == cleanups.c.fleet, fleets.c.kind == FleetKind.TEAM.value)
    return select(cleanups.c.id, cleanups.c.fleet).where(~team.exists())


@error
def fleet_without_lead() -> Wrong:
    """Fleet {id} was spawned in session {spawned_in}, of which there is no row."""
    return select(fleets.c.id, fleets.c.spawned_in).where(absent(fleets.c.spawned_in, leads))


@error
def agent_without_fleet() -> Wrong:
    """Agent {id} is in fleet {fleet}, of which there is no row."""
    return select(agents.c.id, agents.c.fleet).where(absent(agents.c.fleet, fleets))


@error
def agent_without_run() -> Wrong:
    """Agent {id} has {run} as its newest run, and there is no such run of its."""
    own = select(runs.c.id).where(runs.c.id == agents.c.run, runs.c.agent == agents.c.id)
    return select(agents.c.id, agents.c.run).where(~own.exists())


@error
def row_without_agent() -> Iterator[Drawn]:
    """{kind} {id} is of agent {agent}, of whom there is no row."""
    for table in WORKS_OF_AN_AGENT:
        wrong = absent(table.c.agent, agents)
        yield select(table.c.id, table.c.agent, kind_of(table)).where(wrong)


@error
def row_in_another_fleet() -> Iterator[Drawn]:
    """{kind} {id} is of fleet {fleet}, and its agent is in fleet {its}."""
    for table in WORKS_OF_AN_AGENT:
        columns = (table.c.id, table.c.fleet, agents.c.fleet.label("its"), kind_of(table))
        yield select(*columns).join(agents, agents.c.id == table.c.agent).where(agents.c.fleet != table.c.fleet)


@error
def row_on_no_server() -> Iterator[Drawn]:
    """{kind} {id} is on host server {server}, of which there is no row."""
    for table in (agents, runs, asks):
        wrong = absent(table.c.server, servers)
        yield select(table.c.id, table.c.server, kind_of(table)).where(wrong)


@error
def turn_sent_in_no_run() -> Wrong:
    """Turn {id} was sent in run {sent_in}, and there is no such run of its agent."""
    own = select(runs.c.id).where(runs.c.id == turns.c.sent_in, runs.c.agent == turns.c.agent)
    return select(turns.c.id, turns.c.sent_in).where(turns.c.sent_in.is_not(None), ~own.exists())


@error
def ask_without_run() -> Wrong:
    """Ask {id} is of run {run}, and there is no such run of its agent."""
    own = select(runs.c.id).where(runs.c.id == asks.c.run, runs.c.agent == asks.c.agent)
    return select(asks.c.id, asks.c.run).where(~own.exists())


@error
def notice_without_lead() -> Wrong:
    """Notice {id} is for session {session}, of which there is no row."""
    return select(notices.c.id, notices.c.session).where(absent(notices.c.session, leads))


@error
def notice_without_fleet() -> Wrong:
    """Notice {id} is about fleet {fleet}, of which there is no row."""
    return select(notices.c.id, notices.c.fleet).where(absent(notices.c.fleet, fleets))


@error
def clash_with_nobody() -> Wrong:
    """Clash {id} is with agent {other}, and there is no such agent in its fleet that was spawned after {agent}."""
    second = agents.alias()
    own = select(second.c.id).where(second.c.id == clashes.c.other, second.c.fleet == clashes.c.fleet)
    later = own.where(second.c.position > agents.c.position)
    joined = clashes.join(agents, agents.c.id == clashes.c.agent)
    return select(clashes.c.id, clashes.c.other, clashes.c.agent).select_from(joined).where(~later.exists())

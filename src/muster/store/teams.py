"""Which team is meant, and how its spawns went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import PurePath

from muster.errors import Conflict, NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.fleet import Fleet, FleetKind
from muster.model.ids import FleetId
from muster.model.merge import Merge, MergeState
from muster.model.run import Run, RunState
from muster.model.worktree import Worktree
from muster.store.records import PREFIXES, Reading
from muster.store.statements import SET

IN_A_ROW = 3
COOL_DOWN = timedelta(minutes=1)


def active_teams(tx: Reading) -> list[Fleet]:
    return tx.select(Fleet, kind=FleetKind.TEAM, cancelled_at=None, ended_at=None)


def team_for(tx: Reading, actor: Actor, named: str | None) -> Fleet:
    """The team that a lead means: by its id; else, of the active ones that are its, by name or because it is the only
    one. A conversation's are those that it leads; else those of the project that the caller stands in.
    """
    if named is not None and named.startswith(f"{PREFIXES[Fleet]}_"):
        found = tx.select(Fleet, id=named, kind=FleetKind.TEAM)
        own = active_teams(tx)
    else:
        own = _own(actor, active_teams(tx))
        found = [team for team in own if named in (None, team.name)]
    if not found:
        raise NotFound(kind="team", id=named or "here", hint=f"Active teams: {_named(own)}.")
    if len(found) > 1:
        raise Conflict(why=f"It is not clear which team is meant. Give one as `team`: {_named(found)}.")
    return found[0]


def member_named(tx: Reading, team: Fleet, name: str) -> Agent:
    """By name, or by id."""
    agents = tx.select(Agent, fleet=team.id, undone=None)
    for agent in agents:
        if name in (agent.name, agent.id):
            return agent
    names = ", ".join(agent.name for agent in agents) or "none yet"
    raise NotFound(kind="member", id=name, hint=f"Members of {team.name}: {names}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSpawn:
    name: str
    why: str
    at: datetime


def failed_spawns(tx: Reading, team: FleetId) -> list[FailedSpawn]:
    """Those since the last that went well, oldest first. One that is still on its way says nothing yet."""
    agents = tx.select(Agent, fleet=team, newest_first=True)
    runs = {run.id: run for run in tx.select(Run, id=[agent.run for agent in agents])}
    known = [agent for agent in agents if agent.steps or runs[agent.run].state is RunState.ENDED]
    failed = takewhile(lambda agent: agent.undone is not None, known)
    told = [(agent, runs[agent.run].ended_at or agent.created_at) for agent in failed]
    return [FailedSpawn(name=agent.name, why=agent.undone or "", at=at) for agent, at in reversed(told)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Work that has not landed. `ref` keeps it, beside the branch."""

    member: str
    branch: str
    ref: str
    why: str


def unlanded(tx: Reading, team: FleetId) -> list[Kept]:
    """What of its members' work is not in the user's files, as far as anybody tried, or would have to."""
    found = []
    for own in tx.select(Worktree, fleet=team, snapshot=SET):
        agent = tx.get(Agent, own.agent)
        tried = tx.select(Merge, agent=agent.id, newest_first=True, limit=1)
        if agent.undone is None and (why := _why_unlanded(own, tried[0] if tried else None)):
            found.append(Kept(member=agent.name, branch=own.branch, ref=own.ref, why=why))
    return found


def _why_unlanded(own: Worktree, tried: Merge | None) -> str | None:
    match None if tried is None else tried.state:
        case MergeState.LANDED | MergeState.EMPTY:
            return None
        case MergeState.UNDONE:
            return "its merge was undone"
        case None:
            return None if own.snapshot == own.base else "nobody merged it"
    assert tried is not None
    return tried.facts.why or f"its merge is {tried.state}"


def _own(actor: Actor, teams: Sequence[Fleet]) -> list[Fleet]:
    led = [team for team in teams if actor.session is not None and team.spawned_in == actor.session]
    if led or actor.directory is None:
        return led or [*teams]
    above = {str(folder) for folder in (PurePath(actor.directory), *PurePath(actor.directory).parents)}
    near = [team for team in teams if team.project in above]
    deepest = max((len(team.project) for team in near), default=0)
    return [team for team in near if len(team.project) == deepest]


def _named(teams: Sequence[Fleet]) -> str:
    return ", ".join(f"{team.name} ({team.id})" for team in teams) or "none"

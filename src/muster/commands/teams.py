"""Teams: made by whoever leads them, manned one by one, and ended."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.agents import AgentWish, Directory, Model, Persona, Prompt, enlist
from muster.commands.cleanups import CleanupWanted, want_cleanup
from muster.commands.endings import dismiss, noting_rest
from muster.commands.isolating import notes_of
from muster.commands.merges import Check, newest_landed, want_landed, want_undone
from muster.errors import Conflict, Unavailable
from muster.model.actor import Actor
from muster.model.agent import ACTIVE, AgentStatus, Wanted, agent_status
from muster.model.facts import Place
from muster.model.fleet import Fleet, FleetKind
from muster.model.ids import AgentId, FleetId, MergeId
from muster.model.merge import UNDERWAY, Terms
from muster.model.run import Run
from muster.model.worktree import Worktree
from muster.store.records import Transaction
from muster.store.teams import COOL_DOWN, IN_A_ROW, active_teams, failed_spawns, member_named, team_for
from muster.verbs import Operator, Settles, command

START_SECONDS = 30.0
SHARED = "{project} is no git repository: all members work in the shared directory {directory}."
RESERVED = frozenset({"lead", "operator", "muster"})  # words that mean somebody else
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
NAMING = "1 to 64 of a-z, 0-9 and, not at an end, hyphens"


def plain_name(name: str) -> str:
    """A name that can stand in a branch."""
    if name.lower() in RESERVED:
        raise ValueError(f"a name that is not reserved (as {', '.join(sorted(RESERVED))} are)")
    if len(name) > 64 or not NAME.fullmatch(name):
        raise ValueError(NAMING)
    return name


Name = Annotated[str, AfterValidator(plain_name)]
Team = Annotated[str, Field(max_length=64, description="needed where several are active")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    team: str
    fleet_id: FleetId
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """`directory` is where the member works, `branch` its own; null: in the shared checkout."""

    team: str
    member: str
    agent_id: AgentId
    agent: str
    directory: str
    branch: str | None
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    member: str
    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeAsked:
    member: str
    merge_id: MergeId


@command(by=Operator, facts=Place)
def create(tx: Transaction, actor: Actor, name: Name, project: Directory | None = None) -> Created:
    """Make a team in the project, and lead it: team.spawn adds members."""
    place = tx.facts(Place)
    _refuse_second(tx, actor, name, place.project)
    shared = place.terms.budgets.fleet
    team = Fleet(
        id=FleetId(tx.new_id(Fleet)),
        kind=FleetKind.TEAM,
        name=name,
        project=place.project,
        directory=place.directory,
        spawned_by=actor.label,
        spawned_in=actor.session,
        max_turns=shared.max_turns,
        max_tokens=shared.max_tokens,
        max_seconds=shared.max_seconds,
        on_ask=place.terms.on_ask,
        land_when_quiet=False,
        created_at=tx.now,
    )
    tx.add(team)
    tx.record(team.spawn(0))
    told = [] if place.git else [SHARED.format(project=place.project, directory=place.directory)]
    return Created(team=name, fleet_id=team.id, notes=[*told, *place.terms.notes])


@command(
    by=Operator,
    facts=Place,
    settles=Settles(view="team.joined", until=lambda _, latest, __: latest.has_begun, within=START_SECONDS),
)
def spawn(
    tx: Transaction,
    actor: Actor,
    name: Name,
    prompt: Prompt,
    agent: Persona = "build",
    model: Model | None = None,
    *,
    worktree: bool | None = None,
    force: bool = False,
    team: Team | None = None,
) -> Joined:
    """Add a member to your team, by default in a worktree of its own; answers once its first prompt is taken. What
    cannot start is undone whole, and you are told why.

    `worktree` true is refused where there is no git, false shares the checkout. Its name is free where no member has
    it, not even one that was shut down. `force`: spawn though the last three failed. `settled` false: it waits for its
    place; look with team.status.
    """
    fleet = _active(tx, actor, team)
    _refuse_in_vain(tx, fleet, force=force)
    place = tx.facts(Place)
    is_apart = place.git if worktree is None else worktree
    wish = AgentWish(role=agent[:64], name=name, prompt=prompt, agent=agent, model=model, worktree=is_apart)
    (member,) = enlist(tx, fleet, [wish], place, budget=place.terms.budgets.agent, field="{1}")
    own = tx.find(Worktree, agent=member.id)
    return Joined(
        team=fleet.name,
        member=member.name,
        agent_id=member.id,
        agent=member.persona,
        directory=fleet.directory if own is None else own.workplace,
        branch=None if own is None else own.branch,
        notes=[] if own else notes_of(place, [member], []),
    )


@command(
    by=Operator,
    settles=Settles(view="agent.brief", until=lambda _, latest, __: latest.status is AgentStatus.STOPPED),
)
def shutdown(tx: Transaction, actor: Actor, member: str, *, force: bool = False, team: Team | None = None) -> Dismissed:
    """Shut a member down: its turn ends first, and counts. `force` stops it at once, and keeps what it has as a
    snapshot. Its branch stays; nothing reaches it any more.
    """
    fleet = team_for(tx, actor, team)
    agent = member_named(tx, fleet, member)
    if agent.wanted is Wanted.RUNNING:
        with noting_rest(tx, fleet.id):
            dismiss(tx, agent, force=force)
    return Dismissed(member=agent.name, agent_id=agent.id)


@command(by=Operator, settles=Settles(view="team.merged", until=lambda _, latest, __: latest.state not in UNDERWAY))
def merge(
    tx: Transaction,
    actor: Actor,
    member: str,
    check: Check | None = None,
    *,
    include_uncommitted: bool = False,
    team: Team | None = None,
) -> MergeAsked:
    """Land what a member has committed in your files, index and HEAD untouched; `include_uncommitted`: all that it
    has. A conflict, or something of yours in the way, is an error that names the files; nothing is written then.
    `check`: a shell command that must pass on what comes of it.

    Refused while the member works.
    """
    fleet = team_for(tx, actor, team)
    agent = member_named(tx, fleet, member)
    if agent_status(agent, tx.get(Run, agent.run)) in ACTIVE:
        raise Conflict(why=f"{agent.name} is at work: wait until it is idle, or shut it down first.")
    asked = want_landed(tx, agent, Terms(include_uncommitted=include_uncommitted, check=check))
    return MergeAsked(member=agent.name, merge_id=asked.id)


@command(by=Operator, settles=Settles(view="team.unmerged", until=lambda _, latest, __: not latest.undo_wanted))
def undo_merge(tx: Transaction, actor: Actor, member: str, team: Team | None = None) -> MergeAsked:
    """Take back what of a member landed last. A file that was changed since stays as it is, under `kept`."""
    agent = member_named(tx, team_for(tx, actor, team), member)
    return MergeAsked(member=agent.name, merge_id=want_undone(tx, newest_landed(tx, agent.id)).id)


@command(
    by=Operator,
    settles=Settles(view="team.cleaned", until=lambda _, latest, __: latest.is_done),
)
def cleanup(
    tx: Transaction,
    actor: Actor,
    *,
    force: bool = False,
    acknowledge_uncommitted: bool = False,
    team: Team | None = None,
) -> CleanupWanted:
    """End your team: what was not merged is merged now, worktrees are removed; branches and snapshots stay.

    Refused while a member works, or where work does not land. `acknowledge_uncommitted`: what was not committed may
    stay behind. `force` stops who works and goes on over everything; `kept` names what was not merged, and where it is.
    """
    return want_cleanup(tx, actor, team, force=force, acknowledge=acknowledge_uncommitted)


def _refuse_second(tx: Transaction, actor: Actor, name: str, project: str) -> None:
    for team in active_teams(tx):
        if (team.project, team.name) == (project, name):
            raise Conflict(why=f"Team {name} is active in {project} already.")
        if actor.session is not None and team.spawned_in == actor.session:
            raise Conflict(why=f"This conversation leads team {team.name} already.")


def _active(tx: Transaction, actor: Actor, named: str | None) -> Fleet:
    team = team_for(tx, actor, named)
    team.require_open()
    return team


def _refuse_in_vain(tx: Transaction, team: Fleet, *, force: bool) -> None:
    """After so many failures in a row the next one would most likely fail too, until something was mended."""
    failed = failed_spawns(tx, team.id)
    if len(failed) < IN_A_ROW or force:
        return
    until = failed[-1].at + COOL_DOWN
    if tx.now < until:
        why = f"The last {len(failed)} spawns in {team.name} failed; at last: {failed[-1].why}"
        raise Unavailable(why=f"{why} Mend that; spawn after {until.isoformat()}, or with force.")

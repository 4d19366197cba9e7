"""A team is ended: what its members did is landed, and what cannot be stays on its branch and is named."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.commands.endings import dismiss
from muster.commands.isolating import take_down
from muster.commands.landings import request
from muster.errors import Conflict
from muster.model.actor import Actor
from muster.model.agent import ACTIVE, Wanted
from muster.model.cleanup import Cleanup, CleanupState
from muster.model.fleet import Fleet
from muster.model.ids import CleanupId, FleetId
from muster.model.merge import UNDERWAY, Merge, MergeState, Terms
from muster.model.run import ON_THE_WAY, Run
from muster.model.worktree import Worktree
from muster.store.members import FleetMember, members_of
from muster.store.records import Transaction
from muster.store.statements import SET
from muster.store.teams import team_for, unlanded
from muster.verbs import System, command

AT_WORK = "{names}: still at work. Wait, or shut them down, or clean up with force."
OTHER = "Team {name} is being cleaned up with other terms: wait for the answer."
UNSETTLED = "The team goes on, for not all is settled. {told}"
UNKEPT = "what {name} did could not be snapshotted: {error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupWanted:
    team: str
    fleet_id: FleetId
    cleanup_id: CleanupId


def want_cleanup(tx: Transaction, actor: Actor, named: str | None, *, force: bool, acknowledge: bool) -> CleanupWanted:
    """Write that a team is to end. Refused while somebody works; by force that is stopped first."""
    team = team_for(tx, actor, named)
    team.require_open()
    for cleanup in tx.select(Cleanup, fleet=team.id, state=CleanupState.ASKED):
        if (cleanup.force, cleanup.acknowledge_uncommitted) != (force, acknowledge):
            raise Conflict(why=OTHER.format(name=team.name))
        return CleanupWanted(team=team.name, fleet_id=team.id, cleanup_id=cleanup.id)
    working = [member.agent for member in members_of(tx, team.id) if member.status in ACTIVE]
    if working and not force:
        raise Conflict(why=AT_WORK.format(names=", ".join(agent.name for agent in working)))
    for agent in working:
        dismiss(tx, agent, force=True)
    cleanup = Cleanup(
        id=CleanupId(tx.new_id(Cleanup)),
        fleet=team.id,
        force=force,
        acknowledge_uncommitted=acknowledge,
        asked_at=tx.now,
    )
    tx.add(cleanup)
    tx.record(cleanup.ask())
    return CleanupWanted(team=team.name, fleet_id=team.id, cleanup_id=cleanup.id)


@command(by=System)
def advance(tx: Transaction, actor: Actor, cleanup: CleanupId, *, merges: bool) -> None:
    """Do what can be done now: want landed what is forgotten, once all is kept; then end the team, or let it go on.

    `merges`: what is forgotten is landed.
    """
    row = tx.get(Cleanup, cleanup)
    if row.state is not CleanupState.ASKED or _is_underway(tx, row):
        return
    members = members_of(tx, row.fleet)
    if merges and _want_landed(tx, row, members):
        return
    against = {} if row.force else _against(tx, row, members)
    if against:
        _refuse(tx, row, against)
    else:
        _complete(tx, row, members)


def _is_underway(tx: Transaction, row: Cleanup) -> bool:
    """Somebody is still being stopped, or what was done is not kept or answered yet."""
    return (
        tx.any(Run, fleet=row.fleet, state=ON_THE_WAY)
        or tx.any(Worktree, fleet=row.fleet, owed_since=SET, snapshot_error=None)
        or tx.any(Merge, fleet=row.fleet, state=UNDERWAY)
    )


def _want_landed(tx: Transaction, row: Cleanup, members: Sequence[FleetMember]) -> bool:
    """Each member's once; what was taken back was not forgotten. Answers whether anything was asked for."""
    asked = False
    for member in members:
        own = tx.find(Worktree, agent=member.agent.id, snapshot=SET)
        tried = tx.select(Merge, agent=member.agent.id, newest_first=True, limit=1)
        is_tried = any(one.requested_at >= row.asked_at or one.state is MergeState.UNDONE for one in tried)
        if own is not None and not is_tried:
            request(tx, member.agent, own, by_itself=False, terms=Terms(include_uncommitted=False))
            asked = True
    return asked


def _against(tx: Transaction, row: Cleanup, members: Sequence[FleetMember]) -> dict[str, str]:
    """Why each member's work is not settled."""
    against = {one.member: one.why for one in unlanded(tx, row.fleet)}
    if row.acknowledge_uncommitted:
        for member in members:
            tried = tx.select(Merge, agent=member.agent.id, newest_first=True, limit=1)
            if tried and tried[0].is_uncommitted:
                against.pop(member.agent.name, None)
    for own in tx.select(Worktree, fleet=row.fleet, snapshot_error=SET):
        name = next(member.agent.name for member in members if member.agent.id == own.agent)
        against[name] = UNKEPT.format(name=name, error=own.snapshot_error)
    return against


def _refuse(tx: Transaction, row: Cleanup, against: dict[str, str]) -> None:
    told = " ".join(f"{name}: {why}" for name, why in against.items())
    refused, event = row.refuse(UNSETTLED.format(told=told), tuple(against), tx.now)
    tx.save(refused)
    tx.record(event)


def _complete(tx: Transaction, row: Cleanup, members: Sequence[FleetMember]) -> None:
    for member in members:
        if member.agent.wanted is Wanted.RUNNING:
            dismiss(tx, member.agent, force=True)
        take_down(tx, member.agent.id)
    ended, told = tx.get(Fleet, row.fleet).end(tx.now)
    tx.save(ended)
    tx.record(told)
    done, event = row.complete(tx.now)
    tx.save(done)
    tx.record(event)

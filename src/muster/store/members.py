"""The agents of a fleet with their newest runs, and how the fleet stands by them. The one place that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.errors import Broken
from muster.model.agent import ACTIVE, Agent, AgentStatus, Wanted, agent_status, why_gone, why_unread
from muster.model.fleet import Fleet, FleetKind, FleetStatus, fleet_status
from muster.model.ids import AgentId, FleetId
from muster.model.merge import UNDERWAY, Merge
from muster.model.run import Run, RunState
from muster.model.turn import Ending, Turn
from muster.model.worktree import Worktree
from muster.store import inboxes
from muster.store.records import Reading
from muster.store.statements import SET, But


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    agent: Agent
    run: Run

    @property
    def status(self) -> AgentStatus:
        return agent_status(self.agent, self.run)

    @property
    def can_be_woken(self) -> bool:
        return self.agent.wanted is Wanted.RUNNING and self.agent.paused is None


def members_of(tx: Reading, fleet: FleetId) -> list[FleetMember]:
    """In the order of spawning. Those whose spawning was undone are none."""
    agents = tx.select(Agent, fleet=fleet, undone=None)
    runs = {run.id: run for run in tx.select(Run, id=[agent.run for agent in agents])}
    return [FleetMember(agent=agent, run=runs[agent.run]) for agent in agents]


def status_of(tx: Reading, fleet: Fleet, members: Sequence[FleetMember]) -> FleetStatus:
    """`members` are those of the fleet."""
    statuses = [member.status for member in members]
    if fleet.cancelled_at is not None or ACTIVE.intersection(statuses):
        return fleet_status(fleet, statuses)
    awake = [member.agent.id for member in members if member.can_be_woken]
    return fleet_status(
        fleet,
        statuses,
        expected=_is_expected(tx, fleet, members),
        held=inboxes.reason_of_hold(tx, awake) is not None,
    )


def is_quiet(tx: Reading, fleet: Fleet, members: Sequence[FleetMember]) -> bool:
    """Whether nothing of it goes on, or will by itself. A team that is quiet still runs."""
    if fleet.kind is FleetKind.MESH:
        return status_of(tx, fleet, members) is not FleetStatus.RUNNING
    return not ACTIVE.intersection(member.status for member in members) and not _is_expected(tx, fleet, members)


def _is_expected(tx: Reading, fleet: Fleet, members: Sequence[FleetMember]) -> bool:
    """Something will go on by itself: a message waits that will wake somebody, or work is not kept or landed yet."""
    awake = [member.agent.id for member in members if member.can_be_woken]
    return inboxes.will_wake(tx, awake) or _will_be_told(tx, members) or _is_to_settle(tx, fleet)


def _will_be_told(tx: Reading, members: Sequence[FleetMember]) -> bool:
    """Whether a sender is about to hear that somebody did not get its message."""
    gone = [member.agent.id for member in members if why_gone(member.agent, member.run)]
    unread = [member.agent.id for member in members if why_unread(member.agent, member.run)]
    return bool(gone and inboxes.any_unseen(tx, gone)) or bool(unread and inboxes.any_underway(tx, unread))


def _is_to_settle(tx: Reading, fleet: Fleet) -> bool:
    """Whether what an agent did is landing by itself, or is yet to be snapshotted, with nothing known in the way."""
    is_owed = tx.any(Worktree, fleet=fleet.id, owed_since=SET, snapshot_error=None)
    return is_owed or tx.any(Merge, fleet=fleet.id, by_itself=True, state=UNDERWAY)


def standing_of(tx: Reading, fleet: FleetId) -> FleetStatus:
    return status_of(tx, tx.get(Fleet, fleet), members_of(tx, fleet))


def reason_of(tx: Reading, fleet: Fleet, status: FleetStatus, members: Sequence[FleetMember]) -> str | None:
    """Why it was cancelled, or is paused."""
    if status is not FleetStatus.PAUSED:
        return fleet.reason
    paused = (member.agent.paused for member in members if member.status is AgentStatus.PAUSED)
    return next(paused, None) or inboxes.reason_of_hold(tx, [member.agent.id for member in members])


def error_of(tx: Reading, member: FleetMember) -> str | None:
    """Why its newest run failed; of one that waits to try again, why the one before it did."""
    if member.run.state is not RunState.QUEUED or member.run.number == 1:
        return member.run.error
    before = tx.find(Run, agent=member.agent.id, number=member.run.number - 1)
    return before.error if before else None


def newest_turn(tx: Reading, agent: AgentId) -> Turn:
    """Every agent has one from the moment it is written; one that was never sent and never will be does not count."""
    turns = tx.select(Turn, agent=agent, ending=But(Ending.WITHDRAWN), newest_first=True, limit=1)
    if not turns:
        raise Broken(why=f"agent {agent} has no turn")
    return turns[0]


def has_open_turn(tx: Reading, agent: AgentId) -> bool:
    """Whether it has been told something that it has not answered yet."""
    return tx.any(Turn, agent=agent, ending=None)

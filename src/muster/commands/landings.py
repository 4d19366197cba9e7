"""What agents did lands by itself when their fleet goes quiet: in rows, before anybody is told of the quiet."""

from collections.abc import Sequence

from muster.model.agent import Agent, Wanted
from muster.model.fleet import Fleet, FleetKind
from muster.model.ids import AgentId, MergeId
from muster.model.merge import Merge, MergeFacts, MergeState, Terms
from muster.model.worktree import Worktree, WorktreeState
from muster.store.members import FleetMember
from muster.store.records import Transaction

THERE = (WorktreeState.READY, WorktreeState.REMOVED)  # an agent has worked there
WITHDRAWN = "The agent was cancelled: its work is not landed by itself."


def ask_landings(tx: Transaction, fleet: Fleet, members: Sequence[FleetMember]) -> bool:
    """Want the work of each agent landed that has run since that was last wanted. Answers whether there was any."""
    if not fleet.land_when_quiet or fleet.kind is not FleetKind.MESH:
        return False
    worktrees = {worktree.agent: worktree for worktree in tx.select(Worktree, fleet=fleet.id, state=THERE)}
    landed = {merge.agent: merge.run for merge in tx.select(Merge, fleet=fleet.id, by_itself=True)}
    asked = False
    for member in members:
        agent = member.agent
        if agent.id in worktrees and agent.wanted is Wanted.RUNNING and landed.get(agent.id) != agent.run:
            request(tx, agent, worktrees[agent.id], by_itself=True, terms=Terms(include_uncommitted=True))
            asked = True
    return asked


def request(
    tx: Transaction,
    agent: Agent,
    worktree: Worktree,
    *,
    by_itself: bool,
    terms: Terms,
) -> Merge:
    """Write a merge, which its reconciler makes true."""
    merge = Merge(
        id=MergeId(tx.new_id(Merge)),
        agent=agent.id,
        fleet=agent.fleet,
        project=worktree.project,
        run=agent.run,
        by_itself=by_itself,
        include_uncommitted=terms.include_uncommitted,
        check=terms.check,
        land_as=terms.land_as,
        squash=terms.squash,
        requested_by=tx.actor.label,
        requested_at=tx.now,
    )
    tx.add(merge)
    tx.record(merge.request())
    return merge


def withdraw_landings(tx: Transaction, agent: AgentId) -> None:
    """Land nothing by itself of an agent that was cancelled. What is being written is finished."""
    for merge in tx.select(Merge, agent=agent, state=MergeState.REQUESTED):
        if merge.by_itself:
            refused, event = merge.refuse(MergeFacts(why=WITHDRAWN, next=f"`muster merge {agent}` lands it."), tx.now)
            tx.save(refused)
            tx.record(event)

"""How proposals stand, and when they end by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # conditions on columns of several types

from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.decision import Decision, DecisionStatus, Tally
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, MessageId
from muster.store.decisions import proposal_for, tally_of, with_deadline
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Member, Operator, System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    status: DecisionStatus
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """`proposer` null: the operator. `names` are those of the agents that it speaks of."""

    message_id: MessageId
    fleet_id: FleetId
    proposer: AgentId | None
    subject: str
    status: DecisionStatus
    tally: Tally
    names: dict[AgentId, str]
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    decisions: list[DecisionRow]
    cursor: int | None


@view(by=Member)
def tally(tx: Reading, actor: Actor, message_id: MessageId) -> Standing:
    """How a proposal stands: who approved, declined, is silent."""
    counted = tally_of(tx, proposal_for(tx, actor, message_id))
    return Standing(status=counted.status, tally=counted)


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId | None = None,
    status: DecisionStatus | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> DecisionPage:
    """Proposals with their tallies, newest first."""
    where: dict[str, Any] = {} if fleet_id is None else {"fleet": tx.get(Fleet, fleet_id).id}
    where |= {} if status is None else {"status": status}
    found, following = tx.page(Decision, before=cursor, limit=limit, **where)
    return DecisionPage(decisions=[_row(tx, decision) for decision in found], cursor=following)


@view(by=System)
def timed(tx: Reading, actor: Actor) -> list[MessageId]:
    """The open ones that end by themselves."""
    return [decision.id for decision in with_deadline(tx)]


@view(by=System)
def deadline(tx: Reading, actor: Actor, decision: MessageId) -> datetime | None:
    """When an open one ends by itself."""
    row = tx.get(Decision, decision)
    return None if row.resolved_at is not None else row.deadline_at


def _row(tx: Reading, decision: Decision) -> DecisionRow:
    counted = tally_of(tx, decision)
    return DecisionRow(
        message_id=decision.id,
        fleet_id=decision.fleet,
        proposer=decision.proposer,
        subject=decision.subject,
        status=counted.status,
        tally=counted,
        names=_names(tx, [*decision.voters, *([decision.proposer] if decision.proposer else [])]),
        opened_at=decision.opened_at,
    )


def _names(tx: Reading, agents: Sequence[AgentId]) -> dict[AgentId, str]:
    return {agent.id: agent.name for agent in tx.select(Agent, id=list(agents))}

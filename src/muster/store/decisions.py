"""Decisions with their votes. The one place that counts them as the rows stand."""

from collections.abc import Sequence

from muster.errors import NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.decision import Decision, Tally, Vote
from muster.model.ids import AgentId, FleetId, MessageId
from muster.model.message import Message, MessageType
from muster.store.inboxes import message_for
from muster.store.records import Reading
from muster.store.statements import SET


def proposal_for(tx: Reading, actor: Actor, id: MessageId) -> Decision:
    """A decision of a fleet that the caller may see. Raises NotFound."""
    decision = tx.find(Decision, id=message_for(tx, actor, id).id)
    if decision is None:
        raise NotFound(kind="proposal", id=id, hint="That message is none: decision.open makes one.")
    return decision


def tally_of(tx: Reading, decision: Decision) -> Tally:
    """How it stands now; one that is resolved, how it stood then."""
    votes = tx.select(Vote, decision=decision.id)
    if decision.resolved_at is not None:
        return decision.tally(votes, decision.absent, decision.resolved_at)
    return decision.tally(votes, cancelled_voters(tx, decision), tx.now)


def cancelled_voters(tx: Reading, decision: Decision) -> list[AgentId]:
    return [agent.id for agent in tx.select(Agent, id=list(decision.voters), wanted=Wanted.STOPPED)]


def votes_of(tx: Reading, decision: MessageId, agent: AgentId) -> list[Vote]:
    """One voter's, oldest first."""
    return tx.select(Vote, decision=decision, agent=agent)


def open_in(tx: Reading, fleet: FleetId) -> list[Decision]:
    return tx.select(Decision, fleet=fleet, resolved_at=None)


def proposals_among(tx: Reading, messages: Sequence[Message]) -> set[MessageId]:
    """Those that can be voted on."""
    asking = [message.id for message in messages if message.type is MessageType.QUESTION]
    return {decision.id for decision in tx.select(Decision, id=asking, resolved_at=None)} if asking else set()


def all_open(tx: Reading) -> list[Decision]:
    return tx.select(Decision, resolved_at=None)


def with_deadline(tx: Reading) -> list[Decision]:
    """The open ones that end by themselves."""
    return tx.select(Decision, resolved_at=None, deadline_at=SET)

"""What comes of a decision is noted for good, and told to whoever proposed it, in one transaction with its cause."""

from collections.abc import Iterator
from contextlib import contextmanager

from muster.commands.notices import owe
from muster.commands.posting import tell
from muster.model.agent import Agent
from muster.model.decision import Decision, DecisionStatus, Tally
from muster.model.ids import FleetId
from muster.model.message import MessageType
from muster.model.notice import NoticeKind
from muster.prompts.decisions import outcome
from muster.store.decisions import cancelled_voters, open_in, tally_of
from muster.store.records import Transaction


def settle(tx: Transaction, decision: Decision) -> Tally:
    """Resolve an open decision where it is decided. Returns how it stands."""
    tally = tally_of(tx, decision)
    if tally.status is DecisionStatus.OPEN:
        return tally
    resolved, event = decision.resolve(tally.status, cancelled_voters(tx, decision), tx.now)
    tx.save(resolved)
    tx.record(event)
    final = tally_of(tx, resolved)
    _announce(tx, resolved, final)
    return final


@contextmanager
def settling(tx: Transaction, fleet: FleetId) -> Iterator[None]:
    """What is done within ends agents of a fleet, and thereby what its open decisions can reach.

    What a deadline has decided already is noted before that.
    """
    for decision in open_in(tx, fleet):
        settle(tx, decision)
    yield
    for decision in open_in(tx, fleet):
        settle(tx, decision)


def _announce(tx: Transaction, decision: Decision, tally: Tally) -> None:
    names = {agent.id: agent.name for agent in tx.select(Agent, id=list(decision.voters))}
    text = outcome(decision, tally, names)
    tell(tx, decision.proposer, MessageType.RESULT, text, decision.id)
    if decision.session is not None:
        owe(tx, decision.session, NoticeKind.OUTCOME, f"[muster] {text}")

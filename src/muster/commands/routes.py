"""What came of work is remembered, so that the next is routed better."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.texts import not_blank
from muster.errors import Denied
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.capability import Outcome, trust
from muster.model.ids import AgentId, OutcomeId
from muster.store.records import Transaction
from muster.verbs import Member, command

Key = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(not_blank)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`weight`: by what a fit is multiplied at this capability, 0.5 to 1.5. `recorded` counts its outcomes so far."""

    agent_id: AgentId
    capability_key: str
    weight: float
    recorded: int


@command(by=Member)
def record(tx: Transaction, actor: Actor, agent_id: AgentId, capability_key: Key, *, success: bool) -> Recorded:
    """Say whether an agent did well at a skill (`capability_key`: `sql`, `code review`); later work is routed by it.

    Nobody judges itself.
    """
    agent = tx.get(Agent, agent_id)
    actor.require_fleet(agent.fleet)
    if actor.agent == agent.id:
        raise Denied(why="Nobody judges its own work.", hint="Leave it to a peer or to your lead.")
    key = " ".join(capability_key.casefold().split())
    before = tx.find(Outcome, agent=agent.id, capability_key=key)
    blank = Outcome(
        id=OutcomeId(tx.new_id(Outcome)),
        agent=agent.id,
        fleet=agent.fleet,
        persona=agent.persona,
        capability_key=key,
        recorded_at=tx.now,
    )
    outcome, event = (before or blank).record(success=success, now=tx.now)
    if before is None:
        tx.add(outcome)
    else:
        tx.save(outcome)
    tx.record(event)
    weight = round(trust(outcome.successes, outcome.failures), 4)
    return Recorded(agent_id=agent.id, capability_key=key, weight=weight, recorded=outcome.recorded)

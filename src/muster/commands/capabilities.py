"""Agents say what they can do."""

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.agents import Model, Role
from muster.commands.posting import speaker
from muster.commands.texts import not_blank
from muster.errors import MissingField
from muster.model.actor import Actor
from muster.model.capability import Capability, CapabilityRow
from muster.model.ids import AgentId, CapabilityId
from muster.store.records import Transaction
from muster.verbs import Member, command

Skill = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(not_blank)]
Skills = Annotated[list[Skill], Field(max_length=50)]
Tokens = Annotated[int, Field(ge=1, le=10**9)]


@command(by=Member)
def register(
    tx: Transaction,
    actor: Actor,
    role: Role,
    skills: Skills,
    model: Model | None = None,
    context_window: Tokens | None = None,
    agent_id: AgentId | None = None,
) -> CapabilityRow:
    """Say what you can do: work and calls for help go by it.

    Said again, it takes the place of what you said before.
    """
    agent = speaker(tx, actor, agent_id, "registers")
    if agent is None:
        raise MissingField(verb="capability.register", field="agent_id")
    before = tx.find(Capability, agent=agent.id)
    claim = Capability(
        id=before.id if before else CapabilityId(tx.new_id(Capability)),
        agent=agent.id,
        fleet=agent.fleet,
        role=role,
        skills=tuple(dict.fromkeys(skills)),
        model=model,
        context_window=context_window,
        by=actor.label,
        registered_at=tx.now,
    )
    if before is None:
        tx.add(claim)
    elif replace(claim, registered_at=before.registered_at) == before:
        return before.row()
    else:
        tx.save(claim)
    tx.record(claim.register())
    return claim.row()

"""Whether there is something to read in an inbox."""

from dataclasses import dataclass

from muster.errors import MissingField
from muster.model.actor import Actor
from muster.model.ids import AgentId
from muster.store import inboxes
from muster.store.records import Reading
from muster.verbs import Cursor, Member, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    any: bool


@view(by=Member)
def waits(tx: Reading, actor: Actor, agent_id: AgentId | None = None, since: Cursor = 0) -> Mail:
    """Whether there is a message after a cursor that is not acknowledged yet."""
    actor.require_agent(agent_id)
    own = agent_id or actor.agent
    if own is None:
        raise MissingField(verb="inbox.waits", field="agent_id")
    return Mail(any=inboxes.any_after(tx, own, after=since))

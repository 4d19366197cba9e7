"""An agent asks all others: who of them is asked first, because its words fit, or who is attached for it."""

from collections.abc import Sequence

from muster.commands.agents import FLEET_SIZE, AgentWish, enlist
from muster.commands.posting import Asked
from muster.model.actor import SYSTEM
from muster.model.agent import Agent
from muster.model.facts import Contenders
from muster.model.fleet import Fleet, FleetKind
from muster.model.message import Routing
from muster.prompts.messages import called_by
from muster.store.matches import Match, best
from muster.store.records import Transaction
from muster.store.statements import SET

MOST_ASKED = 3
NEARLY_AS_GOOD = 0.6  # of the best one's weight: who is far behind it is told with the others
WORTH_ATTACHING = 0.2  # the score of a persona, below which nobody is paid for


def asked_first(tx: Transaction, sender: Agent, others: Sequence[Agent]) -> Asked | None:
    """None: nobody fits, and nobody is attached for it."""
    facts = tx.facts(Contenders)
    among = {agent.id: agent for agent in others}
    matches = best(tx, SYSTEM, (one for one in facts.found if one.agent in among), MOST_ASKED)
    good = [match for match in matches if match.weight >= NEARLY_AS_GOOD * matches[0].weight]
    if good:
        agents = tuple(among[match.agent_id] for match in good if match.agent_id is not None)
        return Asked(agents=agents, reasons=tuple(map(_why, good)))
    return _attached(tx, sender, facts)


def _attached(tx: Transaction, sender: Agent, facts: Contenders) -> Asked | None:
    """A persona that fits joins the fleet, where the settings say so and the fleet has room."""
    fleet = tx.get(Fleet, sender.fleet)
    personas = (one for one in facts.found if one.persona is not None and one.score >= WORTH_ATTACHING)
    matches = best(tx, SYSTEM, personas, 1)
    so_far = tx.count(Routing, fleet=fleet.id, attached=SET)
    has_room = so_far < facts.attach_at_most and tx.count(Agent, fleet=fleet.id, undone=None) < FLEET_SIZE
    if not matches or not has_room or facts.place is None or fleet.kind is not FleetKind.MESH:
        return None
    persona = str(matches[0].persona)
    wish = AgentWish(role=persona[:64], prompt=called_by(sender), agent=persona)
    (agent,) = enlist(tx, fleet, [wish], facts.place, budget=sender.budget, field="{1}")
    return Asked(agents=(agent,), reasons=(_why(matches[0]),), attached=agent.id)


def _why(match: Match) -> str:
    return "; ".join(match.reasons)

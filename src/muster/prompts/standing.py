"""The one line of a system prompt that a conversation of ours carries on each model call: who it is, what it leads.

Ids, names and counts, and nothing that an agent said or that changes while agents work: a changed system prompt
makes the provider read the whole conversation again.
"""

from collections.abc import Sequence

from muster.model.agent import Agent
from muster.model.fleet import Fleet
from muster.model.ids import FleetId
from muster.visible import in_quotes

NAME = 40  # letters


def member_line(agent: Agent, fleet: Fleet) -> str:
    return f"[muster] You are {agent.name} ({agent.id}) in fleet {in_quotes(fleet.name, NAME)} ({fleet.id})."


def lead_line(fleets: Sequence[tuple[FleetId, str, int]]) -> str:
    """Each fleet with its name and the number of its agents; nothing where there is none."""
    if not fleets:
        return ""
    told = ", ".join(f"{id} {in_quotes(name, NAME)} ({agents} agents)" for id, name, agents in fleets)
    return f"[muster] Fleets you spawned: {told}."


def kept(standing: str) -> str:
    """What the summary of a compaction must hold."""
    return f"Keep word for word in the summary:\n{standing}"

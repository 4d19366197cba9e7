"""A wake-up: an idle agent was given a turn because somebody wrote to it. The loop guard counts them."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.ids import AgentId, FleetId, TurnId, WakeupId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeup:
    """One for each sender whose words the turn brought; `pair` is the same for both directions."""

    id: WakeupId
    fleet: FleetId
    pair: str
    turn: TurnId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakefulness:
    """How often agents may wake each other before somebody looks; 0 = no limit."""

    per_pair: int = 20
    per_fleet: int = 400


def pair_of(one: AgentId, other: AgentId) -> str:
    return ":".join(sorted((one, other)))

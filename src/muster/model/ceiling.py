"""How much may run at once. 0 means no limit."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from muster.model.agent import Agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Agents starting or working at the same time: in all, and of one fleet, persona, model or provider."""

    total: int = 0
    fleet: int = 0
    persona: int = 0
    model: int = 0
    provider: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How much one host server carries: agents at a time, and directories in its life."""

    agents: int = 32
    directories: int = 20


class Occupancy:
    """A count of who is live, by everything that has a ceiling."""

    def __init__(self, live: Iterable[Agent]) -> None:
        self._taken: Counter[tuple[str, str]] = Counter()
        for agent in live:
            self.take(agent)

    def take(self, agent: Agent) -> None:
        self._taken.update(_kinds(agent).items())

    def admits(self, agent: Agent, ceilings: Ceilings) -> bool:
        return all(
            limit == 0 or self._taken[kind, value] < limit
            for kind, value in _kinds(agent).items()
            for limit in (getattr(ceilings, kind),)
        )


def _kinds(agent: Agent) -> dict[str, str]:
    kinds = {"total": "", "fleet": str(agent.fleet), "persona": agent.persona}
    if agent.model is not None:
        kinds |= {"model": agent.model, "provider": agent.model.partition("/")[0]}
    return kinds

"""What a session has cost so far, as its host counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """`tokens`: input, output, reasoning and cache together. `steps`: model requests that have ended.

    Those of its sub-agents are counted with it.
    """

    tokens: int = 0
    cost_usd: float = 0.0
    steps: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            tokens=self.tokens + other.tokens, cost_usd=self.cost_usd + other.cost_usd, steps=self.steps + other.steps
        )


NOTHING = Spent()

"""What a session has cost so far, as its host counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """`tokens`: input, output, reasoning and cache together."""

    tokens: int
    cost_usd: float

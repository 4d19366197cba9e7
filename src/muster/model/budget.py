"""What may be spent. 0 means no limit."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Means(StrEnum):
    """What is spent: model requests (steps), tokens, and the time at work."""

    TURNS = "turns"
    TOKENS = "tokens"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """`max_turns` counts steps, for that is what people pay for."""

    max_turns: int = 0
    max_tokens: int = 0
    max_seconds: int = 0

    def limit(self, means: Means) -> int:
        match means:
            case Means.TURNS:
                return self.max_turns
            case Means.TOKENS:
                return self.max_tokens
            case Means.SECONDS:
                return self.max_seconds

    def used_up(self, use: "Use") -> Means | None:
        """The first means of which nothing is left."""
        spent = {Means.TURNS: use.turns, Means.TOKENS: use.tokens, Means.SECONDS: use.seconds}
        return next((means for means in Means if 0 < self.limit(means) <= spent[means]), None)

    def raised(self, more: "Budget") -> "Budget":
        """Each limit that there is, by so much."""
        return replace(
            self,
            max_turns=self.max_turns and self.max_turns + more.max_turns,
            max_tokens=self.max_tokens and self.max_tokens + more.max_tokens,
            max_seconds=self.max_seconds and self.max_seconds + more.max_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What a fleet and each of its agents may spend where nobody says otherwise."""

    fleet: Budget = Budget(max_tokens=5_000_000, max_seconds=14_400)
    agent: Budget = Budget(max_turns=200)


USUAL = Budgets()


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was spent so far. `seconds` are those at work: a fleet's are counted once, however many agents worked."""

    turns: int
    tokens: int
    seconds: float

"""Who of those that fit a request should do it: weighed by who is free and by what came of earlier work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.agent import ACTIVE, Agent, AgentStatus, Wanted, agent_status
from muster.model.capability import Outcome, trust
from muster.model.facts import Contender
from muster.model.ids import AgentId
from muster.model.run import Run
from muster.routing.tokens import words_of
from muster.store.records import Reading

MOST_TRUST = 1.5
AVAILABLE = {
    **dict.fromkeys(ACTIVE, 0.8),
    AgentStatus.PAUSED: 0.5,
    AgentStatus.FAILED: 0.5,
    AgentStatus.TIMED_OUT: 0.5,
}
"""What is left of a fit that is not free or did not do well last. What is not named here is free."""
ELSEWHERE = 0.25  # what an outcome at another capability is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An agent, or a persona that could be attached (the other is null).

    `score`: how well its words fit, 0 to 1. `weight`: the same by who is free and how earlier work went, which orders.
    """

    agent_id: AgentId | None
    persona: str | None
    role: str
    score: float
    weight: float
    reasons: list[str]


def best(tx: Reading, actor: Actor, found: Iterable[Contender], most: int) -> list[Match]:
    """Best first, ties by id. `found` is in order of score, so that few are looked up."""
    matches: list[Match] = []
    for one in found:
        if len(matches) >= most and (not most or one.score * MOST_TRUST < matches[most - 1].weight):
            break
        match = _weighed(tx, one) if one.agent is None or one.agent != actor.agent else None
        if match is not None:
            matches.append(match)
            matches.sort(key=lambda match: (-match.weight, match.agent_id or f"~{match.persona}"))
    return matches[:most]


def _weighed(tx: Reading, one: Contender) -> Match | None:
    """None: it does not live any more."""
    reasons = list(one.reasons)
    free = 1.0
    if one.agent is not None:
        agent = tx.find(Agent, id=one.agent)
        if agent is None or agent.wanted is not Wanted.RUNNING or agent.leaving_at is not None or agent.undone:
            return None
        status = agent_status(agent, tx.get(Run, agent.run))
        free = AVAILABLE.get(status, 1.0)
        if free < 1:
            reasons.append(f"{status}: {agent.paused}" if agent.paused else f"is {status}")
    weight, told = _trusted(_outcomes(tx, one), one.keys)
    reasons += told
    return Match(
        agent_id=one.agent,
        persona=one.persona,
        role=one.role,
        score=round(one.score, 4),
        weight=round(one.score * free * weight, 4),
        reasons=reasons,
    )


def _outcomes(tx: Reading, one: Contender) -> list[Outcome]:
    """An agent's own; of a persona, those of all its agents there ever were. As much as they are worth now."""
    if one.agent is not None:
        found = tx.select(Outcome, agent=one.agent)
    else:
        found = tx.select(Outcome, persona=one.persona)
    return [outcome.faded(tx.now) for outcome in found]


def _trusted(outcomes: Sequence[Outcome], keys: frozenset[str]) -> tuple[float, list[str]]:
    """What earlier work makes of a fit, and why: work at other capabilities counts too, but little."""
    successes = failures = 0.0
    at: dict[str, int] = {}
    for outcome in outcomes:
        concerns = bool(keys & frozenset(words_of(outcome.capability_key)))
        counts = 1.0 if concerns else ELSEWHERE
        successes += counts * outcome.successes
        failures += counts * outcome.failures
        if concerns:
            at[outcome.capability_key] = at.get(outcome.capability_key, 0) + outcome.recorded
    weight = trust(successes, failures)
    told = ", ".join(f"{number} at {key}" for key, number in sorted(at.items()))
    return weight, [f"earlier work ({told}) × {weight:.2f}"] if at else []

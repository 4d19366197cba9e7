"""What an agent says that it can do, and what came of what it did: the claim and the evidence."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from muster.model.event import CapabilityRegistered, OutcomeRecorded
from muster.model.ids import AgentId, CapabilityId, FleetId, OutcomeId

HALF_LIFE = timedelta(days=30)
"""After this long an outcome counts half: models, personas and repositories change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """An agent's own claim, one for each agent; registered anew it takes the place of the earlier one.

    `context_window` is in tokens.
    """

    id: CapabilityId
    agent: AgentId
    fleet: FleetId
    role: str
    skills: tuple[str, ...]
    model: str | None
    context_window: int | None
    by: str
    registered_at: datetime

    def row(self) -> "CapabilityRow":
        return CapabilityRow(
            agent_id=self.agent,
            fleet_id=self.fleet,
            role=self.role,
            skills=list(self.skills),
            model=self.model,
            context_window=self.context_window,
            by=self.by,
            registered_at=self.registered_at,
        )

    def register(self) -> CapabilityRegistered:
        return CapabilityRegistered(
            fleet=self.fleet, agent=self.agent, capability=self.id, role=self.role, skills=self.skills
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityRow:
    """What is told of a claim. `by`: who made it, the agent itself or the operator for it."""

    agent_id: AgentId
    fleet_id: FleetId
    role: str
    skills: list[str]
    model: str | None
    context_window: int | None
    by: str
    registered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an agent did at one capability, as counts that fade: a Beta posterior over a uniform prior.

    `successes` and `failures` are worth what they were at `recorded_at`; `recorded` counts all there ever were.
    `persona` is the agent's: what its agents did speaks for it after they have ended.
    """

    id: OutcomeId
    agent: AgentId
    fleet: FleetId
    persona: str
    capability_key: str
    successes: float = 0.0
    failures: float = 0.0
    recorded: int = 0
    recorded_at: datetime

    def record(self, *, success: bool, now: datetime) -> "tuple[Outcome, OutcomeRecorded]":
        faded = self.faded(now)
        outcome = replace(
            faded,
            successes=faded.successes + success,
            failures=faded.failures + (not success),
            recorded=self.recorded + 1,
        )
        event = OutcomeRecorded(
            fleet=self.fleet,
            agent=self.agent,
            outcome_id=self.id,
            capability_key=self.capability_key,
            success=success,
            recorded=outcome.recorded,
        )
        return outcome, event

    def faded(self, now: datetime) -> "Outcome":
        """As much as it is worth now."""
        left = 0.5 ** (max(timedelta(), now - self.recorded_at) / HALF_LIFE)
        return replace(self, successes=self.successes * left, failures=self.failures * left, recorded_at=now)


def trust(successes: float, failures: float) -> float:
    """By what a fit is multiplied: from 0.5 (it always failed) over 1 (nothing is known) to 1.5.

    Half a point beside the mean of the posterior Beta(1 + successes, 1 + failures).
    """
    return 0.5 + (1 + successes) / (2 + successes + failures)

"""When a run must have come further, and what is done where it has not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.model.agent import Agent
from muster.model.fleet import Fleet
from muster.model.run import MILLISECOND, Run


class Lapse(StrEnum):
    """What has run out."""

    TIMEOUT = "timeout"
    AGE = "age"
    INACTIVITY = "inactivity"
    SECONDS = "seconds"  # a ceiling: the agent is paused, and no more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How long a run may go without a sign of life, and how long it may live at all. 0: no limit."""

    inactivity_ms: int = 0
    max_age_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    at: datetime
    lapse: Lapse
    says: str


def next_deadline(run: Run, agent: Agent, fleet: Fleet, watch: Watch) -> Deadline | None:
    """The first one of a run at work."""
    if run.started_at is None or run.stirred_at is None:
        return None
    found = _deadlines(run, agent, fleet, watch, run.started_at, run.stirred_at)
    return min(found, key=lambda deadline: deadline.at, default=None)


def _deadlines(
    run: Run, agent: Agent, fleet: Fleet, watch: Watch, started: datetime, stirred: datetime
) -> Iterator[Deadline]:
    begun = started + run.slept_ms * MILLISECOND
    if timeout := agent.timeout_ms or fleet.timeout_ms:
        says = f"The run was not done within {timeout} ms."
        yield Deadline(at=begun + timeout * MILLISECOND, lapse=Lapse.TIMEOUT, says=says)
    if watch.max_age_ms:
        says = f"The run was not done within {watch.max_age_ms} ms (max_age_ms)."
        yield Deadline(at=begun + watch.max_age_ms * MILLISECOND, lapse=Lapse.AGE, says=says)
    if watch.inactivity_ms:
        says = f"No sign of life came for {watch.inactivity_ms} ms (inactivity_ms)."
        yield Deadline(at=stirred + watch.inactivity_ms * MILLISECOND, lapse=Lapse.INACTIVITY, says=says)
    if agent.max_seconds:
        left = (agent.max_seconds * 1000 - agent.worked_ms) * MILLISECOND
        yield Deadline(at=begun + left, lapse=Lapse.SECONDS, says="")
    if fleet.max_seconds and fleet.working_since:
        left = (fleet.max_seconds * 1000 - fleet.worked_ms) * MILLISECOND
        yield Deadline(at=fleet.working_since + left, lapse=Lapse.SECONDS, says="")

"""Fleets are spawned and cancelled."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from muster.commands.agents import FLEET_SIZE, AgentWish, Directory, Reason, Timeout, enlist
from muster.commands.budgets import raise_budgets, resume_agent, why_not
from muster.commands.endings import cut_agent, noting_rest
from muster.commands.isolating import notes_of
from muster.commands.outcomes import settling
from muster.commands.texts import not_blank
from muster.errors import Conflict
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.budget import Budget, Budgets
from muster.model.facts import Place
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, FleetId
from muster.model.worktree import Worktree
from muster.store import inboxes
from muster.store.records import Transaction
from muster.store.statements import SET
from muster.verbs import Operator, Settles, command

FleetName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(not_blank)]

Limit = Annotated[int, Field(ge=0, le=10**12)]
More = Annotated[int, Field(ge=1, le=10**12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWish:
    """Ceilings of all agents together; 0 = no limit. `max_turns` counts model requests."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    max_turns: Limit | None = None
    max_tokens: Limit | None = None
    max_seconds: Limit | None = None


def _without_cost(told: object) -> object:
    if isinstance(told, dict) and "max_cost_usd" in told:
        raise ValueError("no max_cost_usd, for Muster knows no prices yet; max_tokens bounds the cost too")
    return told


BudgetArgument = Annotated[BudgetWish | None, BeforeValidator(_without_cost)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWish:
    """A fleet to be spawned. Its `name` defaults to the agents'."""

    agents: list[AgentWish]
    name: str | None
    timeout_ms: int | None
    budget: BudgetWish | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreWish:
    """What is added to the ceilings that there are."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    turns: More | None = None
    tokens: More | None = None
    seconds: More | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    agent_id: AgentId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """`resumed` go on; `paused` stay so, and why. `released` counts the messages that were held back."""

    resumed: list[AgentId]
    paused: list[Held]
    released: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """`agent_ids` in the order of the request."""

    fleet_id: FleetId
    agent_ids: list[AgentId]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    fleet_id: FleetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    ok: bool
    timeout_ms: int


@command(by=Operator, facts=Place)
def spawn(
    tx: Transaction,
    actor: Actor,
    agents: Annotated[list[AgentWish], Field(min_length=1, max_length=FLEET_SIZE)],
    name: FleetName | None = None,
    project: Directory | None = None,
    timeout_ms: Timeout | None = None,
    budget: BudgetArgument = None,
) -> Spawned:
    """Start agents that work in parallel. Answers before anything has started; wait with fleet.wait.

    `project` is the directory that they work in (absolute); `name` defaults to the agents' names. `timeout_ms` bounds
    the wall time of each run; an agent's own comes first. `budget` bounds what all of them spend together, where
    named in place of the settings' ceilings; at a ceiling the fleet pauses.
    """
    return found(tx, FleetWish(agents=agents, name=name, timeout_ms=timeout_ms, budget=budget))


@command(by=Operator)
def set_timeout(tx: Transaction, actor: Actor, fleet_id: FleetId, timeout_ms: Timeout) -> Limited:
    """Bound the wall time of each run in a fleet, of those at work too. An agent's own `timeout_ms` comes first."""
    fleet = tx.get(Fleet, fleet_id)
    fleet.require_open()
    limited, event = fleet.limit(timeout_ms)
    tx.save(limited)
    tx.record(event)
    return Limited(ok=True, timeout_ms=timeout_ms)


@command(
    by=Operator,
    settles=Settles(view="fleet.brief", until=lambda _, latest, __: latest.status is not FleetStatus.RUNNING),
)
def cancel(tx: Transaction, actor: Actor, fleet_id: FleetId, reason: Reason | None = None) -> Cancelled:
    """End a fleet and all of its agents for good; what they said so far is kept. Cancelling again changes nothing."""
    fleet = tx.get(Fleet, fleet_id)
    if fleet.cancelled_at is None:
        with noting_rest(tx, fleet.id), settling(tx, fleet.id):
            cancelled, event = fleet.cancel(reason, tx.now)
            tx.save(cancelled)
            tx.record(event)
            for agent in tx.select(Agent, fleet=fleet.id, wanted=Wanted.RUNNING):
                cut_agent(tx, agent, reason)
    return Cancelled(fleet_id=fleet.id)


@command(by=Operator)
def resume(tx: Transaction, actor: Actor, fleet_id: FleetId | None = None, more: MoreWish | None = None) -> Resumed:
    """Let a paused fleet go on, or every paused one. What has used up its budget stays paused without `more`.

    `more` is added to the ceilings that there are: the fleet's, and those of agents that paused at their own.
    """
    raised = _more(more or MoreWish())
    if fleet_id is not None:
        tx.get(Fleet, fleet_id).require_open()
    fleets = [fleet_id] if fleet_id is not None else _paused_fleets(tx)
    answers = [_resume(tx, fleet, raised) for fleet in fleets]
    changed = any(one.resumed or one.paused or one.released for one in answers)
    if fleet_id is not None and raised == Budget() and not changed:
        raise Conflict(why=f"Nothing in fleet {fleet_id} is paused.")
    return Resumed(
        resumed=[agent for one in answers for agent in one.resumed],
        paused=[held for one in answers for held in one.paused],
        released=sum(one.released for one in answers),
    )


def found(tx: Transaction, wish: FleetWish) -> Spawned:
    """Write a fleet with its agents, where they are to work and on the terms that hold there."""
    place = tx.facts(Place)
    shared, own = _budgets(wish.budget or BudgetWish(), place.terms.budgets)
    fleet = Fleet(
        id=FleetId(tx.new_id(Fleet)),
        name=wish.name or _name_after(wish.agents),
        project=place.project,
        directory=place.directory,
        spawned_by=tx.actor.label,
        spawned_in=tx.actor.session,
        timeout_ms=wish.timeout_ms,
        max_turns=shared.max_turns,
        max_tokens=shared.max_tokens,
        max_seconds=shared.max_seconds,
        on_ask=place.terms.on_ask,
        land_when_quiet=place.terms.land_when_quiet,
        created_at=tx.now,
    )
    tx.add(fleet)
    tx.record(fleet.spawn(len(wish.agents)))
    enlisted = enlist(tx, fleet, wish.agents, place, budget=own)
    notes = [*notes_of(place, enlisted, tx.select(Worktree, fleet=fleet.id)), *place.terms.notes]
    return Spawned(fleet_id=fleet.id, agent_ids=[agent.id for agent in enlisted], notes=notes)


def _resume(tx: Transaction, id: FleetId, more: Budget) -> Resumed:
    if more != Budget():
        raise_budgets(tx, tx.get(Fleet, id), more)
    answer = Resumed(resumed=[], paused=[], released=_release(tx, id))
    for agent in tx.select(Agent, fleet=id, wanted=Wanted.RUNNING, paused=SET):
        if (reason := why_not(tx, agent)) is not None:
            answer.paused.append(Held(agent_id=agent.id, reason=reason))
        else:
            resume_agent(tx, agent)
            answer.resumed.append(agent.id)
    return answer


def _release(tx: Transaction, id: FleetId) -> int:
    """Let the messages through that were held back, and count wake-ups anew. Returns how many there were."""
    held = inboxes.held_in(tx, [agent.id for agent in tx.select(Agent, fleet=id)])
    tx.save(tx.get(Fleet, id).let_through(tx.now))
    for delivery in held:
        released, event = delivery.release()
        tx.save(released)
        tx.record(event)
    return len(held)


def _paused_fleets(tx: Transaction) -> list[FleetId]:
    paused = [agent.fleet for agent in tx.select(Agent, wanted=Wanted.RUNNING, paused=SET)]
    return list(dict.fromkeys([*paused, *inboxes.held_fleets(tx)]))


def _more(wish: MoreWish) -> Budget:
    return Budget(max_turns=wish.turns or 0, max_tokens=wish.tokens or 0, max_seconds=wish.seconds or 0)


def _budgets(wish: BudgetWish, usual: Budgets) -> tuple[Budget, Budget]:
    """The fleet's, and each agent's own. Who names a number of turns for all has thereby named it for each."""
    shared = Budget(
        max_turns=_named(wish.max_turns, usual.fleet.max_turns),
        max_tokens=_named(wish.max_tokens, usual.fleet.max_tokens),
        max_seconds=_named(wish.max_seconds, usual.fleet.max_seconds),
    )
    own = Budget(
        max_turns=usual.agent.max_turns if wish.max_turns is None else 0,
        max_tokens=usual.agent.max_tokens if wish.max_tokens is None else 0,
        max_seconds=usual.agent.max_seconds if wish.max_seconds is None else 0,
    )
    return shared, own


def _named(wished: int | None, usual: int) -> int:
    return usual if wished is None else wished


def _name_after(agents: list[AgentWish]) -> str:
    """The first roles, as a person would call the group."""
    roles = ", ".join(wish.name or wish.role for wish in agents[:3])
    return roles[:61] + "…" if len(roles) > 64 else roles

"""Who votes on a proposal, with what weight, and whose approval it cannot do without. All of it is checked by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from muster.commands.agents import FLEET_SIZE
from muster.commands.messages import names_of
from muster.errors import BadValue, Conflict, NotFound
from muster.model.agent import Agent, Wanted
from muster.model.ids import AgentId, FleetId
from muster.store.records import Transaction

MOST_WEIGHT = 1_000_000
MOST_IN_ALL = 10_000_000

Who = Annotated[str, Field(min_length=1, max_length=64)]
Voters = Annotated[list[Who], Field(min_length=1, max_length=FLEET_SIZE)]
Signers = Annotated[list[Who], Field(max_length=FLEET_SIZE)]
Weight = Annotated[int, Field(ge=1, le=MOST_WEIGHT)]
Weights = Annotated[dict[str, Weight], Field(max_length=FLEET_SIZE)]
Quorum = Annotated[int, Field(ge=1, le=MOST_IN_ALL, description="weight of approvals")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Electorate:
    """In the order of spawning; `weights` in the order of `voters`."""

    voters: tuple[AgentId, ...]
    weights: tuple[int, ...]
    required_signoffs: tuple[AgentId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectorateWish:
    """By id or name. No `voters`: all but the proposer."""

    voters: Sequence[str] | None
    weights: Mapping[str, int]
    required_signoffs: Sequence[str]
    quorum: int


def electorate(tx: Transaction, fleet: FleetId, proposer: AgentId | None, wish: ElectorateWish) -> Electorate:
    """Raises NotFound for whoever does not live in the fleet, BadValue for rules that cannot be met."""
    living = tx.select(Agent, fleet=fleet, wanted=Wanted.RUNNING)
    if all(agent.id == proposer for agent in living):
        raise Conflict(why=f"A proposal has no voters: nobody else is in fleet {fleet}.")
    voters = _voters(living, proposer, wish)
    weights = _weights(living, voters, wish.weights)
    total = sum(weights)
    if total > MOST_IN_ALL:
        raise BadValue(field="weights", expected=f"at most {MOST_IN_ALL} in all", got=f"{total}")
    if wish.quorum > total:
        raise BadValue(field="quorum", expected=f"at most {total}, the weight of all voters", got=f"{wish.quorum}")
    signers = {_voter(living, voters, "required_signoffs", who) for who in wish.required_signoffs}
    return Electorate(
        voters=voters, weights=weights, required_signoffs=tuple(voter for voter in voters if voter in signers)
    )


def _voters(living: Sequence[Agent], proposer: AgentId | None, wish: ElectorateWish) -> tuple[AgentId, ...]:
    if wish.voters is None:
        return tuple(agent.id for agent in living if agent.id != proposer)
    named = {_living(living, "voters", who) for who in wish.voters}
    if named == {proposer}:
        raise BadValue(field="voters", expected="somebody else than the proposer too", got=wish.voters[0])
    return tuple(agent.id for agent in living if agent.id in named)


def _weights(living: Sequence[Agent], voters: Sequence[AgentId], given: Mapping[str, int]) -> tuple[int, ...]:
    weights: dict[AgentId, int] = {}
    for who, weight in given.items():
        voter = _voter(living, voters, "weights", who)
        if voter in weights:
            raise BadValue(field=f"weights.{who}", expected="each voter once, by id or by name", got=f"{weight}")
        weights[voter] = weight
    return tuple(weights.get(voter, 1) for voter in voters)


def _voter(living: Sequence[Agent], voters: Sequence[AgentId], field: str, who: str) -> AgentId:
    found = _living(living, field, who)
    if found not in voters:
        raise BadValue(field=field, expected="some of the voters only", got=who)
    return found


def _living(living: Sequence[Agent], field: str, who: str) -> AgentId:
    for agent in living:
        if who in (agent.id, agent.name):
            return agent.id
    raise NotFound(kind="living agent", id=who, hint=f"{field} takes agents of this fleet: {names_of(living)}.")

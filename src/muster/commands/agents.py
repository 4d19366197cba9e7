"""Agents join a fleet, move, and are cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field

from muster.commands.budgets import enforce
from muster.commands.endings import cut_agent, noting_rest
from muster.commands.isolating import isolates, worktree_for
from muster.commands.outcomes import settling
from muster.commands.texts import at_most, not_blank
from muster.commands.turns import say
from muster.errors import BadValue, Conflict, UnknownPersona
from muster.model.actor import Actor
from muster.model.agent import ACTIVE, Agent, Wanted, name_for
from muster.model.budget import Budget
from muster.model.facts import Persona as Definition
from muster.model.facts import Place, Progress
from muster.model.fleet import Fleet, FleetKind
from muster.model.ids import AgentId, FleetId, RunId
from muster.model.retry import MAX_ATTEMPTS
from muster.model.run import Run, RunState
from muster.model.spent import Spent
from muster.model.turn import TurnKind
from muster.model.worktree import Worktree
from muster.prompts.preamble import preamble
from muster.store.members import has_open_turn
from muster.store.records import Transaction
from muster.verbs import Operator, Settles, System, command

PROMPT_BYTES = 1024 * 1024
FLEET_SIZE = 200
MONTH_MS = 31 * 24 * 3600 * 1000
USUAL_PERSONA = "build"
RESERVED = frozenset({"lead", "operator", "muster"})  # words that mean somebody else


Role = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(not_blank)]
Prompt = Annotated[str, Field(min_length=1), AfterValidator(not_blank), AfterValidator(at_most(PROMPT_BYTES, "1 MiB"))]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Persona = Annotated[str, Field(max_length=200)]
Model = Annotated[str, Field(pattern=r"^[^/\s]+/\S+$", max_length=200, description="provider/model")]
Timeout = Annotated[int, Field(ge=1, le=MONTH_MS, description="wall time of one run")]
Attempts = Annotated[int, Field(ge=1, le=10)]
Directory = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWish:
    """An agent to be started. `agent` is the persona; `name` defaults to the role's slug. `worktree`: a checkout of its
    own, or the shared one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    role: Role
    prompt: Prompt
    agent: Persona = USUAL_PERSONA
    name: Name | None = None
    model: Model | None = None
    worktree: bool | None = None
    timeout_ms: Timeout | None = None
    max_attempts: Attempts = MAX_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """`worktree`: the folder of its own that it works in; null: the shared checkout."""

    agent_id: AgentId
    fleet_id: FleetId
    name: str
    worktree: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    agent_id: AgentId


@command(by=Operator, facts=Place)
def attach(
    tx: Transaction,
    actor: Actor,
    fleet_id: FleetId,
    role: Role,
    prompt: Prompt,
    agent: Persona = USUAL_PERSONA,
    name: Name | None = None,
    model: Model | None = None,
    timeout_ms: Timeout | None = None,
    max_attempts: Attempts = MAX_ATTEMPTS,
    *,
    worktree: bool | None = None,
) -> Attached:
    """Add one agent to a fleet, mid-flight or quiet; a quiet fleet runs again. A cancelled fleet refuses.

    It may spend as much as the fleet's first agent.
    """
    fleet = tx.get(Fleet, fleet_id)
    fleet.require_open()
    if fleet.kind is FleetKind.TEAM:
        raise Conflict(why=f"{fleet.name} is a team: its lead adds members to it with team.spawn.")
    wish = AgentWish(
        role=role,
        prompt=prompt,
        agent=agent,
        name=name,
        model=model,
        worktree=worktree,
        timeout_ms=timeout_ms,
        max_attempts=max_attempts,
    )
    (first,) = tx.select(Agent, fleet=fleet.id, limit=1)
    (attached,) = enlist(tx, fleet, [wish], tx.facts(Place), budget=first.budget, field="{1}")
    own = tx.find(Worktree, agent=attached.id)
    return Attached(
        agent_id=attached.id, fleet_id=fleet.id, name=attached.name, worktree=own.folder if own is not None else None
    )


@command(by=Operator, settles=Settles(view="agent.brief", until=lambda _, latest, __: latest.status not in ACTIVE))
def cancel(tx: Transaction, actor: Actor, agent_id: AgentId, reason: Reason | None = None) -> Cancelled:
    """End one agent for good: its work is stopped, what it said so far is kept. Cancelling again changes nothing."""
    agent = tx.get(Agent, agent_id)
    if agent.wanted is Wanted.RUNNING:
        with noting_rest(tx, agent.fleet), settling(tx, agent.fleet):
            cut_agent(tx, agent, reason)
    return Cancelled(agent_id=agent.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Whether an agent's next model request may be made."""

    go: bool


@command(by=System)
def move(
    tx: Transaction,
    actor: Actor,
    agent: AgentId,
    tool: str | None,
    spent: Spent | None = None,
    *,
    closing: bool = False,
) -> None:
    """Note what the agent is at, and pause it where a ceiling is reached. Nothing new is no event.

    `spent`: of its session so far; None where nobody looked. `closing`: its answer is there, so no step follows.
    """
    row = tx.get(Agent, agent)
    moved = _note(tx, row, tool, spent)
    if moved is not row and spent is not None and not closing and tx.get(Run, row.run).state is RunState.WORKING:
        enforce(tx, moved)


@command(by=System, facts=Progress)
def step(tx: Transaction, actor: Actor, agent: AgentId) -> Go:
    """The agent's host wants to make another model request for it: refused where a ceiling is reached, or it was cut.

    What its session has cost so far is noted first.
    """
    row = tx.get(Agent, agent)
    spent = tx.facts(Progress).spent
    if spent is not None:
        enforce(tx, _note(tx, row, None, spent))
    return Go(go=tx.get(Agent, agent).paused is None and has_open_turn(tx, agent))


def _note(tx: Transaction, row: Agent, tool: str | None, spent: Spent | None) -> Agent:
    """What is new of an agent, which is a sign of life too; the row itself where nothing is."""
    moved, event = row.move(tool=tool, spent=spent, now=tx.now)
    if (moved.tool, moved.spent) == (row.tool, row.spent):
        return row
    tx.save(moved)
    tx.record(event)
    run = tx.get(Run, row.run)
    if run.state is RunState.WORKING:
        tx.save(run.stir(tx.now))
    return moved


def enlist(
    tx: Transaction,
    fleet: Fleet,
    wishes: Sequence[AgentWish],
    place: Place,
    *,
    budget: Budget,
    field: str = "agents[{0}].{1}",
) -> list[Agent]:
    """Write agents into a fleet, each with its first run queued and its first turn ready to be sent.

    `budget` is each one's own. `field` says, by index and name, where a part of a wish stands in the request.
    """
    present = tx.select(Agent, fleet=fleet.id, undone=None)
    if len(present) + len(wishes) > FLEET_SIZE:
        raise Conflict(why=f"Fleet {fleet.id} has {len(present)} agents; {FLEET_SIZE} is the most.")
    personas = [_persona(wish.agent, place) for wish in wishes]
    apart = [
        isolates(persona, place, field.format(index, "worktree"), wished=wish.worktree)
        for index, (persona, wish) in enumerate(zip(personas, wishes, strict=True))
    ]
    names = _names(wishes, {agent.name for agent in present}, field)
    is_member, first = fleet.kind is FleetKind.TEAM, tx.count(Agent, fleet=fleet.id)
    agents = [
        replace(_agent(tx, fleet, wish, name, position, budget), read_only=is_member and not persona.edits)
        for position, (persona, wish, name) in enumerate(zip(personas, wishes, names, strict=True), start=first)
    ]
    own = [worktree_for(tx, agent, place) if is_apart else None for agent, is_apart in zip(agents, apart, strict=True)]
    for agent, wish, worktree in zip(agents, wishes, own, strict=True):
        peers = [peer for peer in (*present, *agents) if peer.id != agent.id]
        _enter(tx, fleet, agent, worktree, wish.prompt, peers)
    return agents


def _agent(tx: Transaction, fleet: Fleet, wish: AgentWish, name: str, position: int, budget: Budget) -> Agent:
    return Agent(
        id=AgentId(tx.new_id(Agent)),
        fleet=fleet.id,
        position=position,
        name=name,
        role=wish.role,
        persona=wish.agent,
        model=wish.model,
        directory=fleet.directory,
        run=RunId(tx.new_id(Run)),
        max_attempts=wish.max_attempts,
        timeout_ms=wish.timeout_ms,
        max_turns=budget.max_turns,
        max_tokens=budget.max_tokens,
        max_seconds=budget.max_seconds,
        member=fleet.kind is FleetKind.TEAM,
        created_at=tx.now,
    )


def _enter(
    tx: Transaction, fleet: Fleet, agent: Agent, worktree: Worktree | None, prompt: str, peers: Sequence[Agent]
) -> None:
    run, queued = Run.queue(id=agent.run, agent=agent.id, fleet=fleet.id, number=1, now=tx.now)
    tx.add(agent if worktree is None else agent.live_in(worktree.workplace))
    tx.add(run)
    say(tx, agent, TurnKind.FIRST, text=prompt, preamble=preamble(agent, fleet, peers, worktree))
    tx.record(agent.attach())
    tx.record(queued)
    if worktree is not None:
        tx.add(worktree)
        tx.record(worktree.ask())


def require_free(wished: Sequence[str | None], taken: set[str], field: str) -> set[str]:
    """All names that are taken then. Raises BadValue for one that somebody has, or that means somebody else."""
    taken = taken | RESERVED
    for index, name in enumerate(wished):
        if name is not None:
            if name in taken:
                raise BadValue(
                    field=field.format(index, "name"), expected="a name that is free in this fleet", got=name
                )
            taken.add(name)
    return taken


def _names(wishes: Sequence[AgentWish], taken: set[str], field: str) -> list[str]:
    """Names that were asked for come first; the others are made from roles around them."""
    taken = require_free([wish.name for wish in wishes], taken, field)
    names = []
    for wish in wishes:
        name = wish.name or name_for(wish.role, taken)
        taken.add(name)
        names.append(name)
    return names


def _persona(name: str, place: Place) -> Definition:
    known = {one.name: one for one in place.personas}
    if name not in known:
        nearest = get_close_matches(name, known, n=3, cutoff=0.3) or list(known)[:5]
        raise UnknownPersona(persona=name, project=place.project, nearest=", ".join(nearest))
    return known[name]

"""What waits for an answer, and what was answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # conditions on columns of several types

from muster.errors import Broken
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.ask import OPEN, SHOWN, Answer, Ask, AskKind, AskState, Question
from muster.model.ids import AgentId, AskId, FleetId, RunId, ServerId, SessionId
from muster.model.run import Run, RunState
from muster.model.server import Server
from muster.store.members import has_open_turn
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Operator, System, view

NEWEST = 5
"""So many of an agent's asks are shown with it; all of them stand in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRow:
    """`what`: the permission's name, or the first question. `pattern`: what the permission is wanted for."""

    ask_id: AskId
    fleet_id: FleetId
    agent_id: AgentId
    name: str
    kind: AskKind
    what: str
    pattern: str
    questions: list[Question]
    asked_at: datetime
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    asks: list[AskRow]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBrief:
    ask_id: AskId
    state: AskState
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRow:
    """`answer`: waiting, refused, allowed, answered, or gone: nobody waited for it any more."""

    permission: str
    pattern: str
    answer: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A run at work, which may stand still."""

    run: RunId
    agent: AgentId
    session: SessionId
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One host server, who works there, and what of theirs is not delivered yet."""

    server: Server
    askers: list[Asker]
    asks: list[Ask]


@view(by=Operator)
def list_(
    tx: Reading,
    actor: Actor,
    fleet_id: FleetId | None = None,
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> AskPage:
    """What agents wait for, newest first: permissions and questions that ask.answer answers."""
    where: dict[str, Any] = {} if fleet_id is None else {"fleet": fleet_id}
    asks, cursor = tx.page(Ask, before=cursor, limit=limit, state=AskState.WAITING, **where)
    return AskPage(asks=[_row(tx, ask) for ask in asks], cursor=cursor)


@view(by=Operator)
def brief(tx: Reading, actor: Actor, ask_id: AskId) -> AskBrief:
    """How far an ask is: waiting, decided (the agent is yet to be told), delivered, or gone."""
    ask = tx.get(Ask, ask_id)
    return AskBrief(ask_id=ask.id, state=ask.state, answer=ask.answer)


@view(by=System)
def desk(tx: Reading, actor: Actor, server: ServerId) -> Desk:
    """What the asks reconciler looks at. Whose turn was cut is not asked any more."""
    runs = tx.select(Run, server=server, state=RunState.WORKING)
    return Desk(
        server=tx.get(Server, server),
        askers=[_asker(run, tx.get(Agent, run.agent)) for run in runs if has_open_turn(tx, run.agent)],
        asks=tx.select(Ask, server=server, state=OPEN),
    )


@view(by=System)
def servers(tx: Reading, actor: Actor) -> list[ServerId]:
    """The host servers on which somebody works."""
    return sorted({run.server for run in tx.select(Run, state=RunState.WORKING) if run.server is not None})


@view(by=System)
def is_waiting(tx: Reading, actor: Actor, run: RunId) -> bool:
    """Whether the operator has yet to answer what a run asks."""
    return tx.any(Ask, run=run, state=AskState.WAITING)


@view(by=System)
def server_of(tx: Reading, actor: Actor, ask: AskId) -> ServerId:
    """Where an ask stands."""
    return tx.get(Ask, ask).server


def permissions_in(tx: Reading, fleet: FleetId, agents: Iterable[AgentId]) -> dict[AgentId, list[PermissionRow]]:
    """What each agent asked for and what it was told, oldest first. One look tells that nobody did."""
    if not tx.any(Ask, fleet=fleet):
        return {}
    return {agent: _newest(tx, agent) for agent in agents}


def _newest(tx: Reading, agent: AgentId) -> list[PermissionRow]:
    return [_permission(ask) for ask in reversed(tx.select(Ask, agent=agent, newest_first=True, limit=NEWEST))]


def _permission(ask: Ask) -> PermissionRow:
    is_question = ask.kind is AskKind.QUESTION
    return PermissionRow(
        permission=AskKind.QUESTION if is_question else ask.what,
        pattern=(ask.what if is_question else ask.pattern)[:SHOWN],
        answer=ask.answer or ask.state,
        at=ask.answered_at or ask.asked_at,
    )


def _row(tx: Reading, ask: Ask) -> AskRow:
    return AskRow(
        ask_id=ask.id,
        fleet_id=ask.fleet,
        agent_id=ask.agent,
        name=tx.get(Agent, ask.agent).name,
        kind=ask.kind,
        what=ask.what,
        pattern=ask.pattern,
        questions=list(ask.questions),
        asked_at=ask.asked_at,
        deadline_at=ask.deadline_at,
    )


def _asker(run: Run, agent: Agent) -> Asker:
    if agent.session is None:
        raise Broken(why=f"run {run.id} works without a session")
    return Asker(run=run.id, agent=agent.id, session=agent.session, directory=agent.directory)

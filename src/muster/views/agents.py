"""One agent: how far it is, and what was said in its conversation."""

from dataclasses import dataclass
from datetime import datetime

from muster.model.actor import Actor
from muster.model.agent import Agent, AgentStatus, agent_status
from muster.model.facts import Line, Transcript
from muster.model.ids import AgentId, FleetId
from muster.model.run import Run
from muster.model.turn import Turn
from muster.store.records import Reading
from muster.verbs import Member, Operator, System, view


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBrief:
    agent_id: AgentId
    status: AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    kind: str
    prompt: str
    output: str | None
    error: str | None
    sent_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`lines` is the conversation as the host has it; null where the host server sleeps, and `why` says so."""

    agent_id: AgentId
    fleet_id: FleetId
    name: str
    status: AgentStatus
    turns: list[TurnRow]
    lines: list[Line] | None
    why: str | None


@view(by=Member)
def brief(tx: Reading, actor: Actor, agent_id: AgentId) -> AgentBrief:
    """An agent's status alone."""
    agent = tx.get(Agent, agent_id)
    actor.require_fleet(agent.fleet)
    return AgentBrief(agent_id=agent.id, status=agent_status(agent, tx.get(Run, agent.run)))


@view(by=System)
def row(tx: Reading, actor: Actor, agent: AgentId) -> Agent:
    """One agent as it is stored."""
    return tx.get(Agent, agent)


@view(by=Operator, facts=Transcript)
def log(tx: Reading, actor: Actor, agent_id: AgentId) -> Log:
    """What was asked and answered, and the whole conversation with its tool calls while the host server is awake."""
    agent = tx.get(Agent, agent_id)
    transcript = tx.facts(Transcript)
    return Log(
        agent_id=agent.id,
        fleet_id=agent.fleet,
        name=agent.name,
        status=agent_status(agent, tx.get(Run, agent.run)),
        turns=[_turn_row(turn) for turn in tx.select(Turn, agent=agent.id)],
        lines=None if transcript.lines is None else list(transcript.lines),
        why=transcript.why,
    )


def _turn_row(turn: Turn) -> TurnRow:
    return TurnRow(
        kind=turn.kind,
        prompt=turn.text,
        output=turn.output,
        error=turn.error,
        sent_at=turn.sent_at,
        ended_at=turn.ended_at,
    )

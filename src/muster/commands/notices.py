"""Notices are written, and ended when they stand in the conversation or have nothing to tell any more."""

from muster.model.actor import Actor
from muster.model.agent import Agent, agent_status
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import AgentId, NoticeId
from muster.model.notice import Notice, NoticeEnding, NoticeKind
from muster.model.run import Run
from muster.model.turn import Turn
from muster.prompts.notices import Word, digest
from muster.store.records import Transaction
from muster.verbs import System, command


@command(by=System)
def end(tx: Transaction, actor: Actor, notice: NoticeId, ending: NoticeEnding) -> None:
    """The bridge has seen to it. Said again it changes nothing: the first answer may have been lost."""
    row = tx.get(Notice, notice)
    if row.ending is None:
        ended, event = row.end(ending, tx.now)
        tx.save(ended)
        tx.record(event)


def announce(tx: Transaction, fleet: Fleet, status: FleetStatus) -> None:
    """Owe the lead that spawned a fleet the news of its first quiet, and of each pause. Nobody, where none did."""
    kind = NoticeKind.PAUSED if status is FleetStatus.PAUSED else NoticeKind.QUIET
    if fleet.spawned_in is None:
        return
    if kind is NoticeKind.QUIET and tx.find(Notice, fleet=fleet.id, kind=kind):
        return
    notice = Notice(
        id=NoticeId(tx.new_id(Notice)),
        session=fleet.spawned_in,
        kind=kind,
        fleet=fleet.id,
        text=digest(fleet, status, _why(tx, fleet, status), _words(tx, fleet)),
        created_at=tx.now,
    )
    tx.add(notice)
    tx.record(notice.write())


def _why(tx: Transaction, fleet: Fleet, status: FleetStatus) -> str | None:
    if status is not FleetStatus.PAUSED:
        return fleet.reason
    return next((agent.paused for agent in tx.select(Agent, fleet=fleet.id) if agent.paused), None)


def _words(tx: Transaction, fleet: Fleet) -> list[Word]:
    """In the order of spawning."""
    runs = {run.id: run for run in tx.select(Run, fleet=fleet.id)}
    newest: dict[AgentId, Turn] = {turn.agent: turn for turn in tx.select(Turn, fleet=fleet.id)}
    return [
        Word(
            name=agent.name,
            status=agent_status(agent, runs[agent.run]),
            output=newest[agent.id].output,
            error=None if agent.paused else runs[agent.run].error,
        )
        for agent in tx.select(Agent, fleet=fleet.id)
    ]

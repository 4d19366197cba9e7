"""Who may have brought a host server down: told from how the runs on it ended."""

from itertools import takewhile

from muster.model.ids import AgentId
from muster.model.run import Outcome, Run, RunState
from muster.model.server import Server
from muster.store.records import Reading

LONE_DEATHS_BORNE = 2
"""How often in a row a host server may die under an agent that is alone on it, before the agent is quarantined."""

LOOKED_BACK = 20


def lone_deaths(tx: Reading, agent: AgentId) -> int:
    """How often its server died under this agent alone since it last ended a run by itself."""
    ended = tx.select(Run, agent=agent, state=RunState.ENDED, newest_first=True, limit=LOOKED_BACK)
    interrupted = takewhile(lambda run: run.outcome is Outcome.INTERRUPTED, ended)
    return sum(run.lone_death for run in interrupted)


def has_survived(tx: Reading, server: Server) -> bool:
    """Whether a run has ended by itself on a server since it was shaken."""
    if server.generation == server.shaken_in:
        return False
    ended = tx.select(Run, server=server.id, generation=server.generation, state=RunState.ENDED)
    return any(run.started_at is not None and run.outcome is not Outcome.INTERRUPTED for run in ended)

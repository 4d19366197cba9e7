"""Where a run works: which slot it gets, who wakes that slot, and which slots let nobody in for now."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from muster.commands.suspicion import has_survived, lone_deaths
from muster.model.agent import Agent
from muster.model.ceiling import Sharding
from muster.model.ids import ServerId
from muster.model.run import LIVE, Outcome, Run, RunState
from muster.model.server import Server, ServerState
from muster.store.records import Transaction


@dataclass(slots=True, kw_only=True)
class Places:
    """The slots of one host, as one pass of admission fills them.

    An agent under which alone a server died is a *suspect*: it gets in first and alone, and its slot is kept for it.
    """

    tx: Transaction
    sharding: Sharding
    host: str
    _kept: set[ServerId] = field(default_factory=set)

    def suspects_first(self, queued: Sequence[Run]) -> list[Run]:
        return sorted(queued, key=lambda run: not self._is_suspect(run))

    def give(self, run: Run, agent: Agent) -> bool:
        """Give a queued run its place; False where its slot lets nobody in for now."""
        server = self._server_for(run, agent)
        if server is None:
            return False
        if server.state is ServerState.STOPPED:
            server, woken = server.wake(self.tx.now)
            self.tx.save(server)
            self.tx.record(woken)
        admitted, event = run.admit(server.id, server.generation)
        self.tx.save(admitted)
        self.tx.record(event)
        return True

    def _server_for(self, run: Run, agent: Agent) -> Server | None:
        """The slot that the agent belongs to; else one with room, rather trusted and awake; else a new one."""
        if own := self._own_slot(run, agent):
            return own if self._lets_in(own, run) else None
        slots = [self._calmed(slot) for slot in self.tx.select(Server, host=self.host)]
        for slot in sorted(slots, key=lambda slot: (slot.shocks, slot.state is ServerState.STOPPED)):
            if self._lets_in(slot, run) and (slot.state is ServerState.STOPPED or self._has_room(slot, agent)):
                return slot
        server, event = Server.want(id=ServerId(self.tx.new_id(Server)), host=self.host, now=self.tx.now)
        self.tx.add(server)
        self.tx.record(event)
        return server

    def _own_slot(self, run: Run, agent: Agent) -> Server | None:
        """Where its session is; or where its server died before it had one, so that it takes no second one down."""
        if agent.server is not None:
            return self._calmed(self.tx.get(Server, agent.server))
        if run.number == 1:
            return None
        (before,) = self.tx.select(Run, agent=agent.id, state=RunState.ENDED, newest_first=True, limit=1)
        if before.outcome is not Outcome.INTERRUPTED or before.server is None:
            return None
        return self._calmed(self.tx.get(Server, before.server))

    def _calmed(self, slot: Server) -> Server:
        if slot.shocks and has_survived(self.tx, slot):
            slot = slot.calm()
            self.tx.save(slot)
        return slot

    def _lets_in(self, slot: Server, run: Run) -> bool:
        if slot.state is ServerState.READY and slot.swollen_mib is not None:
            return False
        live = self.tx.select(Run, server=slot.id, state=LIVE)
        if not live:
            return True
        if self._is_suspect(run):
            self._kept.add(slot.id)
        if slot.id in self._kept:
            return False
        watched = slot.shocks > 0 or any(self._is_suspect(other) for other in live)
        return not watched or any(_has_worked(other, slot, self.tx) for other in live)

    def _is_suspect(self, run: Run) -> bool:
        return run.number > 1 and lone_deaths(self.tx, run.agent) > 0

    def _has_room(self, slot: Server, agent: Agent) -> bool:
        """A directory once opened stays loaded for the server's life, so all of this generation count."""
        if self.tx.count(Run, server=slot.id, state=LIVE) >= self.sharding.agents:
            return False
        placed = self.tx.select(Run, server=slot.id, generation=slot.generation)
        loaded = {one.directory for one in self.tx.select(Agent, id=[run.agent for run in placed])}
        return len(loaded | {agent.directory}) <= self.sharding.directories


def _has_worked(run: Run, slot: Server, tx: Transaction) -> bool:
    """Long enough to trust that it does the server no harm."""
    return run.started_at is not None and run.started_at + slot.patience <= tx.now

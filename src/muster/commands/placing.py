"""Where a run works: which slot it gets, who wakes that slot, and which slots let nobody in for now."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.commands.suspicion import has_survived, lone_deaths
from muster.model.agent import Agent
from muster.model.ceiling import Sharding
from muster.model.ids import ServerId
from muster.model.run import LIVE, Outcome, Run, RunState
from muster.model.server import Server, ServerState
from muster.store.records import Transaction


@dataclass(slots=True)
class _Slot:
    """A slot as it fills up. `directories` are those that its process has loaded; None: not looked up yet."""

    server: Server
    live: list[Run]
    directories: set[str] | None = None
    is_kept: bool = False

    @property
    def is_asleep(self) -> bool:
        return self.server.state is ServerState.STOPPED


class Places:
    """The slots of one host in one pass of admission, read once.

    An agent under which alone a server died is a *suspect*: it gets in first and alone, and its slot is kept for it.
    """

    def __init__(self, tx: Transaction, sharding: Sharding, host: str) -> None:
        self._tx = tx
        self._sharding = sharding
        self._host = host
        self._slots = {server.id: _Slot(server, []) for server in tx.select(Server, host=host)}
        for run in tx.select(Run, state=LIVE):
            if run.server in self._slots:
                self._slots[run.server].live.append(run)
        for slot in self._slots.values():
            self._calm(slot)

    def suspects_first(self, queued: Sequence[Run]) -> list[Run]:
        return sorted(queued, key=lambda run: not self._is_suspect(run))

    def give(self, run: Run, agent: Agent) -> bool:
        """Give a queued run its place; False where its slot lets nobody in for now."""
        slot = self._slot_for(run, agent)
        if slot is None:
            return False
        if slot.is_asleep:
            slot.server, woken = slot.server.wake(self._tx.now)
            self._tx.save(slot.server)
            self._tx.record(woken)
            slot.directories = set()
        admitted, event = run.admit(slot.server.id, slot.server.generation)
        self._tx.save(admitted)
        self._tx.record(event)
        slot.live.append(admitted)
        self._directories(slot).add(agent.directory)
        return True

    def _slot_for(self, run: Run, agent: Agent) -> _Slot | None:
        """The slot that the agent belongs to; else one with room, rather trusted and awake; else a new one."""
        if own := self._own_slot(run, agent):
            return own if self._lets_in(own, run) else None
        for slot in sorted(self._slots.values(), key=lambda slot: (slot.server.shocks, slot.is_asleep)):
            if self._lets_in(slot, run) and (slot.is_asleep or self._has_room(slot, agent)):
                return slot
        server, event = Server.want(id=ServerId(self._tx.new_id(Server)), host=self._host, now=self._tx.now)
        self._tx.add(server)
        self._tx.record(event)
        self._slots[server.id] = _Slot(server, [], set())
        return self._slots[server.id]

    def _own_slot(self, run: Run, agent: Agent) -> _Slot | None:
        """Where its session is; or where its server died before it had one, so that it takes no second one down."""
        if agent.server is not None:
            return self._slots.get(agent.server)
        if run.number == 1:
            return None
        (before,) = self._tx.select(Run, agent=agent.id, state=RunState.ENDED, newest_first=True, limit=1)
        if before.outcome is not Outcome.INTERRUPTED or before.server is None:
            return None
        return self._slots.get(before.server)

    def _calm(self, slot: _Slot) -> None:
        if slot.server.shocks and has_survived(self._tx, slot.server):
            slot.server = slot.server.calm()
            self._tx.save(slot.server)

    def _lets_in(self, slot: _Slot, run: Run) -> bool:
        if slot.server.state is ServerState.READY and slot.server.swollen_mib is not None:
            return False
        if not slot.live:
            return True
        slot.is_kept = slot.is_kept or self._is_suspect(run)
        if slot.is_kept:
            return False
        watched = slot.server.shocks > 0 or any(self._is_suspect(other) for other in slot.live)
        return not watched or any(self._has_worked(other, slot.server) for other in slot.live)

    def _is_suspect(self, run: Run) -> bool:
        return run.number > 1 and lone_deaths(self._tx, run.agent) > 0

    def _has_worked(self, run: Run, server: Server) -> bool:
        """Long enough to trust that it does the server no harm."""
        return run.started_at is not None and run.started_at + server.patience <= self._tx.now

    def _has_room(self, slot: _Slot, agent: Agent) -> bool:
        """A directory once opened stays loaded for the server's life, so all of this generation count."""
        if len(slot.live) >= self._sharding.agents:
            return False
        return len(self._directories(slot) | {agent.directory}) <= self._sharding.directories

    def _directories(self, slot: _Slot) -> set[str]:
        if slot.directories is None:
            placed = self._tx.select(Run, server=slot.server.id, generation=slot.server.generation)
            agents = self._tx.select(Agent, id=list({run.agent for run in placed}))
            slot.directories = {agent.directory for agent in agents}
        return slot.directories

"""Makes host servers true: starts the wanted, watches the running, ends the idle, reports the lost."""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from anyio.abc import TaskGroup

from muster.checkpoints import checkpoint
from muster.commands import servers as server_commands
from muster.engine import Engine
from muster.errors import Conflict, HostFailed, HostMissing, HostVersionUnknown
from muster.model.actor import SYSTEM
from muster.model.event import Entry
from muster.model.ids import ServerId
from muster.model.server import Server, ServerState, StopReason
from muster.reconcilers.asks import AsksReconciler
from muster.reconcilers.connections import Connections, process_of
from muster.reconcilers.deliveries import DeliveriesReconciler
from muster.reconcilers.listening import Listening
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.runs import RunsReconciler
from muster.reconcilers.silence import Silence
from muster.views import runs as run_views
from muster.views import servers as server_views

log = logging.getLogger(__name__)

LEFTOVERS = "leftovers"  # a key beside the servers' ids
TEND_SECONDS = 2.0
SILENT_SECONDS = 10.0  # so long unanswered, a server is taken for stuck
SWOLLEN_BEYOND = 1.5  # times what it may hold: then nobody waits until its runs have ended


class HostsReconciler(Reconciler):
    """Also has each ready server listened to. `memory_mib`: what one may hold; 0 = no limit."""

    follows = ("server.wanted", "server.ready", "server.stopped")

    def __init__(
        self,
        engine: Engine,
        connections: Connections,
        runs: RunsReconciler,
        asks: AsksReconciler,
        deliveries: DeliveriesReconciler,
        *,
        idle: timedelta,
        memory_mib: int,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(engine)
        self._connections = connections
        self._listening = Listening(
            engine,
            connections,
            servers=self.queue,
            runs=runs.queue,
            asks=asks.queue,
            deliveries=deliveries.queue,
        )
        self._idle = idle
        self._memory_mib = memory_mib
        self._clock = clock
        self._silence = Silence()
        self._swept = False

    def start(self, tasks: TaskGroup) -> None:
        self._listening.start(tasks)

    async def keys(self) -> Iterable[str]:
        """The first pass looks at every slot, and for what a crash left that no row knows."""
        slots = await self.engine.query(server_views.all_, SYSTEM, awake_only=self._swept)
        first, self._swept = not self._swept, True
        return [*([LEFTOVERS] if first else []), *(server.id for server in slots)]

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.body["server"]]

    async def reconcile(self, key: str) -> float | None:
        if key == LEFTOVERS:
            await self._sweep()
            return None
        occupied = await self.engine.query(server_views.get, SYSTEM, server=ServerId(key))
        server = occupied.server
        match server.state:
            case ServerState.STARTING:
                await self._start(server)
            case ServerState.READY:
                return await self._tend(server, occupied.idle_since)
            case ServerState.STOPPED:
                await self._end(server)
        return None

    async def _sweep(self) -> None:
        """End processes of this state folder that belong to a run that is over, or to a server that no row knows.

        The processes are looked at before the rows, so that nobody is taken for forgotten who has just begun.
        """
        for host in self._connections.hosts:
            traces = await host.traces()
            known = {server.id for server in await self.engine.query(server_views.all_, SYSTEM, awake_only=False)}
            at_work = await self.engine.query(run_views.live, SYSTEM)
            for run in traces.runs.difference(at_work):
                await host.end_run(run)
            for server in traces.servers - known:
                await host.stop(server)

    async def _start(self, server: Server) -> None:
        await self._hang_up(server.id)
        host = self._connections.host(server)
        try:
            process = await host.start(self._connections.wish(server))
        except (HostMissing, HostVersionUnknown) as error:
            await self._stop(server, StopReason.UNFIT, error.message)
            return
        except HostFailed as error:
            await self._stop(server, StopReason.FAILED, error.message)
            return
        checkpoint("server.ready:started")
        report = self.engine.execute(
            server_commands.ready,
            SYSTEM,
            server=server.id,
            generation=server.generation,
            pid=process.pid,
            pid_started_at=process.started_at,
            port=process.port,
            version=process.version,
        )
        if not await self._told(server, report):
            await host.stop(server.id)

    async def _tend(self, server: Server, idle_since: datetime | None) -> float | None:
        if not self._connections.host(server).alive(process_of(server)):
            await self._stop(server, StopReason.LOST, "its process is gone")
            return None
        if idle_since is not None and self._clock() - idle_since > self._idle:
            await self._retire(server)
            return None
        self._listening.begin(server)
        at_work = idle_since is None
        if at_work and await self._is_silent(server):
            await self._stop(server, StopReason.LOST, f"it did not answer for {SILENT_SECONDS:.0f} s")
            return None
        await self._weigh(server, at_work=at_work)
        return TEND_SECONDS

    async def _is_silent(self, server: Server) -> bool:
        """Asked only while somebody works there: an idle server costs nothing, and is ended soon."""
        connection = await self._connections.to(server)
        seconds = await self._silence.seconds(server, connection.healthy)
        if seconds:
            log.warning("server.silent server=%s seconds=%.1f", server.id, seconds)
        return seconds >= SILENT_SECONDS

    async def _weigh(self, server: Server, *, at_work: bool) -> None:
        """Drain a server that holds too much, then replace it; at once where it would take the machine down."""
        if not self._memory_mib:
            return
        held = self._connections.host(server).memory_mib(process_of(server))
        drained = server.swollen_mib is not None
        if (drained and not at_work) or held > SWOLLEN_BEYOND * self._memory_mib:
            await self._stop(server, StopReason.SWOLLEN, f"it held {held} MiB, and may hold {self._memory_mib}")
        elif not drained and held > self._memory_mib:
            await self._drain(server, held)

    async def _end(self, server: Server) -> None:
        checkpoint("server.stop:reported")
        await self._hang_up(server.id)
        host = self._connections.host(server)
        await host.stop(server.id)
        checkpoint("server.stop:ended")
        await host.tidy(self._connections.wish(server))

    async def _retire(self, server: Server) -> None:
        since = self._clock() - self._idle
        report = self.engine.execute(
            server_commands.retire, SYSTEM, server=server.id, generation=server.generation, idle_since=since
        )
        await self._told(server, report)

    async def _drain(self, server: Server, held: int) -> None:
        report = self.engine.execute(
            server_commands.drain, SYSTEM, server=server.id, generation=server.generation, memory_mib=held
        )
        await self._told(server, report)

    async def _stop(self, server: Server, why: StopReason, detail: str) -> None:
        report = self.engine.execute(
            server_commands.stop,
            SYSTEM,
            server=server.id,
            generation=server.generation,
            why=why,
            detail=detail,
            jitter=random.uniform(-1, 1),
        )
        await self._told(server, report)

    async def _told(self, server: Server, report: Awaitable[None]) -> bool:
        """Report; False, and another look, where the row has moved on meanwhile."""
        try:
            await report
        except Conflict:
            self.queue.add(server.id)
            return False
        return True

    async def _hang_up(self, server: ServerId) -> None:
        """What was heard and said belongs to a generation that is over."""
        self._listening.end(server)
        await self._connections.forget(server)

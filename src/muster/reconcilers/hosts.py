"""Makes host servers true: starts the wanted, watches the running, ends the idle, reports the lost."""

import logging
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskGroup

from muster.checkpoints import checkpoint
from muster.commands import agents as agent_commands
from muster.commands import servers as server_commands
from muster.engine import Engine
from muster.errors import Conflict, HostFailed, HostMissing, HostVersionUnknown, MusterError, Stale
from muster.hosts.contract import Hint
from muster.model.actor import SYSTEM
from muster.model.event import Entry
from muster.model.ids import ServerId
from muster.model.server import Server, ServerState, StopReason
from muster.reconcilers.connections import Connections, process_of
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.runs import RunsReconciler
from muster.reconcilers.silence import Silence
from muster.views import runs as run_views
from muster.views import servers as server_views

log = logging.getLogger(__name__)

TEND_SECONDS = 2.0
SILENT_SECONDS = 10.0  # so long unanswered, a server is taken for stuck


class HostsReconciler(Reconciler):
    """Also listens to each ready server, and passes on what its hints concern."""

    def __init__(
        self,
        engine: Engine,
        connections: Connections,
        runs: RunsReconciler,
        *,
        idle: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(engine)
        self._connections = connections
        self._runs = runs
        self._idle = idle
        self._clock = clock
        self._listening: dict[ServerId, tuple[int, anyio.CancelScope]] = {}
        self._silence = Silence()
        self._swept = False

    def start(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    async def keys(self) -> Iterable[str]:
        """The first pass looks at every slot, so that what a crash left of a stopped server is ended too."""
        awake_only, self._swept = self._swept, True
        return [server.id for server in await self.engine.query(server_views.all_, SYSTEM, awake_only=awake_only)]

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.body["server"]] if entry.name in ("server.wanted", "server.ready", "server.stopped") else []

    async def reconcile(self, key: str) -> float | None:
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

    async def _start(self, server: Server) -> None:
        host = self._connections.host(server)
        try:
            process = await host.start(self._connections.wish(server))
        except (HostMissing, HostVersionUnknown) as error:
            await self._report_stop(server, StopReason.UNFIT, error.message)
            return
        except HostFailed as error:
            await self._report_stop(server, StopReason.FAILED, error.message)
            return
        checkpoint("server.ready:started")
        try:
            await self.engine.execute(
                server_commands.ready,
                SYSTEM,
                server=server.id,
                generation=server.generation,
                pid=process.pid,
                pid_started_at=process.started_at,
                port=process.port,
                version=process.version,
            )
        except Stale:
            await host.stop(server.id)

    async def _tend(self, server: Server, idle_since: datetime | None) -> float | None:
        if not self._connections.host(server).alive(process_of(server)):
            await self._report_stop(server, StopReason.LOST, "its process is gone")
            return None
        if idle_since is not None and self._clock() - idle_since > self._idle:
            await self._retire(server)
            return None
        self._listen(server)
        if idle_since is None and await self._is_silent(server):
            await self._report_stop(server, StopReason.LOST, f"it did not answer for {SILENT_SECONDS:.0f} s")
            return None
        return TEND_SECONDS

    async def _is_silent(self, server: Server) -> bool:
        """Asked only while somebody works there: an idle server costs nothing, and is ended soon."""
        connection = await self._connections.to(server)
        return await self._silence.seconds(server, connection.healthy) >= SILENT_SECONDS

    async def _retire(self, server: Server) -> None:
        try:
            await self.engine.execute(
                server_commands.retire,
                SYSTEM,
                server=server.id,
                generation=server.generation,
                idle_since=self._clock() - self._idle,
            )
        except Conflict:
            self.queue.add(server.id)

    async def _end(self, server: Server) -> None:
        checkpoint("server.stop:reported")
        _, listener = self._listening.pop(server.id, (0, None))
        if listener is not None:
            listener.cancel()
        await self._connections.forget(server.id)
        await self._connections.host(server).stop(server.id)
        checkpoint("server.stop:ended")

    async def _report_stop(self, server: Server, why: StopReason, detail: str) -> None:
        try:
            await self.engine.execute(
                server_commands.stop,
                SYSTEM,
                server=server.id,
                generation=server.generation,
                why=why,
                detail=detail,
                jitter=random.uniform(-1, 1),
            )
        except Stale:
            self.queue.add(server.id)

    def _listen(self, server: Server) -> None:
        generation, listener = self._listening.get(server.id, (0, None))
        if generation == server.generation:
            return
        if listener is not None:
            listener.cancel()
        scope = anyio.CancelScope()
        self._listening[server.id] = (server.generation, scope)
        self._tasks.start_soon(self._hear, server, scope)

    async def _hear(self, server: Server, scope: anyio.CancelScope) -> None:
        with scope:
            connection = await self._connections.to(server)
            async for hint in connection.hints():
                try:
                    await self._pass_on(server, hint)
                except MusterError as error:  # a lost hint costs time, not truth
                    log.warning("hint.lost server=%s error=%s", server.id, error)

    async def _pass_on(self, server: Server, hint: Hint) -> None:
        if hint.session is None:
            self.queue.add(server.id)
            for run in await self.engine.query(run_views.live, SYSTEM, server=server.id):
                self._runs.queue.add(run)
            return
        agent = await self.engine.query(run_views.agent_in, SYSTEM, server=server.id, session=hint.session)
        if agent is None:
            return
        if hint.turning:
            self._runs.queue.add(agent.run)
        elif hint.tool != agent.tool:
            await self.engine.execute(agent_commands.move, SYSTEM, agent=agent.id, tool=hint.tool)

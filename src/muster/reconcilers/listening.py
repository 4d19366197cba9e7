"""Listens to each ready host server, and passes on to the reconcilers what its hints concern."""

import logging

import anyio
from anyio.abc import TaskGroup

from muster.commands import agents as agent_commands
from muster.commands import runs as run_commands
from muster.engine import Engine
from muster.errors import MusterError
from muster.hosts.contract import Hint
from muster.model.actor import SYSTEM
from muster.model.ids import ServerId
from muster.model.server import Server
from muster.reconcilers.connections import Connections
from muster.reconcilers.queue import Queue
from muster.views import runs as run_views

log = logging.getLogger(__name__)


class Listening:
    """One listener for each server that is awake. What it misses costs time, not truth."""

    def __init__(
        self, engine: Engine, connections: Connections, *, servers: Queue, runs: Queue, asks: Queue, deliveries: Queue
    ) -> None:
        self._engine = engine
        self._connections = connections
        self._servers = servers
        self._runs = runs
        self._asks = asks
        self._deliveries = deliveries
        self._listeners: dict[ServerId, anyio.CancelScope] = {}

    def start(self, tasks: TaskGroup) -> None:
        """Called once, with the group in which the listeners live."""
        self._tasks = tasks

    def begin(self, server: Server) -> None:
        """Listen to a ready server, once."""
        if server.id not in self._listeners:
            scope = self._listeners[server.id] = anyio.CancelScope()
            self._tasks.start_soon(self._hear, server, scope)

    def end(self, server: ServerId) -> None:
        if listener := self._listeners.pop(server, None):
            listener.cancel()

    async def _hear(self, server: Server, scope: anyio.CancelScope) -> None:
        with scope:
            connection = await self._connections.to(server)
            async for hint in connection.hints():
                try:
                    await self._pass_on(server, hint)
                except MusterError as error:
                    log.warning("hint.lost server=%s error=%s", server.id, error)

    async def _pass_on(self, server: Server, hint: Hint) -> None:
        if hint.asking or hint.session is None:
            self._asks.add(server.id)
        if hint.session is None:
            self._servers.add(server.id)
            for run in await self._engine.query(run_views.live, SYSTEM, server=server.id):
                self._runs.add(run)
            return
        agent = await self._engine.query(run_views.agent_in, SYSTEM, server=server.id, session=hint.session)
        if agent is None:
            return
        if hint.turning:
            self._runs.add(agent.run)
            self._deliveries.add(agent.id)
        elif hint.stirring_only:
            await self._engine.execute(run_commands.stir, SYSTEM, run=agent.run)
        elif hint.tool != agent.tool:
            await self._engine.execute(agent_commands.move, SYSTEM, agent=agent.id, tool=hint.tool)

"""Connections to host servers, made from their rows when needed. Nothing here that the rows do not have."""

from collections.abc import Callable, Iterable, Mapping

from muster.errors import HostAway
from muster.hosts.contract import Connection, Host, ServerProcess, ServerWish
from muster.model.ids import ServerId
from muster.model.server import Server, ServerState


def process_of(server: Server) -> ServerProcess:
    """The OS process that a ready server's row names."""
    if server.pid is None or server.pid_started_at is None or server.port is None:
        raise HostAway(host=server.host, server=server.id, why="it has no process")
    return ServerProcess(
        pid=server.pid, started_at=server.pid_started_at, port=server.port, version=server.version or ""
    )


class Connections:
    """`wish` derives from a row what its server is started with: folder, password, token."""

    def __init__(self, hosts: Mapping[str, Host], wish: Callable[[Server], ServerWish]) -> None:
        self._hosts = hosts
        self.wish = wish
        self._open: dict[ServerId, tuple[int, Connection]] = {}

    @property
    def hosts(self) -> Iterable[Host]:
        return self._hosts.values()

    def host(self, server: Server) -> Host:
        return self._hosts[server.host]

    async def to(self, server: Server) -> Connection:
        """The connection to this generation of a ready server.

        Raises HostAway where it is not ready, or is of a generation that was replaced since the row was read.
        """
        if server.state is not ServerState.READY:
            raise HostAway(host=server.host, server=server.id, why=f"it is {server.state}")
        generation, connection = self._open.get(server.id, (0, None))
        if connection is not None and generation == server.generation:
            return connection
        if generation > server.generation:
            raise HostAway(host=server.host, server=server.id, why="it was replaced")
        fresh = self.host(server).connect(self.wish(server), process_of(server))
        self._open[server.id] = (server.generation, fresh)
        if connection is not None:
            await connection.aclose()
        return fresh

    async def forget(self, server: ServerId) -> None:
        _, connection = self._open.pop(server, (0, None))
        if connection is not None:
            await connection.aclose()

    async def aclose(self) -> None:
        for server in list(self._open):
            await self.forget(server)

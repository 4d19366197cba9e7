"""The composition root: builds the parts, owns their lifetime, the lock and the shutdown.

Everything that Muster is comes together here, and nowhere else. What is acquired first is released last.
"""

import fcntl
import json
import logging
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import anyio
import uvicorn
from starlette.applications import Starlette

from muster import __version__, commands, config, views
from muster.commands import servers as server_commands
from muster.engine import Engine
from muster.errors import HubRunning, MusterError, PortTaken, StateNotWritable
from muster.facts import readers
from muster.hosts.contract import Host, ServerWish
from muster.hosts.opencode.host import OpenCodeHost
from muster.model.actor import SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.model.server import Server, StopReason
from muster.reconcilers.admission import AdmissionReconciler
from muster.reconcilers.connections import Connections
from muster.reconcilers.hosts import HostsReconciler
from muster.reconcilers.runs import RunsReconciler
from muster.store.database import open_database
from muster.surfaces.bridge import BridgeDoor
from muster.surfaces.http import application
from muster.surfaces.mcp import McpDoor
from muster.surfaces.tokens import Keyring
from muster.surfaces.toolkits.mesh import MESH
from muster.verbs import Catalog
from muster.views import servers as server_views

log = logging.getLogger(__name__)

STOP_SECONDS = 2.5  # for every host server at once; `muster down` promises three in all
GRACE_SECONDS = 1  # for answers that are being written


def run(port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises what `serve` raises."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    settings = config.load()
    host = OpenCodeHost(program=settings.opencode or None)
    home = config.state_folder()
    try:
        anyio.run(
            partial(serve, home, host, settings, port=settings.port if port is None else port),
            backend_options={"use_uvloop": True},
        )
    except* MusterError as group:
        raise group.exceptions[0] from None


async def serve(home: Path, host: Host, settings: config.Settings, *, port: int) -> None:
    """Be the hub of a state folder, until told to stop.

    Raises HubRunning, PortTaken, StateNotWritable, or what is wrong with the database.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_only_hub_of(_folder(home)))
        keyring = Keyring.at(home / "key")
        sockets = stack.enter_context(_listening(port))
        database = stack.enter_context(open_database(home / "muster.db", _now))
        connections = Connections({host.name: host}, partial(_server_wish, home, keyring))
        stack.push_async_callback(connections.aclose)
        engine = Engine(database, Catalog(_verb_modules()), readers(host, connections))
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_signalled, stop)
            web = _web(engine, keyring)
            tasks.start_soon(partial(web.serve, sockets=sockets))
            reconciling = anyio.CancelScope()
            tasks.start_soon(_reconcile, engine, connections, host, settings, reconciling)
            with _announced(home, keyring, sockets[0]):
                log.info("hub.ready home=%s pid=%d", home, os.getpid())
                await stop.wait()
            reconciling.cancel()
            web.should_exit = True
            await _stop_servers(engine, connections)
            tasks.cancel_scope.cancel()
    log.info("hub.stopped")


async def _reconcile(
    engine: Engine, connections: Connections, host: Host, settings: config.Settings, scope: anyio.CancelScope
) -> None:
    tools = tuple(tool.name for tool in MESH.members_part())
    runs = RunsReconciler(engine, connections, tools=tools, clock=_now)
    admission = AdmissionReconciler(engine, ceilings=_ceilings(settings), sharding=_sharding(settings), host=host.name)
    idle = timedelta(seconds=settings.server_idle_seconds)
    hosts = HostsReconciler(engine, connections, runs, idle=idle, clock=_now)
    with scope:
        async with anyio.create_task_group() as tasks:
            for reconciler in (admission, hosts, runs):
                tasks.start_soon(reconciler.run)


async def _stop_servers(engine: Engine, connections: Connections) -> None:
    """End every process of ours, then say so: what was at work goes on at the next start."""

    async def stop(server: Server) -> None:
        await connections.host(server).stop(server.id)
        await engine.execute(
            server_commands.stop,
            SYSTEM,
            server=server.id,
            generation=server.generation,
            why=StopReason.HUB_STOPPED,
        )

    with anyio.move_on_after(STOP_SECONDS):
        async with anyio.create_task_group() as tasks:
            for server in await engine.query(server_views.all_, SYSTEM):
                tasks.start_soon(stop, server)


class _Web(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the hub's own affair: it stops more than the web."""
        yield


def _web(engine: Engine, keyring: Keyring) -> uvicorn.Server:
    mcp = McpDoor(engine, {MESH.name: MESH})
    bridge = BridgeDoor(engine, MESH, keyring)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with mcp.open():
            yield

    app = application(engine, keyring, [mcp.route, *bridge.routes], lifespan)
    return _Web(
        uvicorn.Config(
            app,
            http="httptools",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            server_header=False,
        )
    )


@contextmanager
def _only_hub_of(home: Path) -> Iterator[None]:
    """Hold the lock of the state folder. Raises HubRunning, with who holds it."""
    with (home / "hub.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubRunning(home=str(home), **_holder(home)) from None
        yield


def _holder(home: Path) -> dict[str, object]:
    try:
        told = json.loads((home / "hub.json").read_text())
        return {"pid": told["pid"], "url": told["url"]}
    except (OSError, ValueError, KeyError):
        return {"pid": "unknown", "url": "still starting"}


@contextmanager
def _announced(home: Path, keyring: Keyring, listening: socket.socket) -> Iterator[None]:
    """hub.json, whole or not at all, for as long as the hub answers."""
    file = home / "hub.json"
    told = {
        "url": f"http://127.0.0.1:{listening.getsockname()[1]}",
        "token": keyring.operator(),
        "pid": os.getpid(),
        "version": __version__,
    }
    draft = home / "hub.json.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
        json.dump(told, opened)
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _listening(port: int) -> Iterator[list[socket.socket]]:
    """Sockets on 127.0.0.1 and, where the machine has it, ::1, on one port. Raises PortTaken."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_bound(socket.AF_INET, "127.0.0.1", port))]
        if _has_ipv6_loopback():
            sockets.append(stack.enter_context(_bound(socket.AF_INET6, "::1", sockets[0].getsockname()[1])))
        yield sockets


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise PortTaken(port=port, address=address) from error
    return listening


async def _until_signalled(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


def _folder(home: Path) -> Path:
    try:
        for folder in (home, home / "logs", home / "servers"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise StateNotWritable(path=str(home), why=str(error)) from error
    return home


def _server_wish(home: Path, keyring: Keyring, server: Server) -> ServerWish:
    return ServerWish(
        id=server.id,
        generation=server.generation,
        folder=home / "servers" / server.id,
        log=home / "logs" / f"{server.id}.log",
        hub_file=home / "hub.json",
        password=keyring.password(server.id, server.generation),
        token=keyring.server(server.id, server.generation),
    )


def _verb_modules() -> list[ModuleType]:
    return [
        import_module(f"{package.__name__}.{found.name}")
        for package in (commands, views)
        for found in pkgutil.iter_modules(package.__path__)
    ]


def _ceilings(settings: config.Settings) -> Ceilings:
    return Ceilings(
        total=settings.max_agents,
        fleet=settings.max_agents_per_fleet,
        persona=settings.max_agents_per_persona,
        model=settings.max_agents_per_model,
        provider=settings.max_agents_per_provider,
    )


def _sharding(settings: config.Settings) -> Sharding:
    return Sharding(agents=settings.agents_per_server, directories=settings.directories_per_server)


def _now() -> datetime:
    return datetime.now(UTC)

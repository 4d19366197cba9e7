"""The composition root: builds the parts, owns their lifetime and the shutdown.

Everything that Muster is comes together here, and nowhere else. What is acquired first is released last.
"""

import gc
import json
import logging
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette

from muster import commands, config, views
from muster.checkpoints import checkpoint
from muster.commands import servers as server_commands
from muster.engine import Engine
from muster.errors import ungrouped
from muster.facts import Premises, Words, readers
from muster.facts.crowd import Crowd
from muster.facts.meaning import Meaning
from muster.home import Announcement, Home
from muster.hosts.contract import Host, ServerWish
from muster.hosts.opencode.host import OpenCodeHost
from muster.installation.init import renew_bridge
from muster.logs import bound_all
from muster.model.actor import SYSTEM
from muster.model.deadline import Watch
from muster.model.server import Server, StopReason
from muster.model.wakeup import Wakefulness
from muster.reconcilers.admission import AdmissionReconciler
from muster.reconcilers.asks import AsksReconciler
from muster.reconcilers.checks import Checks
from muster.reconcilers.cleanups import CleanupsReconciler
from muster.reconcilers.connections import Connections
from muster.reconcilers.decisions import DecisionsReconciler
from muster.reconcilers.deliveries import DeliveriesReconciler
from muster.reconcilers.errands import ErrandsReconciler
from muster.reconcilers.gaps import Gaps, account_for_absence
from muster.reconcilers.hosts import HostsReconciler
from muster.reconcilers.merges import MergesReconciler
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.radar import RadarReconciler
from muster.reconcilers.runs import RunsReconciler
from muster.reconcilers.snapshots import Snapshots
from muster.reconcilers.worktrees import WorktreesReconciler
from muster.replacing import replace_file
from muster.roster import definition, offered, roster
from muster.routing import semantic, vocabulary
from muster.store.database import open_database
from muster.surfaces.bridge import BridgeDoor
from muster.surfaces.http import application
from muster.surfaces.inboxes import InboxDoor
from muster.surfaces.mcp import McpDoor
from muster.surfaces.offer import offer
from muster.surfaces.sockets import listening, url_of
from muster.surfaces.tokens import Keyring
from muster.surfaces.toolkits.mesh import MESH
from muster.surfaces.toolkits.team import TEAM
from muster.surfaces.use import Use
from muster.terms import ceilings, settings_at, sharding, terms_at
from muster.verbs import Catalog
from muster.views import hub as hub_views
from muster.views import servers as server_views

log = logging.getLogger(__name__)

STOP_SECONDS = 2.5  # for all host servers together; `muster down` promises three in all
GRACE_SECONDS = 1  # for answers that are being written
LOGS_SECONDS = 20.0  # between two looks at how large the logs are
IDLE_LOOK_SECONDS = 30.0
GARBAGE = 10_000  # objects, beyond those that were let go, before a look for circles among them
LATE_SECONDS = 0.05  # in which whoever read hub.json before it said `asleep` has come
CHATTY = ("alembic", "httpx2", "httpcore2", "mcp", "sse_starlette", "uvicorn")


def run(port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises what `serve` raises."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = config.load()
    home = Home(folder=config.state_folder())
    personas = [offered(persona) for persona in roster()]
    host = OpenCodeHost(state=home.folder, program=settings.opencode or None, roster=personas)
    with ungrouped():
        anyio.run(partial(serve, home, host, settings, port=port), backend_options={"use_uvloop": True})


async def serve(home: Home, host: Host, settings: config.Settings, *, port: int | None) -> None:
    """Be the hub of a state folder, until told to stop or without use and work for long.

    Without a `port` that of the settings is taken. Raises HubRunning, PortTaken, StateNotWritable, or what is wrong
    with the database.
    """
    home.prepare()
    async with AsyncExitStack() as stack:
        stack.enter_context(home.locked())
        # From here on a signal is a wish to stop and no sudden death, also while the parts are being built.
        signals = stack.enter_context(anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT))
        renew_bridge(home)
        leave_offer(home, settings)
        _leave_roster(home)
        keyring = Keyring.at(home.key)
        sockets = stack.enter_context(_sockets(port, settings))
        database = stack.enter_context(open_database(home.database, _now))
        connections = Connections({host.name: host}, partial(_server_wish, home, keyring))
        stack.push_async_callback(connections.aclose)
        url = url_of(sockets)
        premises = Premises(
            home=home.folder, url=url, database=home.database, started_at=_now(), opencode=settings.opencode
        )
        facts = readers(host, connections, partial(terms_at, home, settings), premises, _words(host, settings))
        engine = Engine(database, Catalog(_verb_modules()), facts)
        reconcilers = _reconcilers(engine, connections, host, settings, home)
        await account_for_absence(engine, _now)
        async with _web(home, engine, keyring, sockets) as use:
            with home.announced(url=url, token=keyring.operator()) as announcement:
                async with _at_work([*reconcilers, Gaps(engine, _now)], home), anyio.create_task_group() as tasks:
                    _spare_what_stays()
                    log.info("hub.ready home=%s pid=%d", home.folder, os.getpid())
                    tasks.start_soon(_end_when_told, signals, tasks.cancel_scope)
                    await _idle(engine, use, settings.hub_idle_minutes * 60, announcement)
                    tasks.cancel_scope.cancel()
            engine.close()
        await _stop_servers(engine, connections)
    log.info("hub.stopped")


def _spare_what_stays() -> None:
    """What was built until now stays: to look through it again and again held everybody up for a tenth of a second.

    And a call leaves a thousand objects behind, of which none is in a circle: to look after each took a call in twenty.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


def _sockets(port: int | None, settings: config.Settings) -> AbstractContextManager[list[socket.socket]]:
    """Where nobody chose a port, another program's having it is no reason to be no hub."""
    if port is not None:
        return listening(port)
    return listening(settings.port, or_any=settings.port == config.Settings().port)


async def _end_when_told(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


async def _idle(engine: Engine, use: Use, seconds: float, announcement: Announcement) -> None:
    """Return once nobody has used the hub, and nothing was to do, for so long, and hub.json says so. Never for 0."""
    if not seconds:
        await anyio.sleep_forever()
    while True:
        await anyio.sleep(min(seconds / 4, IDLE_LOOK_SECONDS))
        if await engine.query(hub_views.occupied, SYSTEM):
            use.touch()
        elif use.idle_seconds >= seconds:
            before = use.requests
            announcement.asleep()
            await anyio.sleep(LATE_SECONDS)
            if use.requests == before:
                log.info("hub.asleep idle_seconds=%.0f", use.idle_seconds)
                return
            announcement.awake()


def leave_offer(home: Home, settings: config.Settings) -> None:
    """Tell the person's own OpenCode, for its next start, what it may offer. Raises StateNotWritable."""
    home.prepare()
    told = offer([MESH], settings.always_offer)
    replace_file(home.offer_file, json.dumps(told).encode())


def _leave_roster(home: Home) -> None:
    """For the bridge in each host server. Raises StateNotWritable."""
    told = {persona.name: definition(persona) for persona in roster()}
    replace_file(home.roster_file, json.dumps(told).encode())


def _reconcilers(
    engine: Engine, connections: Connections, host: Host, settings: config.Settings, home: Home
) -> list[Reconciler]:
    tools = tuple(tool.name for tool in MESH.bridged_part())
    watch = Watch(inactivity_ms=settings.inactivity_ms, max_age_ms=settings.max_age_ms)
    snapshots = Snapshots(engine, home.folder)
    every = timedelta(seconds=settings.snapshot_seconds)
    worktrees = WorktreesReconciler(engine, connections, snapshots, state=home.folder, clock=_now, every=every)
    runs = RunsReconciler(engine, connections, snapshots, tools=tools, watch=watch, clock=_now)
    timeout = timedelta(seconds=settings.ask_timeout_seconds)
    asks = AsksReconciler(engine, connections, policy=settings.on_ask, timeout=timeout, clock=_now)
    wakefulness = Wakefulness(per_pair=settings.wakeups_per_pair, per_fleet=settings.wakeups_per_fleet)
    deliveries = DeliveriesReconciler(engine, connections, wakefulness=wakefulness)
    idle, memory_mib = timedelta(seconds=settings.server_idle_seconds), settings.server_memory_mib
    hosts = HostsReconciler(engine, connections, runs, asks, deliveries, idle=idle, memory_mib=memory_mib, clock=_now)
    limits, shards = ceilings(settings), sharding(settings)
    admission = AdmissionReconciler(engine, ceilings=limits, sharding=shards, host=host.name, clock=_now)
    decisions = DecisionsReconciler(engine, clock=_now)
    errands, merges = (
        ErrandsReconciler(engine, snapshots),
        MergesReconciler(engine, snapshots, _checks(engine, settings, home)),
    )
    pairs = settings.radar_pairs_per_second
    radar = [RadarReconciler(engine, pairs_per_second=pairs)] if pairs else []
    cleanups = CleanupsReconciler(engine, merges=settings.merge_on_cleanup)
    return [worktrees, admission, hosts, runs, asks, deliveries, decisions, errands, merges, cleanups, *radar]


def _words(host: Host, settings: config.Settings) -> Words:
    """What routing goes by; read when it is first asked."""
    own = (Path(file).expanduser() if file else None for file in (settings.routing_synonyms, settings.routing_taxonomy))
    known = partial(vocabulary.extended, *own)
    if settings.routing_synonyms or settings.routing_taxonomy:
        known()  # what is wrong there stops the start
    return Words(
        crowd=lambda: Crowd(host, [offered(persona) for persona in roster()], known()),
        meaning=Meaning(semantic.load, semantic.why_absent),
        attach_at_most=settings.attach_on_alert,
    )


def _checks(engine: Engine, settings: config.Settings, home: Home) -> Checks:
    return Checks(
        engine,
        root=home.folder / "checks",
        seconds=settings.merge_check_seconds,
        environment=os.environ,
        command_at=lambda project: settings_at(home, settings, project).over(settings).merge_check,
    )


@asynccontextmanager
async def _at_work(reconcilers: Sequence[Reconciler | Gaps], home: Home) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_logs_bounded, home)
        for reconciler in reconcilers:
            tasks.start_soon(reconciler.run)
        yield
        tasks.cancel_scope.cancel()


async def _keep_logs_bounded(home: Home) -> None:
    while True:
        await anyio.to_thread.run_sync(bound_all, home.logs)
        await anyio.sleep(LOGS_SECONDS)


async def _stop_servers(engine: Engine, connections: Connections) -> None:
    """End every process of ours, then say so: what was at work goes on at the next start."""

    async def stop(server: Server) -> None:
        await connections.host(server).stop(server.id)
        checkpoint("hub.stop:ended")
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


class _WebServer(uvicorn.Server):
    """Uvicorn, which looks ten times a second whether it is to end; this one is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = anyio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._ending.wait()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the hub's own affair: it stops more than the web."""
        yield


@asynccontextmanager
async def _web(home: Home, engine: Engine, keyring: Keyring, sockets: list[socket.socket]) -> AsyncIterator[Use]:
    """The web surface, answering from the first line of the block to its end."""
    mcp = McpDoor(engine, {MESH.name: MESH, TEAM.name: TEAM})
    bridge = BridgeDoor(engine, MESH, keyring, home.folder)
    inboxes = InboxDoor(engine)
    answering = anyio.Event()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with mcp.open():
            answering.set()
            yield

    app = Use(application(engine, keyring, [mcp.route, inboxes.route, *bridge.routes], lifespan))
    server = _WebServer(
        uvicorn.Config(
            app,
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(server.serve, sockets=sockets))
        await answering.wait()
        yield app
        server.end()


def _server_wish(home: Home, keyring: Keyring, server: Server) -> ServerWish:
    return ServerWish(
        id=server.id,
        generation=server.generation,
        folder=home.servers / server.id,
        log=home.logs / f"{server.id}.log",
        hub_file=home.hub_file,
        password=keyring.password(server.id, server.generation),
        token=keyring.server(server.id, server.generation),
    )


def _verb_modules() -> list[ModuleType]:
    """Every module of commands/ and views/: a verb is found by being written."""
    return [
        import_module(f"{package.__name__}.{found.name}")
        for package in (commands, views)
        for found in pkgutil.iter_modules(package.__path__)
    ]


def _now() -> datetime:
    return datetime.now(UTC)

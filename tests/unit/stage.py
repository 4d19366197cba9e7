"""The spine in this process: a real SQLite file, the engine, a scripted host, and a clock that is moved by hand."""

import hashlib
import json
import os
import pkgutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import anyio
import pytest

from muster import commands, views
from muster.commands import runs as run_commands
from muster.engine import Engine
from muster.errors import MusterError
from muster.facts import Premises, Words, readers
from muster.facts.crowd import Crowd
from muster.facts.meaning import Meaning
from muster.hosts.contract import Host, ServerWish
from muster.model.actor import OPERATOR, SYSTEM, Actor, ActorKind
from muster.model.ask import OnAsk
from muster.model.ceiling import Ceilings, Sharding
from muster.model.deadline import Watch
from muster.model.event import Entry
from muster.model.facts import Terms
from muster.model.server import Server
from muster.model.spent import Spent
from muster.model.wakeup import Wakefulness
from muster.reconcilers.admission import AdmissionReconciler
from muster.reconcilers.asks import AsksReconciler
from muster.reconcilers.checks import Checks
from muster.reconcilers.cleanups import CleanupsReconciler
from muster.reconcilers.connections import Connections
from muster.reconcilers.decisions import DecisionsReconciler
from muster.reconcilers.deliveries import DeliveriesReconciler
from muster.reconcilers.errands import ErrandsReconciler
from muster.reconcilers.hosts import HostsReconciler
from muster.reconcilers.merges import MergesReconciler
from muster.reconcilers.runs import RunsReconciler
from muster.reconcilers.snapshots import Snapshots
from muster.reconcilers.worktrees import WorktreesReconciler
from muster.routing.vocabulary import shipped
from muster.store.audit import audit
from muster.store.database import Database, open_database
from muster.surfaces.tokens import Keyring
from muster.verbs import Catalog

VERB_MODULES = [
    import_module(f"{package.__name__}.{found.name}")
    for package in (commands, views)
    for found in pkgutil.iter_modules(package.__path__)
]
WITHIN_SECONDS = 20
URL = "http://127.0.0.1:4747"
NO_CEILINGS = Ceilings(total=0)
ROOMY = Sharding()
UNWATCHED = Watch(inactivity_ms=0)
USUALLY_AWAKE = Wakefulness()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(slots=True, kw_only=True)
class Stage:
    """One hub without its reconcilers (`at_work` adds them) and without its doors."""

    path: Path
    project: Path
    clock: Clock
    host: Host
    connections: Connections
    database: Database
    engine: Engine
    keyring: Keyring

    async def call(self, verb: str, actor: Actor = OPERATOR, /, **arguments: Any) -> dict[str, Any]:
        return await self.engine.call(verb, actor, json.dumps(arguments))

    async def spawn(self, *prompts: str, attempts: int = 1, **rest: Any) -> dict[str, Any]:
        """One attempt each unless said otherwise: between two lies a pause, and the clock is moved by hand."""
        agents = [{"role": "worker", "prompt": prompt, "max_attempts": attempts} for prompt in prompts]
        return await self.call("fleet.spawn", agents=agents, project=str(self.project), **rest)

    async def settled(self, fleet_id: str) -> dict[str, Any]:
        """The results of a fleet that is no longer running."""
        results = await self.call("fleet.wait", fleet_id=fleet_id, timeout_seconds=WITHIN_SECONDS)
        assert results["settled"], results
        return results

    async def events(self, name: str | None = None, **of: str) -> list[dict[str, Any]]:
        page = await self.call("event.list", cursor=0, limit=500, **of)
        return [entry for entry in page["events"] if name in (None, entry["name"])]

    async def until(self, name: str, **body: Any) -> Entry:
        """Wait for a fact, from the beginning of the journal."""
        with anyio.fail_after(WITHIN_SECONDS):
            async for entry in self.engine.watch(0):
                if entry.name == name and body.items() <= {"agent": entry.agent, **entry.body}.items():
                    return entry
        raise AssertionError("the journal ended")


USUAL_TERMS = Terms()


@cache
def blank() -> bytes:
    """A database in which nothing has happened: made once, for the migrations take most of a small test's time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "muster.db"
        with open_database(path, Clock()):
            pass
        return path.read_bytes()


@asynccontextmanager
async def hub(
    folder: Path, host: Host, clock: Clock, *verbs: ModuleType, terms: Terms = USUAL_TERMS, attach_on_alert: int = 0
) -> AsyncIterator[Stage]:
    """A hub on a state folder; entered again it is the hub after a restart. `verbs` are some more than it has.

    Whatever a test has done with it, its ledger is sound at the end.
    """
    project = folder / "project"
    project.mkdir(parents=True, exist_ok=True)
    keyring = Keyring(b"k" * 32)
    connections = Connections({host.name: host}, partial(_wish, folder, keyring))
    premises = Premises(home=folder, url=URL, database=folder / "muster.db", started_at=clock(), opencode="")
    words = Words(
        crowd=lambda: Crowd(host, (), shipped()),
        meaning=Meaning(lambda: None, lambda: "by words alone"),
        attach_at_most=attach_on_alert,
    )
    found = readers(host, connections, lambda _: terms, premises, words)
    if not (folder / "muster.db").exists():
        (folder / "muster.db").write_bytes(blank())
    with open_database(folder / "muster.db", clock) as database:
        yield Stage(
            path=folder / "muster.db",
            project=project,
            clock=clock,
            host=host,
            connections=connections,
            database=database,
            engine=Engine(
                database,
                Catalog([*VERB_MODULES, *verbs]),
                found,
            ),
            keyring=keyring,
        )
        await connections.aclose()
        sound = await database.read(SYSTEM, partial(audit, noted=None))
        assert not sound.findings, sound.findings


@asynccontextmanager
async def at_work(
    stage: Stage,
    *,
    ceilings: Ceilings = NO_CEILINGS,
    sharding: Sharding = ROOMY,
    idle: timedelta = timedelta(minutes=2),
    memory_mib: int = 0,
    watch: Watch = UNWATCHED,
    on_ask: OnAsk = OnAsk.REFUSE,
    wakefulness: Wakefulness = USUALLY_AWAKE,
    merge_check: str = "",
    merge_on_cleanup: bool = True,
) -> AsyncIterator[None]:
    """The reconcilers, as the hub runs them."""
    state = stage.path.parent
    snapshots = Snapshots(stage.engine, state)
    worktrees = WorktreesReconciler(stage.engine, stage.connections, snapshots, state=state, clock=stage.clock)
    runs = RunsReconciler(stage.engine, stage.connections, snapshots, tools=(), watch=watch, clock=stage.clock)
    asks = AsksReconciler(
        stage.engine, stage.connections, policy=on_ask, timeout=timedelta(minutes=5), clock=stage.clock
    )
    deliveries = DeliveriesReconciler(stage.engine, stage.connections, wakefulness=wakefulness)
    decisions = DecisionsReconciler(stage.engine, clock=stage.clock)
    errands = ErrandsReconciler(stage.engine, snapshots)
    checks = Checks(
        stage.engine,
        root=state / "checks",
        seconds=WITHIN_SECONDS,
        environment=os.environ,
        command_at=lambda _: merge_check,
    )
    merges = MergesReconciler(stage.engine, snapshots, checks)
    cleanups = CleanupsReconciler(stage.engine, merges=merge_on_cleanup)
    hosts = HostsReconciler(
        stage.engine, stage.connections, runs, asks, deliveries, idle=idle, memory_mib=memory_mib, clock=stage.clock
    )
    admission = AdmissionReconciler(
        stage.engine, ceilings=ceilings, sharding=sharding, host=stage.host.name, clock=stage.clock
    )
    async with anyio.create_task_group() as tasks:
        for reconciler in (worktrees, admission, hosts, runs, asks, deliveries, decisions, errands, merges, cleanups):
            tasks.start_soon(reconciler.run)
        yield
        tasks.cancel_scope.cancel()


async def finish_run(stage: Stage, agent_id: str, output: str, spent: Spent) -> None:
    """What the runs reconciler reports of an agent that has answered all that it was told."""
    seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=agent_id)
    work = await stage.engine.query(stage.engine.catalog["run.work"], SYSTEM, run=seat.run)
    turn = work.turns[-1].id
    await stage.engine.execute(run_commands.finish, SYSTEM, run=seat.run, turn=turn, output=output, spent=spent)


def agent_actor(agent_id: str, fleet_id: str) -> Actor:
    return Actor(kind=ActorKind.AGENT, agent=agent_id, fleet=fleet_id)


async def server_rows(stage: Stage) -> list[Server]:
    return await stage.engine.query(stage.engine.catalog["server.all"], SYSTEM, awake_only=False)


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """What stands in a table, in the order in which it was written."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def contents(path: Path) -> list[str]:
    """Every table and row of a database, as SQL."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def refused(code: str) -> Iterator[pytest.ExceptionInfo[MusterError]]:
    """A refusal with this code."""
    with pytest.raises(MusterError) as caught:
        yield caught
    assert caught.value.code == code, caught.value.to_json()


def _wish(folder: Path, keyring: Keyring, server: Server) -> ServerWish:
    return ServerWish(
        id=server.id,
        generation=server.generation,
        folder=folder / "servers" / server.id,
        log=folder / f"{server.id}.log",
        hub_file=folder / "hub.json",
        password=keyring.password(server.id, server.generation),
        token=keyring.server(server.id, server.generation),
    )

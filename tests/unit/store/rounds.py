"""A group of commands that are committed together, and what a file that is opened anew has of them.

Each command carries a `request_id` and leaves something that can be counted: none of it, or all of it once. Anything
else is half a command, and fails where it is counted.
"""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from muster.errors import MusterError
from muster.model.actor import SYSTEM
from muster.store.records import Transaction
from unit.stage import Stage

KINDS = ("spawn", "attach", "limit", "refused")
ANSWERED = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`mark` is its request's id, and is found in what it leaves."""

    kind: str
    mark: str
    verb: str
    arguments: Mapping[str, Any]


Outcomes = dict[str, Any]
"""By mark: the answer, or the code of the refusal."""


def command(stage: Stage, base: str, kind: str, number: int, prompt: str = "Do it.") -> Command:
    """`base` is the fleet that what is no spawn works on; `refused` names one that is not there."""
    mark = f"{kind}-{number}"
    agent = {"role": "worker", "prompt": prompt}
    verb, arguments = {
        "spawn": ("fleet.spawn", {"agents": [agent, agent], "name": mark, "project": str(stage.project)}),
        "attach": ("agent.attach", {"fleet_id": base, "name": mark, **agent}),
        "limit": ("fleet.set_timeout", {"fleet_id": base, "timeout_ms": 1000 + number}),
        "refused": ("fleet.set_timeout", {"fleet_id": "flt_absent", "timeout_ms": 1}),
    }[kind]
    return Command(kind=kind, mark=mark, verb=verb, arguments={**arguments, "request_id": mark})


async def outcome(stage: Stage, command: Command) -> Any:
    try:
        return await stage.call(command.verb, **command.arguments)
    except MusterError as error:
        return error.code


async def together(stage: Stage, commands: Sequence[Command], begin: Callable[[], None]) -> Outcomes:
    """Let the commands become one group; `begin` is called, in the writer's thread, right before it."""
    outcomes: Outcomes = {}

    async def attempt(command: Command) -> None:
        outcomes[command.mark] = await outcome(stage, command)

    async with anyio.create_task_group() as tasks, _writer_held(stage, len(commands), begin):
        for each in commands:
            tasks.start_soon(attempt, each)
    return outcomes


@asynccontextmanager
async def _writer_held(stage: Stage, commands: int, begin: Callable[[], None]) -> AsyncIterator[None]:
    """Keep the writer in a job that leaves nothing, until so many others wait behind it."""
    entered, leave, arrived = threading.Event(), threading.Event(), anyio.Event()
    write, waiting = stage.database.write, 0

    def hold(tx: Transaction) -> None:
        entered.set()
        assert leave.wait(10)
        begin()

    async def counted(*given: Any) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == commands:
            arrived.set()
        return await write(*given)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, SYSTEM, hold)
        assert await anyio.to_thread.run_sync(entered.wait, 10)
        with pytest.MonkeyPatch.context() as patch, anyio.fail_after(10):
            patch.setattr(stage.database, "write", counted)
            yield
            await arrived.wait()
        await anyio.lowlevel.checkpoint()  # the last that arrived is submitted now
        leave.set()


def left_by(path: Path, command: Command) -> int:
    """How often what a command leaves is there, by a look at the file as if nobody else had it open."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        counted = {"spawn": _spawned, "attach": _attached, "limit": _limited, "refused": _nothing}
        times = counted[command.kind](file, command)
        assert _count(file, "requests WHERE request_id = ?", command.mark) == times, f"{command.mark} is half there"
        return times


def _spawned(file: sqlite3.Connection, command: Command) -> int:
    fleets = [row[0] for row in file.execute("SELECT id FROM fleets WHERE name = ?", (command.mark,))]
    for fleet in fleets:
        counts = [_count(file, f"{table} WHERE fleet = ?", fleet) for table in ("agents", "runs", "turns")]
        names = [row[0] for row in file.execute("SELECT name FROM events WHERE fleet = ? ORDER BY cursor", (fleet,))]
        told = ["fleet.spawned", *(["agent.attached", "run.queued"] * 2)]
        assert (counts, names) == ([2, 2, 2], told), f"{command.mark} is half there"
    return len(fleets)


def _attached(file: sqlite3.Connection, command: Command) -> int:
    agents = [row[0] for row in file.execute("SELECT id FROM agents WHERE name = ?", (command.mark,))]
    for agent in agents:
        counts = [_count(file, f"{table} WHERE agent = ?", agent) for table in ("runs", "turns", "events")]
        assert counts == [1, 1, 2], f"{command.mark} is half there"
    return len(agents)


def _limited(file: sqlite3.Connection, command: Command) -> int:
    body = f'{{"timeout_ms": {command.arguments["timeout_ms"]}}}'
    return _count(file, "events WHERE name = 'fleet.limited' AND body = ?", body)


def _nothing(file: sqlite3.Connection, command: Command) -> int:
    return 0


def _count(file: sqlite3.Connection, rows: str, *values: object) -> int:
    number: int = file.execute(f"SELECT count(*) FROM {rows}", values).fetchone()[0]
    return number

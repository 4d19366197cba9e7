"""What a call costs: one command, many at once, tools over MCP, a fleet of a hundred."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import anyio.to_thread
import psutil

from bench.load import Hub, press
from e2e.stage import Stage, stage
from muster.surfaces.client import Hub as Caller

HELD = """
agents:
  - name: all
    steps:
      - {say: done, hold: gate}
"""
CLIENTS = 50
SECONDS = 3.0
FRAMES = 3  # pages that a small command's commit writes to the log, each with a head of 24 bytes
TIMES = 300
REST_SECONDS, REST_LOOKS = 0.4, 150


async def table() -> str:
    """On a hub whose one place is taken by an agent that waits: what is spawned beside it stays queued."""
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), HELD, max_agents=1) as on:
            await on.spawn({"role": "sitter", "prompt": "Wait."})
            await on.rehearsal.held("gate", within=60)
            quiet = await _quiet_fleet(on)
            rows = await anyio.to_thread.run_sync(lambda: list(_rows(on, quiet)))
    head = ["| what | measured | wanted | rival |", "|---|---|---|---|"]
    return "\n".join(head + rows)


async def _quiet_fleet(on: Stage) -> str:
    """One that nobody works in, so that a command to it moves nothing else."""
    spawned = await on.call("fleet.spawn", agents=[{"role": "a", "prompt": "a"}], project=str(on.project))
    await on.call("agent.cancel", agent_id=spawned["agent_ids"][0])
    return str(spawned["fleet_id"])


def _rows(on: Stage, fleet: str) -> Iterator[str]:
    with Caller.find(on.home, environment={}) as caller:
        told = [_spawned(on, caller, 100) for _ in range(7) if _rests(on)]
        yield f"| `spawn_fleet` of 100 agents over HTTP | {statistics.median(told):.0f} ms | ≤ 100 ms | 235 ms |"
    hub = Hub.told(json.loads((on.home / "hub.json").read_text()))
    numbers = count(1000)
    commit = _fsync_ms(on.home)

    def limit(_: int) -> bytes:
        return hub.verb("fleet.set_timeout", fleet_id=fleet, timeout_ms=next(numbers))

    _rests(on)
    one = press(hub, limit, clients=1, seconds=SECONDS)
    beyond = f"{one.median - commit:.2f} ms beyond it"
    yield f"| the disk's own fdatasync of such a commit, p50 | {commit:.2f} ms | | |"
    yield f"| one command over HTTP, p50 | {one.median:.2f} ms: {beyond} | ≤ 1 ms beyond it | |"
    many = press(hub, limit, clients=CLIENTS, seconds=SECONDS)
    yield f"| commands, {CLIENTS} clients, `synchronous=FULL` | {many.per_second:,.0f} a second | ≥ 3,000 | |"
    for revision in ("2025-11-25", "2026-07-28"):
        tools = press(hub, partial(_whoami, hub, revision), clients=CLIENTS, seconds=SECONDS)
        paced = f"{tools.per_second:,.0f} a second"
        yield f"| tool calls over `/mcp`, {revision}, {CLIENTS} clients | {paced} | ≥ 1,000 | |"


def _whoami(hub: Hub, revision: str, _: int) -> bytes:
    return hub.tool("whoami", revision)


def _spawned(on: Stage, caller: Caller, size: int) -> float:
    """Milliseconds to the answer; the fleet is cancelled afterwards."""
    agents = [{"role": f"reviewer {n}", "prompt": "Look around."} for n in range(size)]
    began = time.perf_counter()
    spawned = caller.call("fleet.spawn", agents=agents, project=str(on.project))
    took = time.perf_counter() - began
    caller.call("fleet.cancel", fleet_id=spawned["fleet_id"])
    return took * 1000


def _rests(on: Stage) -> bool:
    """Once it has done what the fleets before it left to do: taking back a hundred worktrees is no part of a call."""
    hub, before = psutil.Process(on.hub.pid), -1.0
    for _ in range(REST_LOOKS):
        spent = sum(hub.cpu_times()[:2])
        if spent - before < REST_SECONDS / 20:
            return True
        before = spent
        time.sleep(REST_SECONDS)
    raise TimeoutError("the hub does not come to rest")


def _fsync_ms(folder: Path) -> float:
    """What the disk takes to keep what a small command writes, over bytes that are there, as a log's are."""
    size = FRAMES * (4096 + 24)
    file = os.open(folder / "fsync", os.O_CREAT | os.O_RDWR)
    try:
        os.pwrite(file, bytes(size * TIMES), 0)
        os.fsync(file)
        return statistics.median(_kept(file, number * size, size) for number in range(TIMES)) * 1000
    finally:
        os.close(file)


def _kept(file: int, at: int, size: int) -> float:
    began = time.perf_counter()
    os.pwrite(file, b"x" * size, at)
    os.fdatasync(file)
    return time.perf_counter() - began

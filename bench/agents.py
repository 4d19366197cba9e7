"""Agents in one directory: memory, and time until the last of them has reached the model."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from e2e.stage import Stage, stage

HELD = """
agents:
  - name: all
    steps:
      - {say: done, hold: gate}
"""
WARM_UP = """
agents:
  - name: warm
    match: {text: Warm up}
    steps:
      - say: warm
  - name: all
    steps:
      - {say: done, hold: gate}
"""
MEBIBYTE = 1024 * 1024

# 20 × `opencode run`, measured on 2 cores: all of them memory that nothing is shared of.
RIVALS = {1: (433, 3.6), 5: (2102, 16.3), 10: (4161, 36.2), 20: (8017, 69.7)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """`memory`: MiB (PSS) of everything of ours while all wait for the model.

    `first`, `median`, `last`: seconds from the call of spawn_fleet to the agents' first model requests.
    """

    agents: int
    state: str
    first: float
    median: float
    last: float
    memory: float


async def measure(agents: int, *, warm: bool) -> Start:
    """One fleet, on a hub and a home of their own."""
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), WARM_UP if warm else HELD) as on:
            if warm:
                await on.wait(await on.spawn({"role": "warm", "prompt": "Warm up."}))
            return await _start(on, agents, "warm" if warm else "cold")


async def _start(on: Stage, agents: int, state: str) -> Start:
    before = len(on.rehearsal.requests)
    began = time.monotonic()
    fleet = await on.spawn(*({"role": f"agent {n}", "prompt": "Look around."} for n in range(agents)))
    await on.rehearsal.held("gate", agents, within=180)
    reached = sorted(request.at - began for request in on.rehearsal.requests[before:] if request.kind == "chat")
    memory = _memory(on)
    on.rehearsal.release("gate")
    await on.wait(fleet)
    return Start(
        agents=agents,
        state=state,
        first=reached[0],
        median=statistics.median(reached),
        last=reached[-1],
        memory=memory,
    )


def _memory(on: Stage) -> float:
    """Host servers, what they started, and the hub."""
    processes = [*on.processes(), psutil.Process(on.hub.pid)]
    return sum(process.memory_full_info().pss for process in processes) / MEBIBYTE


def table(starts: list[Start]) -> str:
    head = "| agents | server | first | median | last request | memory | `opencode run` × n: last, memory |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for start in starts:
        memory, last = RIVALS.get(start.agents, (0, 0.0))
        rows.append(
            f"| {start.agents} | {start.state} | {start.first:.2f} s | {start.median:.2f} s | {start.last:.2f} s "
            f"| {start.memory:.0f} MiB | {last} s, {memory} MiB |"
        )
    return "\n".join(rows)

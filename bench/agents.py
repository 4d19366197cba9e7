"""Agents: memory, and time until they reach the model: in shared host servers, in one each, and without Muster."""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import anyio
import psutil

from bench.calls import HELD
from e2e.stage import OPENCODE, Stage, repository, stage
from muster.rehearsal import Outcome, Request

MEBIBYTE = 1024 * 1024
WITHIN_SECONDS = 180
LOOK_SECONDS = 0.5


class Way(StrEnum):
    SHARED = "shared host servers"
    ONE_EACH = "one process each"
    ALONE = "`opencode run`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """`memory`: MiB (PSS) of everything that was started while all wait for the model, the hub included.

    `first`, `last`: seconds from the wish to the agents' first model requests.
    """

    agents: int
    apart: bool
    way: Way
    first: float
    last: float
    memory: float
    lost: int = 0

    def __str__(self) -> str:
        lost = f" ({self.lost} of them ended before, by themselves)" if self.lost else ""
        return f"{self.first:.1f} to {self.last:.1f} s, {self.memory:,.0f} MiB{lost}"


async def measure(agents: int, way: Way, *, apart: bool) -> Start:
    """From nothing running but the hub. `apart`: each in a directory of its own."""
    settings: dict[str, object] = {"mesh_worktree": "never"}
    if way is Way.ONE_EACH:
        settings["agents_per_server"] = 1
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), HELD, serve=way is not Way.ALONE, **settings) as on:
            projects = [repository(Path(folder) / f"project-{n}") for n in range(agents)] if apart else [on.project]
            if way is Way.ALONE:
                return await _run_alone(on, projects, agents)
            began = time.monotonic()
            await _spawn(on, projects, agents)
            await on.rehearsal.held("gate", agents, within=WITHIN_SECONDS)
            ours = [*on.processes(), psutil.Process(on.hub.pid)]
            return _start(on, ours, way, agents, began, apart=apart)


async def _spawn(on: Stage, projects: Sequence[Path], agents: int) -> None:
    """A fleet stands in one directory, so agents apart are a fleet each."""
    each = agents // len(projects)
    for project in projects:
        wishes = [{"role": f"agent {n}", "prompt": "Look around."} for n in range(each)]
        await on.call("fleet.spawn", agents=wishes, project=str(project))


async def _run_alone(on: Stage, projects: Sequence[Path], agents: int) -> Start:
    _use_once(on)
    began = time.monotonic()
    running = [_run(on, projects[number % len(projects)], number) for number in range(agents)]
    try:
        with anyio.fail_after(WITHIN_SECONDS):
            while len(_held(on)) < len(alive := [one for one in running if one.poll() is None]):
                await anyio.sleep(LOOK_SECONDS)
        ours = [one for process in running for one in _family(process)]
        start = _start(on, ours, Way.ALONE, agents, began, apart=len(projects) > 1)
        return replace(start, lost=agents - len(alive))
    finally:
        for process in running:
            for one in _family(process):
                one.kill()
            process.wait()


def _use_once(on: Stage) -> None:
    """Have OpenCode make its database: several first starts at once quarrel over it, and who loses exits with 1."""
    env = on.env | {"PWD": str(on.project)}
    words = [OPENCODE or "", "session", "list"]
    subprocess.run(words, cwd=on.project, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _run(on: Stage, place: Path, number: int) -> subprocess.Popen[bytes]:
    with _log(on, number).open("wb") as log:
        return subprocess.Popen(
            [OPENCODE or "", "run", "Look around."],
            cwd=place,
            env=on.env | {"PWD": str(place)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _held(on: Stage) -> list[Request]:
    return [request for request in on.chats() if request.outcome is Outcome.HELD]


def _log(on: Stage, number: int) -> Path:
    return on.folder / f"run-{number}.log"


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """It and all that it started; nobody once it has ended."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _start(
    on: Stage, processes: Sequence[psutil.Process], way: Way, agents: int, began: float, *, apart: bool
) -> Start:
    reached = sorted(request.at - began for request in on.chats())
    memory = sum(process.memory_full_info().pss for process in processes) / MEBIBYTE
    return Start(agents=agents, apart=apart, way=way, first=reached[0], last=reached[-1], memory=memory)


def row(starts: Sequence[Start]) -> str:
    """The ways of the same agents, side by side."""
    first = starts[0]
    found = {start.way: str(start) for start in starts}
    where = "one each" if first.apart else "one for all"
    return f"| {first.agents} | {where} | {' | '.join(found.get(way, '') for way in Way)} |"


def head() -> str:
    return f"| agents | directory | {' | '.join(Way)} |\n|---|---|{'---|' * len(Way)}"


def machine() -> str:
    return f"{os.cpu_count()} cores, {psutil.virtual_memory().total // MEBIBYTE:,} MiB"

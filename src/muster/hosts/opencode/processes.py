"""Processes found by what stands in their environment, whatever their parent is, and ended whole."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil
from anyio import to_thread

from muster.errors import HostFailed

SERVER_MARK = "MUSTER_SERVER"
RUN_MARK = "MUSTER_RUN"
STATE_MARK = "MUSTER_STATE"

MIB = 1024 * 1024
GRACE_SECONDS = 1.0
KILL_SECONDS = 0.9
LOOK_SECONDS = 0.05
CPU_LOOK_SECONDS = 1.0
IDLING = 0.03  # of one core
# The OS tells a start time with the grain of its clock, and a corrected clock moves it a little.
SAME_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """`NAME=value` in the environment of a process, which its children inherit.

    Beside it stands whose it is: a state folder that was copied has the same ids, and is somebody else's.
    """

    name: str
    value: str
    state: str

    def stands_in(self, process: psutil.Process) -> bool:
        environment = process.environ()
        return environment.get(self.name) == self.value and environment.get(STATE_MARK) == self.state


def state_of(folder: Path) -> str:
    """How a state folder stands in the environment: one name, by whatever path it was reached."""
    return str(folder.resolve())


async def end_marked(mark: Mark) -> None:
    """End every process that bears a mark: asked first, killed after a second. Raises `HostFailed` if one stays."""
    await to_thread.run_sync(_end, mark)


async def uses_cpu(mark: Mark) -> bool:
    """True where the processes that bear a mark use the CPU, for more than idling takes."""
    before = await to_thread.run_sync(_cpu_seconds, mark)
    await anyio.sleep(CPU_LOOK_SECONDS)
    return await to_thread.run_sync(_cpu_seconds, mark) - before > IDLING * CPU_LOOK_SECONDS


def runs(pid: int, started_at: float, state: str) -> bool:
    """True where that very process lives, for this state folder.

    A pid can be reused, so the start time is compared too.
    """
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started_at) < SAME_START_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE and process.environ().get(STATE_MARK) == state
    except psutil.Error:
        return False


def values(name: str, state: str) -> frozenset[str]:
    """All that a mark says in the living processes of a state folder."""
    found: set[str] = set()
    for process in psutil.process_iter():
        try:
            environment = process.environ() if _is_ours(process) else {}
        except psutil.Error:
            continue
        if environment.get(STATE_MARK) == state and environment.get(name):
            found.add(environment[name])
    return frozenset(found)


def resident_mib(pid: int) -> int:
    """Not the finer PSS, which takes the kernel a walk over all pages: nearly nothing of OpenCode's is shared."""
    try:
        return psutil.Process(pid).memory_info().rss // MIB
    except psutil.Error:
        return 0


def marked(mark: Mark) -> list[psutil.Process]:
    """The living processes of this user that bear a mark, and what they started; never this one."""
    found: dict[int, psutil.Process] = {}
    parents: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            parents.setdefault(process.ppid(), []).append(process)
            if _is_ours(process) and mark.stands_in(process):
                found[process.pid] = process
        except psutil.Error:
            continue
    _add_descendants(found, parents)
    return [process for process in found.values() if process.pid != os.getpid()]


def _is_ours(process: psutil.Process) -> bool:
    with process.oneshot():
        return process.uids().real == os.getuid() and process.status() != psutil.STATUS_ZOMBIE


def _add_descendants(found: dict[int, psutil.Process], parents: dict[int, list[psutil.Process]]) -> None:
    """A child may have emptied its environment; while its parent lives it is known by that."""
    queue = [pid for pid in found if pid != os.getpid()]
    while queue:
        for child in parents.get(queue.pop(), ()):
            if child.pid not in found and child.pid != os.getpid() and _lives(child):
                found[child.pid] = child
                queue.append(child.pid)


def _lives(process: psutil.Process) -> bool:
    try:
        return _is_ours(process)
    except psutil.Error:
        return False


def _end(mark: Mark) -> None:
    left = _signal_until_gone(mark, _asking(), GRACE_SECONDS)
    if left:
        left = _signal_until_gone(mark, psutil.Process.kill, KILL_SECONDS)
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise HostFailed(host="opencode", why=f"processes {pids} of {mark.name}={mark.value} could not be ended")


def _asking() -> Callable[[psutil.Process], None]:
    """SIGTERM, once to each: a second one would cut short what the first began."""
    asked: set[psutil.Process] = set()

    def ask(process: psutil.Process) -> None:
        if process not in asked:
            asked.add(process)
            process.send_signal(signal.SIGTERM)

    return ask


def _signal_until_gone(mark: Mark, send: Callable[[psutil.Process], None], seconds: float) -> list[psutil.Process]:
    """Signal what is there, again and again, since new ones can appear between two looks. Returns who is left."""
    deadline = time.monotonic() + seconds
    while left := marked(mark):
        _each(left, send)
        if time.monotonic() > deadline:
            return left
        time.sleep(LOOK_SECONDS)
    return []


def _cpu_seconds(mark: Mark) -> float:
    seconds = 0.0
    for process in marked(mark):
        try:
            seconds += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue  # ended meanwhile
    return seconds


def _each(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.Error:
            continue  # gone meanwhile, or its pid is somebody else's now: psutil compares start times

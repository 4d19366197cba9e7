"""Runs a command of the user's: in its own process group, for so long at most, with what it printed last kept.

What a hub that died left running is ended before the next one begins: it holds the lock in which its group is written,
so nobody else can be meant.
"""

import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import anyio
import anyio.to_thread

from muster.errors import GitFailed

ENDING_SECONDS = 10.0
TOLD = 2_000  # characters of what a command printed last


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a command ended. `how` None: well. `output` is what it printed last."""

    how: str | None
    output: str


async def run(command: str, folder: Path, variables: Mapping[str, str], *, place: Path, seconds: float) -> Verdict:
    """`place` is a folder of ours beside it, for the lock and the log; one command at a time there. Raises OSError."""
    lock = await anyio.to_thread.run_sync(_locked, place / "command.lock")
    try:
        return await _run(command, folder, variables, lock, place / "command.log", seconds)
    finally:
        lock.close()


async def _run(
    command: str, folder: Path, variables: Mapping[str, str], lock: IO[str], log: Path, seconds: float
) -> Verdict:
    with log.open("wb") as output:
        process = await anyio.open_process(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env={**variables, "PWD": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
    _write_group(lock, process.pid)
    try:
        with anyio.move_on_after(seconds):
            code = await process.wait()
            return Verdict(how=None if code == 0 else f"ended with exit code {code}", output=_last_words(log))
        return Verdict(how=f"took more than {seconds:.0f} s", output=_last_words(log))
    finally:
        _kill(process.pid)
        with anyio.CancelScope(shield=True):
            await process.aclose()


def _locked(path: Path) -> IO[str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = path.open("a+", encoding="ascii")
    try:
        _take(lock)
    except BaseException:
        lock.close()
        raise
    return lock


def _take(lock: IO[str]) -> None:
    until = monotonic() + ENDING_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            lock.seek(0)
            _kill(int(lock.read() or 0))
            if monotonic() > until:
                raise GitFailed(what="command", why="an earlier one cannot be ended") from error
            sleep(0.01)


def _write_group(lock: IO[str], group: int) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(str(group))
    lock.flush()


def _kill(group: int) -> None:
    if group > 1:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4 * TOLD))
        return file.read().decode(errors="replace").strip()[-TOLD:]

"""Makes a new worktree a place to work in: files of the user's that git does not hold, and the commands of its setup.

Done again it changes nothing that is there. What a command of an earlier try still does is ended first: it holds the
lock that its process group is written in, so nobody else can be meant.
"""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import anyio
import anyio.to_thread

from muster.errors import GitFailed
from muster.model.worktree import Worktree

SETUP_SECONDS = 600.0
ENDING_SECONDS = 10.0
TOLD = 2000  # characters of what a command printed last
OURS = ("MUSTER_", "OPENCODE_", "GIT_")
FAILED = "worktree setup: `{command}` {how}.\n{output}"


async def furnish(worktree: Worktree, place: Path, environment: Mapping[str, str]) -> str | None:
    """Files first, then the commands, in order. Returns what went wrong, with what the command printed.

    `place` is a folder of ours beside the worktree.
    """
    try:
        await anyio.to_thread.run_sync(bring, worktree)
        return await _set_up(worktree, place, environment) if worktree.setup else None
    except OSError as error:
        return f"worktree setup: {error}"


def bring(worktree: Worktree) -> None:
    """Files of the project's own that it gets a copy of, or a link to. Raises OSError."""
    for path in worktree.copy:
        if pair := _pair(worktree, path):
            _copy(*pair)
    for path in worktree.link:
        if pair := _pair(worktree, path):
            _link(*pair)


def _pair(worktree: Worktree, path: str) -> tuple[Path, Path] | None:
    """From where to where; None where there is nothing to bring, or something stands there.

    Both lie where they seem to: a folder on the way may be a link out of the repository.
    """
    source, target = Path(worktree.project) / path, Path(worktree.folder) / path
    if not os.path.lexists(source) or os.path.lexists(target):
        return None
    for inner, top in ((source, worktree.project), (target, worktree.folder)):
        if not inner.parent.resolve().is_relative_to(Path(top).resolve()):
            raise OSError(f"{inner} lies outside of {top}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return source, target


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all."""
    draft = target.with_name(f".{target.name}.muster")
    shutil.rmtree(draft, ignore_errors=True)
    draft.unlink(missing_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, draft, symlinks=True)
    else:
        shutil.copy2(source, draft, follow_symlinks=False)
    draft.rename(target)


def _link(source: Path, target: Path) -> None:
    """A folder becomes one of links: a link in its place is a file to git, and `node_modules/` does not ignore that."""
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            (target / entry.name).symlink_to(entry)
    else:
        target.symlink_to(source)


async def _set_up(worktree: Worktree, place: Path, environment: Mapping[str, str]) -> str | None:
    kept = {name: value for name, value in environment.items() if not name.startswith(OURS)}
    variables = kept | {"MUSTER_BRANCH": worktree.branch, "PWD": worktree.folder}
    with await anyio.to_thread.run_sync(_alone, place / "setup.lock") as lock:
        for command in worktree.setup:
            how, output = await _run(command, worktree.folder, variables, place / "setup.log", lock)
            if how is not None:
                return FAILED.format(command=command, how=how, output=output).strip()
    return None


async def _run(
    command: str, folder: str, variables: Mapping[str, str], log: Path, lock: IO[str]
) -> tuple[str | None, str]:
    """How it failed, if it did, and what it printed last."""
    with log.open("wb") as output:
        process = await anyio.open_process(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        _write_group(lock, process.pid)
        try:
            with anyio.move_on_after(SETUP_SECONDS):
                code = await process.wait()
                return (None if code == 0 else f"ended with exit code {code}"), _last_words(log)
            return f"took more than {SETUP_SECONDS:.0f} s", _last_words(log)
        finally:
            _kill(process.pid)
            with anyio.CancelScope(shield=True):
                await process.aclose()


def _alone(path: Path) -> IO[str]:
    """The lock under which one setup runs; what another one left running is ended."""
    lock = path.open("a+", encoding="ascii")
    until = monotonic() + ENDING_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            _kill(int(lock.read() or 0))
            if monotonic() > until:
                lock.close()
                raise GitFailed(what="worktree setup", why="an earlier one cannot be ended") from error
            sleep(0.01)
        else:
            return lock


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
    return log.read_bytes()[-TOLD:].decode(errors="replace").strip()

"""Which hub owns a repository's worktrees: a file in the repository's own folder names it."""

import fcntl
import json
import os
from pathlib import Path

import psutil

from muster.errors import GitFailed, RepositoryHeld
from muster.git.run import Checkout

LEASE = "muster.json"


def hold(project: Checkout, state: Path) -> None:
    """The hub of this process, with this state folder, owns the worktrees from now on.

    Raises RepositoryHeld while a living hub with another state folder does. One that died is taken over from.
    """
    file = project.common / LEASE
    try:
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as lease:
            fcntl.flock(lease, fcntl.LOCK_EX)
            _refuse_other(project, lease.read(), state)
            lease.seek(0)
            lease.truncate()
            json.dump(_ours(state), lease)
            lease.flush()
            os.fsync(lease.fileno())
    except OSError as error:
        raise GitFailed(what="lease", why=str(error)) from error


def _ours(state: Path) -> dict[str, object]:
    return {"state": str(state.resolve()), "pid": os.getpid(), "started": psutil.Process().create_time()}


def _refuse_other(project: Checkout, told: str, state: Path) -> None:
    try:
        holder = json.loads(told)
        home, pid, started = str(holder["state"]), int(holder["pid"]), float(holder["started"])
    except (ValueError, KeyError, TypeError):
        return  # none yet, or one whose writing was cut off
    if home != str(state.resolve()) and _lives(pid, started):
        raise RepositoryHeld(repository=str(project.common), home=home, pid=pid)


def _lives(pid: int, started: float) -> bool:
    """A pid can be reused, so the start time is compared too."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False

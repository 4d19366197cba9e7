"""A setup that a dead hub left running is ended before it is run again."""

import fcntl
import subprocess
from dataclasses import replace
from pathlib import Path

from muster.reconcilers.furnishing import furnish
from unit.model.test_worktrees import WORKTREE


async def test_setup_ends_what_an_earlier_one_left_running_and_runs_anew(tmp_path: Path) -> None:
    place, folder = tmp_path / ".ann", tmp_path / "ann"
    place.mkdir()
    folder.mkdir()
    with (place / "command.lock").open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        orphan = subprocess.Popen(["sleep", "300"], start_new_session=True, pass_fds=[lock.fileno()])
        lock.write(str(orphan.pid))
    worktree = replace(WORKTREE, project=str(tmp_path), folder=str(folder), setup=("echo anew > made",))
    assert await furnish(worktree, place, {"PATH": "/usr/bin:/bin", "MUSTER_TOKEN": "secret"}) is None
    assert orphan.wait(timeout=10) == -9
    assert (folder / "made").read_text() == "anew\n"


async def test_setup_sees_nothing_of_the_hubs_own(tmp_path: Path) -> None:
    place, folder = tmp_path / ".ann", tmp_path / "ann"
    place.mkdir()
    folder.mkdir()
    worktree = replace(WORKTREE, project=str(tmp_path), folder=str(folder), setup=("env > seen",))
    given = {"PATH": "/usr/bin:/bin", "MUSTER_TOKEN": "a", "OPENCODE_SERVER_PASSWORD": "b", "GIT_DIR": "c", "KEPT": "d"}
    assert await furnish(worktree, place, given) is None
    seen = dict(line.partition("=")[::2] for line in (folder / "seen").read_text().splitlines())
    assert (seen["KEPT"], seen["MUSTER_BRANCH"]) == ("d", WORKTREE.branch)
    assert not {"MUSTER_TOKEN", "OPENCODE_SERVER_PASSWORD", "GIT_DIR"} & seen.keys()

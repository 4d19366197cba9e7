"""One living hub owns the worktrees of a repository."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from muster.errors import RepositoryHeld
from muster.git.lease import hold
from muster.git.project import open_project
from unit.git.repositories import repository


@pytest.fixture
def project(tmp_path):
    return open_project(repository(tmp_path, {"a": "1"}).top)


@pytest.fixture
def another():
    """The pid of a living process that is not this one."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def held_by(project, pid: int, state: str, started: float | None = None) -> None:
    told = {"state": state, "pid": pid, "started": started or psutil.Process(pid).create_time()}
    (project.common / "muster.json").write_text(json.dumps(told))


def test_living_hub_with_another_state_folder_is_not_taken_over_from(project, tmp_path, another):
    held_by(project, another, "/elsewhere")
    with pytest.raises(RepositoryHeld):
        hold(project, tmp_path / "state")
    assert json.loads((project.common / "muster.json").read_text())["pid"] == another


@pytest.mark.parametrize("told", ["", "{", "[]", '{"pid": "x"}', "null"])
def test_lease_that_was_cut_off_holds_nothing(project, tmp_path, told):
    (project.common / "muster.json").write_text(told)
    hold(project, tmp_path / "state")
    assert json.loads((project.common / "muster.json").read_text())["pid"] == os.getpid()


def test_dead_hub_is_taken_over_from_also_when_its_pid_lives_again(project, tmp_path, another):
    held_by(project, another, "/elsewhere", started=12345.0)
    hold(project, tmp_path / "state")


def test_same_state_folder_takes_over_from_itself(project, tmp_path, another):
    held_by(project, another, str(tmp_path / "state"))
    hold(project, tmp_path / "state")
    hold(project, tmp_path / "state")

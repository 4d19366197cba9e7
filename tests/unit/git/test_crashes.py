"""Whatever line it dies at, done again it ends as if nothing had been."""

import shutil
import signal
import subprocess
import sys

import pytest

from muster.git import worktrees
from unit.git.agents import REF, Agent
from unit.git.crashes import deaths
from unit.git.repositories import Repository, repository

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

EVERY = 37  # lines between two deaths; the tests begin at different ones


def planned(on: Repository) -> Agent:
    """An agent without a worktree yet."""
    agent = Agent.__new__(Agent)
    agent.on, agent.base = on, "HEAD"
    return agent


def is_sound(agent: Agent) -> bool:
    return (
        agent.git("status", "--porcelain") == ""
        and agent.git("symbolic-ref", "HEAD") == "refs/heads/muster/flt_1/ada"
        and agent.on.git("worktree", "list", "--porcelain").count("worktree ") == 2
        and agent.on.git("fsck", "--connectivity-only", "--no-dangling") == ""
    )


@pytest.mark.parametrize("first", [1, 13, 25])
def test_worktree_is_made_whole_after_deaths_anywhere(tmp_path, first):
    on = repository(tmp_path, {f"d{n}/f": str(n) for n in range(20)} | {".gitignore": "*.log\n"})
    agent = planned(on)
    wish = agent.wish
    died = list(deaths(lambda: worktrees.create(wish), first=first, every=EVERY))
    agent.checkout = worktrees.create(wish)
    assert died
    assert is_sound(agent)
    assert sorted(path.name for path in agent.folder.parent.iterdir()) == [".ada", "ada"]


@pytest.mark.parametrize("first", [1, 13, 25])
@pytest.mark.parametrize("lost", ["folder", "git_dir"])
def test_worktree_is_mended_after_deaths_anywhere(tmp_path, first, lost):
    agent = Agent(repository(tmp_path, {f"d{n}/f": str(n) for n in range(20)}))
    tip = agent.commit({"d1/f": "committed"})
    shutil.rmtree(agent.folder if lost == "folder" else agent.checkout.git_dir)
    assert list(deaths(lambda: worktrees.create(agent.wish), first=first, every=EVERY))
    agent.checkout = worktrees.create(agent.wish)
    assert is_sound(agent)
    assert agent.git("rev-parse", "HEAD") == tip


@pytest.mark.parametrize("first", [1, 13, 25])
def test_snapshot_is_whole_after_deaths_anywhere(tmp_path, first):
    agent = Agent(repository(tmp_path, {"a": "1", "b": "2", ".gitignore": "*.log\n"}))
    lost = agent.commit({"a": "lost"})
    agent.git("reset", "--quiet", "--hard", "HEAD~1")
    agent.write({"a": "staged"})
    agent.git("add", "a")
    agent.write({"a": "worked", "b": None, "new": "n"})
    assert list(deaths(agent.take, first=first, every=EVERY))
    taken = agent.take()
    assert agent.files(taken.commit) == {"a": "worked", "new": "n", ".gitignore": "*.log"}
    for place in (agent.on.top, agent.keep):
        reached = agent.on.git("rev-list", "--objects", REF, at=place)
        assert lost in reached
        assert agent.git("rev-parse", ":a") in reached
        assert agent.on.git("fsck", "--no-dangling", at=place) == ""
    assert agent.git("diff", "--cached", "--name-only") == "a"


@pytest.mark.parametrize("first", [1, 13, 25])
def test_worktree_is_gone_after_deaths_anywhere(tmp_path, first):
    agent = Agent(repository(tmp_path, {f"d{n}/f": str(n) for n in range(20)}))
    agent.take()
    assert list(deaths(lambda: worktrees.remove(agent.checkout), first=first, every=EVERY))
    worktrees.remove(agent.checkout)
    assert list(agent.folder.parent.iterdir()) == []
    assert agent.on.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_worktree_is_made_whole_after_kills_while_git_works(tmp_path):
    """The killed process's git lives on for a while; the next one waits for it."""
    on = repository(tmp_path, {f"d{n % 40}/f{n}": str(n) for n in range(3000)})
    agent = planned(on)
    for tenths in (3, 4, 5, 6, 7):
        _create_and_be_killed(agent, tenths / 10)
    agent.checkout = worktrees.create(agent.wish)
    assert is_sound(agent)


def _create_and_be_killed(agent: Agent, seconds: float) -> None:
    program = (
        "import sys; from pathlib import Path; from muster.git.worktrees import WorktreeWish, create\n"
        "project, folder, branch, base = sys.argv[1:]\n"
        "create(WorktreeWish(project=Path(project), folder=Path(folder), branch=branch, base=base))"
    )
    wish = agent.wish
    words = [str(wish.project), str(wish.folder), wish.branch, wish.base]
    process = subprocess.Popen([sys.executable, "-c", program, *words], start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()

"""Worktrees are made, found and removed, whatever stands there already, on real repositories."""

import pytest

from muster.errors import GitFailed
from muster.git import worktrees
from unit.git.agents import Agent
from unit.git.repositories import repository


@pytest.fixture
def agent(tmp_path) -> Agent:
    return Agent(repository(tmp_path, {"a": "1", "sub/b": "2"}))


def test_worktree_stands_on_its_branch_and_is_locked(agent):
    assert agent.git("symbolic-ref", "HEAD") == "refs/heads/muster/flt_1/ada"
    assert agent.git("status", "--porcelain") == ""
    assert "locked" in agent.on.git("worktree", "list", "--porcelain")


def test_worktree_made_twice_is_the_same_and_keeps_its_files(agent):
    agent.write({"a": "changed"})
    assert worktrees.create(agent.wish) == agent.checkout
    assert (agent.folder / "a").read_text() == "changed"


def test_worktree_is_found_although_its_git_file_lies(agent):
    (agent.folder / ".git").write_text("gitdir: /nowhere\n")
    assert worktrees.checkout_of(agent.project, agent.folder) == agent.checkout


def test_removed_worktree_leaves_its_branch_and_nothing_else(agent):
    worktrees.remove(agent.checkout)
    worktrees.remove(agent.checkout)
    assert list(agent.folder.parent.iterdir()) == []
    assert agent.on.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert agent.on.git("rev-parse", "muster/flt_1/ada")


def test_branch_that_stands_elsewhere_is_refused(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    on.git("branch", "muster/flt_1/ada")
    on.commit({"a": "2"})
    with pytest.raises(GitFailed):
        Agent(on)


def test_base_of_a_dirty_tree_holds_all_of_it_and_touches_nothing(tmp_path):
    on = repository(tmp_path, {"a": "1", "b": "2", "c": "3", ".gitignore": "*.log\n"})
    on.write({"a": "staged"})
    on.git("add", "a")
    on.write({"a": "worked", "b": None, "new": "n", "x.log": "noise"})
    before = on.status(), (on.top / ".git/index").read_bytes(), on.git("for-each-ref")
    base = worktrees.base_of(Agent(on).project, dirty=True)
    assert on.git("ls-tree", "-r", "--name-only", base).split() == [".gitignore", "a", "c", "new"]
    assert on.git("cat-file", "blob", f"{base}:a") == "worked"
    worktrees.remove(Agent(on).checkout)
    on.git("branch", "-D", "muster/flt_1/ada")
    assert (on.status(), (on.top / ".git/index").read_bytes(), on.git("for-each-ref")) == before

"""Worktrees are made, found and removed, whatever stands there already, on real repositories."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from muster.errors import GitFailed
from muster.git import snapshots, worktrees
from muster.git.project import open_project
from muster.git.worktrees import WorktreeWish
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


def test_folder_that_the_agent_deleted_comes_back_from_its_index(agent):
    agent.write({"a": "staged"})
    agent.git("add", "a")
    shutil.rmtree(agent.folder)
    assert worktrees.create(agent.wish) == agent.checkout
    assert (agent.folder / "a").read_text() == "staged"
    assert agent.git("status", "--porcelain") == "M  a"


def test_registration_that_was_pruned_is_made_again_around_the_files(agent):
    tip = agent.commit({"a": "2"})
    agent.write({"a": "worked", "new": "n"})
    shutil.rmtree(agent.checkout.git_dir)
    agent.checkout = worktrees.create(agent.wish)
    assert agent.git("rev-parse", "HEAD") == tip
    assert agent.files(agent.take().commit) == {"a": "worked", "new": "n", "sub/b": "2"}


def test_git_folder_of_the_agents_making_is_put_aside_and_not_thrown_away(agent):
    (agent.folder / ".git").unlink()
    agent.on.git("init", "--quiet", at=agent.folder)
    worktrees.create(agent.wish)
    assert agent.git("symbolic-ref", "HEAD") == "refs/heads/muster/flt_1/ada"
    with pytest.raises(GitFailed):
        worktrees.remove(agent.checkout)
    worktrees.remove(agent.checkout, told=True)


def test_worktree_whose_note_was_lost_is_still_known(agent):
    agent.write({"a": "worked"})
    (agent.folder.parent / ".ada" / "worktree.json").unlink()
    assert worktrees.owned(agent.project, agent.state) == [agent.folder]
    assert worktrees.create(agent.wish) == agent.checkout
    assert (agent.folder / "a").read_text() == "worked"


def test_folder_of_somebody_elses_is_not_touched(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    place = tmp_path / "state/worktrees/flt_1/ada"
    place.mkdir(parents=True)
    (place / "precious").write_text("p")
    with pytest.raises(GitFailed):
        Agent(on)
    assert [path.name for path in place.iterdir()] == ["precious"]


def test_write_protected_folders_are_removed_too(agent):
    (agent.folder / "cache").mkdir()
    (agent.folder / "cache/file").write_text("x")
    (agent.folder / "cache").chmod(0o555)
    worktrees.remove(agent.checkout)
    assert not agent.folder.exists()


def test_many_are_made_and_kept_at_once(tmp_path):
    on = repository(tmp_path, {f"d/{n}": str(n) for n in range(50)})
    base, project = on.git("rev-parse", "HEAD"), open_project(on.top)

    def work(number: int) -> str:
        folder = tmp_path / "state/worktrees/flt_1" / f"a{number}"
        wish = WorktreeWish(project=on.top, folder=folder, branch=f"muster/flt_1/a{number}", base=base)
        checkout = worktrees.create(wish)
        (folder / "own").write_text(str(number))
        snapshots.take(checkout, f"refs/muster/flt_1/a{number}", tmp_path / "state/git/k.git", "idle")
        worktrees.remove(checkout)
        return on.git("cat-file", "blob", f"refs/muster/flt_1/a{number}:own")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [str(number) for number in range(16)]
    assert worktrees.owned(project, tmp_path / "state") == []

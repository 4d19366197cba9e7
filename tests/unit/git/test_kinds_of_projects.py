"""Every kind of project has a defined answer, on real repositories."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from muster.errors import GitFailed
from muster.git import snapshots, worktrees
from muster.git.keeping import kept
from muster.git.project import in_progress, open_project
from unit.git.agents import REF, Agent
from unit.git.repositories import Repository, repository


def bare(folder: Path) -> Repository:
    made = Repository(folder)
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder)], check=True)
    return made


def test_no_git_at_all_is_refused(tmp_path):
    for refused in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(GitFailed):
            open_project(refused)


def test_bare_repository_is_refused_and_its_worktree_is_not(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    on.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    with pytest.raises(GitFailed):
        open_project(tmp_path / "bare")
    on.git("worktree", "add", "--quiet", str(tmp_path / "desk"), "main", at=tmp_path / "bare")
    agent = Agent(Repository(tmp_path / "desk"))
    assert agent.checkout.common == tmp_path / "bare"
    assert agent.files(agent.take().commit) == {"a": "1"}


def test_empty_repository_gets_an_empty_base(tmp_path):
    agent = Agent(repository(tmp_path), base="")
    agent.write({"a": "1"})
    assert agent.files(agent.take().commit) == {"a": "1"}
    assert agent.on.git("rev-list", "--all", "--", fails=True)
    assert worktrees.base_of(agent.project, dirty=False) == agent.wish.base


def test_detached_head_is_a_base(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    on.git("checkout", "--quiet", "--detach")
    agent = Agent(on)
    assert agent.git("symbolic-ref", "HEAD") == "refs/heads/muster/flt_1/ada"


def test_subfolder_of_a_project_opens_the_whole(tmp_path):
    on = repository(tmp_path, {"packages/one/a": "1"})
    assert open_project(on.top / "packages/one") == open_project(on.top)
    assert (Agent(on).folder / "packages/one/a").read_text() == "1"


def test_linked_worktree_of_the_users_is_a_project(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    on.git("worktree", "add", "--quiet", "-b", "desk", str(tmp_path / "desk"))
    desk = Repository(tmp_path / "desk")
    desk.commit({"a": "2"})
    desk.write({"a": "3"})
    agent = Agent(desk)
    assert (agent.folder / "a").read_text() == "2"
    assert agent.on.git("cat-file", "blob", f"{worktrees.base_of(agent.project, dirty=True)}:a") == "3"
    assert worktrees.owned(open_project(on.top), agent.state) == [agent.folder]


def test_links_modes_and_names_of_any_bytes_go_round(tmp_path):
    names = ["ümläut", "new\nline", "a b", "-dash", ":(top)x", "back\\slash", "*", "\udcff\udcfe"]
    on = repository(tmp_path, dict.fromkeys(names, "1"))
    agent = Agent(on)
    agent.write(dict.fromkeys(names, "2"))
    agent.write({f"new {name}": "3" for name in names})
    (agent.folder / "run").write_text("#!/bin/sh\n")
    (agent.folder / "run").chmod(0o755)
    (agent.folder / "link").symlink_to("run")
    taken = agent.take()
    snapshots.restore(agent.checkout, taken.commit, folder=tmp_path / "restored")
    assert taken.left_out == ()
    assert {os.fsencode(path.name) for path in (tmp_path / "restored").iterdir()} == {
        os.fsencode(path.name) for path in agent.folder.iterdir() if path.name != ".git"
    }
    assert os.access(tmp_path / "restored/run", os.X_OK)
    assert (tmp_path / "restored/link").readlink() == Path("run")


@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_line_ends_go_round_whatever_the_settings(tmp_path, setting):
    on = repository(tmp_path, {"unix": "1\n2\n", "dos": "1\r\n2\r\n", ".gitattributes": "*.bat text eol=crlf\n"})
    on.commit({"x.bat": "1\r\n"})
    on.git("config", "core.autocrlf", setting)
    agent = Agent(on)
    assert agent.git("status", "--porcelain") == ""
    assert (agent.folder / "x.bat").read_bytes() == b"1\r\n"
    taken = agent.take()
    assert taken.tree == agent.on.git("rev-parse", "HEAD^{tree}")
    snapshots.restore(agent.checkout, taken.commit, folder=tmp_path / "restored")
    assert (tmp_path / "restored/x.bat").read_bytes() == b"1\r\n"


def test_large_files_pointers_stay_what_they_are_without_the_program(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    on = repository(tmp_path, {"big.bin": pointer, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    agent = Agent(on)
    assert (agent.folder / "big.bin").read_text() == pointer
    assert agent.take().tree == on.git("rev-parse", "HEAD^{tree}")


def test_sparse_checkout_leaves_out_without_deleting(tmp_path):
    on = repository(tmp_path, {"in/a": "1", "out/b": "2", "top": "3"})
    agent = Agent(on)
    agent.git("sparse-checkout", "set", "in")
    agent.write({"in/a": "changed"})
    assert not (agent.folder / "out").exists()
    assert agent.files(agent.take().commit) == {"in/a": "changed", "out/b": "2", "top": "3"}
    agent.git("sparse-checkout", "disable")
    agent.write({"out/b": "changed"})
    assert agent.files(agent.take().commit) == {"in/a": "changed", "out/b": "changed", "top": "3"}


def test_project_that_is_sparse_gives_sparse_worktrees(tmp_path):
    on = repository(tmp_path, {"in/a": "1", "out/b": "2"})
    on.git("sparse-checkout", "set", "in")
    agent = Agent(on)
    assert agent.take().tree == on.git("rev-parse", "HEAD^{tree}")


@pytest.fixture
def with_submodule(tmp_path) -> Repository:
    library = Repository(tmp_path / "library")
    library.top.mkdir()
    library.git("init", "--quiet", "--initial-branch=main")
    library.commit({"l": "1"})
    on = repository(tmp_path, {"a": "1"})
    on.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.top), "lib")
    on.commit({})
    return on


def test_submodules_folder_is_empty_until_it_is_initialised(with_submodule):
    agent = Agent(with_submodule)
    assert list((agent.folder / "lib").iterdir()) == []
    assert agent.take().tree == with_submodule.git("rev-parse", "HEAD^{tree}")
    worktrees.remove(agent.checkout)


def test_work_inside_a_submodule_is_kept_and_holds_up_removal(with_submodule):
    agent = Agent(with_submodule)
    agent.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    agent.write({"lib/l": "changed", "lib/new": "n"})
    taken = agent.take()
    reached = agent.on.git("rev-list", "--objects", taken.commit)
    assert agent.on.git("hash-object", str(agent.folder / "lib/new")) in reached
    assert taken.tree == with_submodule.git("rev-parse", "HEAD^{tree}")
    assert not agent.take().is_new
    agent.on.commit({}, at=agent.folder / "lib")
    with pytest.raises(GitFailed):
        worktrees.remove(agent.checkout)
    worktrees.remove(agent.checkout, told=True)


def test_submodule_that_was_only_used_holds_up_nothing(with_submodule):
    agent = Agent(with_submodule)
    agent.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    worktrees.remove(agent.checkout)


def test_repository_made_inside_is_kept_as_files_and_holds_up_removal(tmp_path):
    agent = Agent(repository(tmp_path, {"a": "1"}))
    inner = agent.folder / "inner"
    inner.mkdir()
    agent.on.git("init", "--quiet", at=inner)
    agent.on.commit({"i": "1", ".gitignore": "*.o\n", "deeper/d": "2"}, at=inner)
    agent.write({"inner/x.o": "noise"})
    agent.git("add", "--all")
    agent.git("commit", "--quiet", "-m", "with a repository in it")
    files = {"a": "1", "inner/i": "1", "inner/.gitignore": "*.o", "inner/deeper/d": "2"}
    assert agent.files(agent.take().commit) == files
    agent.write({"inner/i": "changed"})
    assert agent.files(agent.take().commit) == files | {"inner/i": "changed"}
    with pytest.raises(GitFailed):
        worktrees.remove(agent.checkout)
    assert (inner / "i").exists()
    worktrees.remove(agent.checkout, told=True)


def test_repository_in_an_ignored_folder_holds_up_nothing(tmp_path):
    agent = Agent(repository(tmp_path, {".gitignore": "cache/\n"}))
    (agent.folder / "cache/inner").mkdir(parents=True)
    agent.on.git("init", "--quiet", at=agent.folder / "cache/inner")
    worktrees.remove(agent.checkout)


def test_users_untracked_repository_is_left_out_of_a_dirty_base(tmp_path):
    on = repository(tmp_path, {"a": "1"})
    (on.top / "inner").mkdir()
    on.git("init", "--quiet", at=on.top / "inner")
    on.write({"inner/i": "1", "new": "n"})
    base = worktrees.base_of(open_project(on.top), dirty=True)
    assert on.git("ls-tree", "-r", "--name-only", base).split() == ["a", "new"]


def test_pipes_and_sockets_are_passed_over(tmp_path):
    agent = Agent(repository(tmp_path, {"a": "1", "b": "2"}))
    os.mkfifo(agent.folder / "pipe")
    (agent.folder / "a").unlink()
    os.mkfifo(agent.folder / "a")
    with socket.socket(socket.AF_UNIX) as at:
        os.chdir(agent.folder)
        at.bind("socket")
    taken = agent.take()
    assert agent.files(taken.commit) == {"b": "2"}
    assert taken.left_out == ()


def test_name_that_git_cannot_hold_is_told(tmp_path):
    agent = Agent(repository(tmp_path, {"a": "1"}))
    agent.write({".GIT/x": "1", "b": "2"})
    taken = agent.take()
    assert agent.files(taken.commit) == {"a": "1", "b": "2"}
    assert taken.left_out == (".GIT/x",)


def test_snapshot_of_a_repository_that_borrows_stands_by_itself(tmp_path):
    origin = repository(tmp_path, {"a": "1"})
    origin.git("clone", "--quiet", "--shared", ".", str(tmp_path / "clone"))
    agent = Agent(Repository(tmp_path / "clone"))
    agent.write({"b": "2"})
    taken = agent.take()
    for gone in (origin.top, tmp_path / "clone"):
        subprocess.run(["rm", "-r", str(gone)], check=True)
    assert subprocess.run(["git", "-C", str(agent.keep), "fsck", "--full"]).returncode == 0
    snapshots.restore(kept(agent.keep), taken.commit, folder=tmp_path / "restored")
    assert (tmp_path / "restored/b").read_text() == "2"


def test_shallow_clone_is_a_project(tmp_path):
    origin = repository(tmp_path, {"a": "1"})
    origin.commit({"a": "2"})
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.top}", str(tmp_path / "clone"))
    agent = Agent(Repository(tmp_path / "clone"))
    agent.commit({"a": "3"})
    agent.write({"b": "4"})
    assert [kept.files for kept in snapshots.history(kept(agent.keep), REF)] == []
    assert agent.files(agent.take().commit) == {"a": "3", "b": "4"}
    assert subprocess.run(["git", "-C", str(agent.keep), "fsck", "--full"]).returncode == 0


@pytest.mark.parametrize(
    ("files", "word"),
    [
        (("MERGE_HEAD",), "merge"),
        (("rebase-merge/onto",), "rebase"),
        (("rebase-apply/applying",), "am"),
        (("CHERRY_PICK_HEAD", "sequencer/todo"), "cherry-pick"),
        (("REVERT_HEAD",), "revert"),
        (("BISECT_LOG",), "bisect"),
        ((), None),
    ],
)
def test_what_the_user_is_in_the_middle_of_is_told(tmp_path, files, word):
    on = repository(tmp_path, {"a": "1"})
    on.write({f".git/{name}": "" for name in files})
    assert in_progress(open_project(on.top)) == word

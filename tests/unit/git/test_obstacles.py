"""What of the user's is in the way of a merge, on real repositories."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from muster.git.merging import Merged, compute, ours
from muster.git.obstacles import SPARE, Obstacle, Why, obstacles
from muster.git.project import open_project
from unit.git.repositories import Files, Repository, merge, repository


def in_the_way(on: Repository, files: Files) -> dict[str, Why]:
    """Of what an agent commits."""
    return in_the_way_of(on, on.agent("alice", files))


def in_the_way_of(on: Repository, tip: str) -> dict[str, Why]:
    merged = compute(on.checkout, tip, ours(on.checkout))
    assert isinstance(merged, Merged), merged
    return {found.path: found.why for found in obstacles(on.checkout, merged.changes)}


def test_each_change_of_the_users_is_named_and_what_is_elsewhere_is_not(tmp_path):
    on = repository(tmp_path, dict.fromkeys(("edited", "staged", "gone", "run", "link", "rest", "same"), "1\n"))
    tip = on.agent("alice", dict.fromkeys(("edited", "staged", "gone", "run", "link", "rest"), "2\n"))
    on.write({"edited": "mine\n", "staged": "mine\n", "gone": None, "link": None, "same": "mine\n"})
    on.git("add", "staged")
    (on.top / "run").chmod(0o755)
    (on.top / "link").symlink_to("rest")
    assert in_the_way_of(on, tip) == {
        **dict.fromkeys(("edited", "gone", "run", "link"), Why.CHANGED),
        "staged": Why.STAGED,
    }


def test_staged_change_that_is_not_in_the_file_any_more_is_in_the_way(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    tip = on.agent("alice", {"f": "2\n"})
    on.write({"f": "mine\n"})
    on.git("add", "f")
    on.write({"f": "1\n"})
    assert in_the_way_of(on, tip) == {"f": Why.STAGED}


@pytest.mark.parametrize("staged", [("add", "new"), ("add", "--intent-to-add", "new"), ("add", "--all")])
def test_staging_what_was_landed_is_in_nobodys_way(tmp_path, staged):
    on = repository(tmp_path, {"f": "1\n"})
    alice = on.agent("alice", {"f": "2\n", "new": "1\n2\n3\n4\n5\n"})
    landings = []
    merge(on, alice, landings)
    on.git(*staged)
    merge(on, on.agent("alice", {"new": "1\n2\n3\n4\nfive\n"}), landings)
    assert on.read("new") == "1\n2\n3\n4\nfive\n"


def test_file_that_was_only_touched_is_not_in_the_way(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    os.utime(on.top / "f", (1, 1))
    assert in_the_way(on, {"f": "2\n"}) == {}


def test_changed_file_that_git_was_told_to_overlook_is_in_the_way(tmp_path):
    on = repository(tmp_path, {"f": "1\n", "g": "1\n"})
    on.git("update-index", "--assume-unchanged", "f")
    on.git("update-index", "--skip-worktree", "g")
    tip = on.agent("alice", {"f": "2\n", "g": "2\n"})
    on.write({"f": "mine\n", "g": "mine\n"})
    assert in_the_way_of(on, tip) == {"f": Why.CHANGED, "g": Why.CHANGED}


def test_folder_gives_way_only_when_all_in_it_leaves(tmp_path):
    on = repository(tmp_path, {"d/x": "1\n", "e/x": "1\n", ".gitignore": "*.log\n"})
    tip = on.agent("alice", {"d/x": None, "e/x": None})
    (on.worktree("alice") / "d").mkdir(exist_ok=True)
    (on.worktree("alice") / "d").rmdir()
    (on.worktree("alice") / "e").mkdir(exist_ok=True)
    (on.worktree("alice") / "e").rmdir()
    tip = on.agent("alice", {"d": "file\n", "e": "file\n"})
    (on.top / "d" / "empty").mkdir()
    on.write({"e/kept.log": "mine\n"})
    assert in_the_way_of(on, tip) == {"e": Why.FOLDER}


def test_file_where_a_folder_is_needed_is_in_the_way_unless_it_leaves(tmp_path):
    on = repository(tmp_path, {"a": "1\n"})
    worktree = on.worktree("alice")
    (worktree / "a").unlink()
    tip = on.agent("alice", {"a/b": "2\n", "c/d/e": "2\n"})
    on.write({"c": "mine\n"})
    assert in_the_way_of(on, tip) == {"c/d/e": Why.FILE_ABOVE}


def test_nothing_is_written_through_a_symlink(tmp_path):
    on = repository(tmp_path, {"d/x": "1\n", "f": "1\n"})
    tip = on.agent("alice", {"d/x": "2\n", "d/new": "2\n", "e/new": "2\n"})
    (on.top / "d").rename(tmp_path / "elsewhere")
    (on.top / "d").symlink_to(tmp_path / "elsewhere")
    (on.top / "e").symlink_to(tmp_path)
    assert in_the_way_of(on, tip) == dict.fromkeys(("d/x", "d/new", "e/new"), Why.SYMLINK_ABOVE)


def test_another_repository_in_a_folder_is_left_alone(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    tip = on.agent("alice", {"vendor/lib/x": "1\n"})
    on.git("init", "--quiet", str(on.top / "vendor"))
    assert in_the_way_of(on, tip) == {"vendor/lib/x": Why.REPOSITORY_ABOVE}


def test_submodule_is_not_landed(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    worktree = on.worktree("alice")
    on.git("update-index", "--add", "--cacheinfo", f"160000,{on.git('rev-parse', 'HEAD')},lib", at=worktree)
    on.git("commit", "-qm", "submodule", at=worktree)
    assert in_the_way_of(on, on.git("rev-parse", "HEAD", at=worktree)) == {"lib": Why.SUBMODULE}


@pytest.mark.parametrize("path", [".git/hooks/x", "d/.GIT/config", "..", ".g\u200cit/x", "git~1", f"{SPARE}x", "."])
def test_path_that_git_would_not_check_out_is_not_written(tmp_path, path):
    """Such a tree is made by hand."""
    on = repository(tmp_path, {"f": "1\n"})
    blob = on.git("rev-parse", "HEAD:f")
    tree = None
    for part in reversed(path.split("/")):
        entry = f"100644 blob {blob}\t{part}" if tree is None else f"040000 tree {tree}\t{part}"
        tree = on.fed(entry + "\n", "mktree")
    whole = on.fed(on.git("ls-tree", "HEAD") + "\n" + on.git("ls-tree", tree) + "\n", "mktree")
    tip = on.git("commit-tree", whole, "-p", "HEAD", "-m", "by hand")
    assert in_the_way_of(on, tip) == {path.replace("\\", "\\\\"): Why.NAME}


def test_name_in_other_letters_clashes_where_the_disk_does_not_tell_them_apart(tmp_path):
    on = repository(tmp_path, {"Read/me": "1\n", "old": "1\n"})
    on.write({"mine": "mine\n"})
    tip = on.agent("alice", {"read/you": "1\n", "MINE": "1\n", "one": "1\n", "One": "1\n", "old": None, "OLD": "1\n"})
    on.git("config", "core.ignoreCase", "true")
    assert in_the_way_of(on, tip) == dict.fromkeys(("read/you", "MINE", "one", "One"), Why.CASE)


@pytest.mark.parametrize("cone", ["--cone", "--no-cone"])
def test_path_outside_of_a_sparse_checkout_is_refused(tmp_path, cone):
    on = repository(tmp_path, {"in/x": "1\n", "out/x": "1\n", "top": "1\n"})
    tip = on.agent("alice", {"in/x": "2\n", "in/new": "2\n", "out/x": "2\n", "out/new": "2\n"})
    on.git("sparse-checkout", "set", cone, "in" if cone == "--cone" else "/in/")
    assert in_the_way_of(on, tip) == {"out/x": Why.SPARSE, "out/new": Why.SPARSE}


def test_sparse_setting_of_a_linked_worktree_counts_there(tmp_path):
    on = repository(tmp_path, {"in/x": "1\n", "out/x": "1\n"})
    tip = on.agent("alice", {"in/x": "2\n", "out/x": "2\n"})
    linked = on.worktree("users-own")
    on.git("sparse-checkout", "set", "in", at=linked)
    project = open_project(linked)
    merged = compute(project, tip, ours(project))
    assert obstacles(project, merged.changes) == [Obstacle("out/x", Why.SPARSE)]


def test_what_permissions_close_is_named(tmp_path, monkeypatch):
    on = repository(tmp_path, {"closed/x": "1\n", "unread": "1\n", "open": "1\n"})
    merged = compute(on.checkout, on.agent("alice", {"closed/x": "2\n", "unread": "2\n", "open": "2\n"}), "HEAD")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (on.top / "closed").chmod(0o555)
    (on.top / "unread").chmod(0o000)
    on.top.chmod(0o777)
    monkeypatch.setenv("HOME", str(tmp_path))
    with nobody():
        found = {each.path: each.why for each in obstacles(on.checkout, merged.changes)}
    assert found == {"closed/x": Why.CLOSED, "unread": Why.CLOSED}


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write everywhere, so it is somebody else for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_socket_in_the_way_is_told_and_not_opened(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    tip = on.agent("alice", {"pipe": "1\n"})
    os.mkfifo(on.top / "pipe")
    assert in_the_way_of(on, tip) == {"pipe": Why.UNTRACKED}

"""Landed commits have the right authors, and no ref moves from under anybody."""

import pytest

from muster.git.branching import (
    Author,
    current_branch,
    follow,
    free_branch,
    landed_commit,
    move,
    not_as_committed,
    with_uncommitted,
)
from muster.git.landing import land
from muster.git.merging import Merged, compute, head_of
from unit.git.repositories import Repository, repository

ANN = Author(name="ann", says="Land the work of ann")


@pytest.fixture
def mine(tmp_path):
    return repository(tmp_path, {"a.txt": "a\n", "b.txt": "b\n"})


def merged(mine: Repository, tip: str) -> Merged:
    found = compute(mine.checkout, tip, head_of(mine.checkout))
    assert isinstance(found, Merged)
    return found


def test_squashed_commit_is_the_agents_and_the_user_committed_it(mine):
    mine.git("config", "user.name", "Ursula")
    mine.git("config", "user.email", "u@example.org")
    mine.agent("ann", {"a.txt": "one\n"})
    tip = mine.agent("ann", {"c.txt": "two\n"})
    found = merged(mine, tip)
    commit = landed_commit(mine.checkout, found.tree, tip, ANN, squash=True)
    assert mine.git("log", "-1", "--format=%an|%ae|%cn|%ce|%P", commit) == "|".join(
        ["ann", "muster@localhost", "Ursula", "u@example.org", mine.git("rev-parse", "HEAD")]
    )
    assert mine.git("log", "-1", "--format=%B", commit) == "Land the work of ann\n\n* change\n* change"
    assert mine.git("show", f"{commit}:c.txt") == "two"


def test_commits_that_are_kept_keep_their_authors(mine):
    tip = mine.agent("ann", {"a.txt": "one\n"})
    commit = landed_commit(mine.checkout, merged(mine, tip).tree, tip, ANN, squash=False)
    assert mine.git("log", "-1", "--format=%P", commit) == f"{mine.git('rev-parse', 'HEAD')} {tip}"
    assert mine.git("log", "-1", "--format=%an", f"{commit}^2") == "Somebody"


def test_uncommitted_work_is_one_commit_on_the_agents_newest(mine):
    tip = mine.agent("ann", {"a.txt": "one\n"})
    snapshot = mine.agent("ann", {"a.txt": "two\n"})
    commit = with_uncommitted(mine.checkout, snapshot, tip, ANN)
    assert mine.git("log", "-1", "--format=%an|%P", commit) == f"ann|{tip}"
    assert mine.git("show", f"{commit}:a.txt") == "two"


def test_branch_that_is_taken_is_numbered(mine):
    assert free_branch(mine.checkout, "ann") == "refs/heads/muster/landed/ann"
    mine.git("branch", "muster/landed/ann")
    mine.git("branch", "muster/landed/ann-2")
    assert free_branch(mine.checkout, "ann") == "refs/heads/muster/landed/ann-3"


def test_ref_moves_only_from_where_it_was_read_and_twice_is_once(mine):
    first, second = mine.git("rev-parse", "HEAD"), mine.agent("ann", {"a.txt": "one\n"})
    ref = "refs/heads/muster/landed/ann"
    assert move(mine.checkout, ref, to=first, since=None)
    assert move(mine.checkout, ref, to=first, since=None)
    assert not move(mine.checkout, ref, to=second, since=second[:-1] + "0")
    assert mine.git("rev-parse", ref) == first
    assert move(mine.checkout, ref, to=second, since=first)
    assert not move(mine.checkout, ref, to=None, since=first)
    assert move(mine.checkout, ref, to=None, since=second)
    assert mine.git("for-each-ref", ref) == ""


def test_users_branch_index_and_files_follow_and_nothing_else_moves(mine):
    tip = mine.agent("ann", {"a.txt": "one\n", "c.txt": "new\n"})
    mine.write({"b.txt": "staged\n"})
    mine.git("add", "b.txt")
    mine.write({"b.txt": "and changed\n", "loose.txt": "untracked\n"})
    found = merged(mine, tip)
    assert not_as_committed(mine.checkout, found.changes) == []
    head, branch = head_of(mine.checkout), current_branch(mine.checkout)
    commit = landed_commit(mine.checkout, found.tree, tip, ANN, squash=True)
    assert branch == "refs/heads/main"
    assert move(mine.checkout, branch, to=commit, since=head)
    for _ in range(2):
        follow(mine.checkout, found.changes)
        list(land(mine.checkout, found.changes))
    assert mine.status() == "MM b.txt\n?? loose.txt"
    assert (mine.read("a.txt"), mine.read("c.txt")) == ("one\n", "new\n")


@pytest.mark.parametrize("how", ["staged", "changed", "deleted", "in the way"])
def test_path_that_is_staged_or_changed_is_named(mine, how):
    tip = mine.agent("ann", {"a.txt": "one\n", "c.txt": "new\n"})
    match how:
        case "staged":
            mine.write({"a.txt": "mine\n"})
            mine.git("add", "a.txt")
            mine.write({"a.txt": "a\n"})
        case "changed":
            mine.write({"a.txt": "mine\n"})
        case "deleted":
            mine.write({"a.txt": None})
        case "in the way":
            mine.write({"c.txt": "mine\n"})
    assert not_as_committed(mine.checkout, merged(mine, tip).changes) == ["c.txt" if how == "in the way" else "a.txt"]


def test_detached_head_has_no_branch(mine):
    mine.git("checkout", "--quiet", "--detach")
    assert current_branch(mine.checkout) is None

"""Merges on real repositories: what lands, what conflicts, and what the user's side is taken to be."""

import pytest

from muster.git.conflicts import Hunk
from muster.git.landing import Outcome, land
from muster.git.merging import Conflicted, Landing, Merged, compute, keep, ours
from muster.git.obstacles import Obstacle, Why, obstacles
from muster.git.project import in_progress
from unit.git.repositories import Repository, merge, repository, take_back

LINES = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def conflicts_of(on: Repository, tip: str, landings: list[Landing] | None = None):
    told = compute(on.checkout, tip, ours(on.checkout, landings or []))
    assert isinstance(told, Conflicted), told
    return told.conflicts


def in_the_way(on: Repository, tip: str, landings: list[Landing] | None = None) -> list[Obstacle]:
    told = compute(on.checkout, tip, ours(on.checkout, landings or []))
    assert isinstance(told, Merged), told
    return obstacles(on.checkout, told.changes)


# ── reference/ensemble.md, 5: cases 35 to 38, and the losses of 4 ────────────────────────────────


def test_staged_unstaged_and_ignored_work_is_the_same_after_a_merge_and_new_files_stand_there(tmp_path):  # case 35
    on = repository(tmp_path, {".gitignore": "*.log\n", "a": LINES, "staged": "1\n", "unstaged": "1\n"})
    tip = on.agent("alice", {"a": "A\n" + LINES, "new/file": "new\n"})
    on.write({"staged": "mine\n", "staged-new": "mine\n", "unstaged": "mine\n", "x.log": "mine\n", "note": "mine\n"})
    on.git("add", "staged", "staged-new")
    index = (on.top / ".git" / "index").read_bytes()

    merge(on, tip, [])

    assert (on.top / ".git" / "index").read_bytes() == index
    assert on.status().splitlines() == [
        *("M a", "M  staged", "A  staged-new", " M unstaged", "?? new/file", "?? note"),
    ]
    assert {on.read(path) for path in ("staged", "staged-new", "unstaged", "x.log", "note")} == {"mine\n"}


def test_file_that_the_user_changed_refuses_the_merge_whole(tmp_path):  # case 36, first half
    on = repository(tmp_path, {"f": LINES, "g": LINES})
    tip = on.agent("alice", {"f": "A\n" + LINES, "g": "A\n" + LINES})
    on.write({"f": LINES + "mine\n"})
    assert in_the_way(on, tip) == [Obstacle("f", Why.CHANGED)]


def test_two_agents_change_different_lines_of_one_file_and_both_land(tmp_path):  # case 36, second half
    on = repository(tmp_path, {"f": LINES})
    alice, bob = on.agent("alice", {"f": "A\n" + LINES}), on.agent("bob", {"f": LINES + "B\n"})
    landings = []
    merge(on, alice, landings)
    merge(on, bob, landings)
    assert on.read("f") == "A\n" + LINES + "B\n"


def test_conflict_changes_nothing_and_names_both_sides_and_others_still_land(tmp_path):  # case 37, loss 4.2d
    on = repository(tmp_path, {"f": LINES, "g": LINES})
    bob, carol = on.agent("bob", {"f": LINES.replace("5", "bob")}), on.agent("carol", {"g": "carol\n"})
    on.commit({"f": LINES.replace("5", "mine")})
    before = on.status(), (on.top / ".git" / "index").read_bytes()

    (conflict,) = conflicts_of(on, bob)

    assert (conflict.path, conflict.kind) == ("f", "contents")
    assert conflict.hunks == (Hunk(line=5, ours="mine\n", theirs="bob\n"),)
    assert (on.status(), (on.top / ".git" / "index").read_bytes()) == before
    assert not (on.top / ".git" / "MERGE_HEAD").exists()
    merge(on, carol, [])


def test_merge_in_the_users_merge_is_refused_and_what_was_resolved_by_hand_stays(tmp_path):  # case 37, loss 4.2b
    on = repository(tmp_path, {"f": LINES})
    tip = on.agent("alice", {"f": "A\n" + LINES})
    on.git("checkout", "-q", "-b", "other")
    on.commit({"f": LINES.replace("5", "other")})
    on.git("checkout", "-q", "main")
    on.commit({"f": LINES.replace("5", "mine")})
    on.git("merge", "other", fails=True)
    on.write({"f": "HAND RESOLVED WORK\n"})

    assert in_progress(on.checkout) == "merge"
    assert in_the_way(on, tip) == [Obstacle("f", Why.UNMERGED)]
    assert on.read("f") == "HAND RESOLVED WORK\n"


@pytest.mark.parametrize(("path", "why"), [("c.log", Why.IGNORED), ("c.txt", Why.UNTRACKED)])
def test_local_file_that_git_does_not_track_is_never_overwritten(tmp_path, path, why):  # loss 4.2c
    on = repository(tmp_path, {".gitignore": "*.log\n"})
    tip = on.agent("alice", {path: "IMPORTANT\n"})
    on.write({path: "USER LOCAL LOG\n"})
    assert in_the_way(on, tip) == [Obstacle(path, why)]


def test_landed_and_replaced_contents_outlive_the_branch_and_a_collection(tmp_path):  # case 38, loss 4.2g
    on = repository(tmp_path, {"f": LINES})
    alice, bob = on.agent("alice", {"f": "A\n" + LINES}), on.agent("bob", {"f": LINES + "B\n"})
    landings = []
    for tip in (alice, bob):
        mine = ours(on.checkout, landings)
        keep(on.checkout, f"refs/muster/merges/{tip}", compute(on.checkout, tip, mine), [mine, tip])
        merge(on, tip, landings)
    for name in ("alice", "bob"):
        on.git("worktree", "remove", "--force", str(on.worktree(name)))
        on.git("branch", "-D", f"muster/{name}")
    on.git("reflog", "expire", "--expire=now", "--all")
    on.git("gc", "--quiet", "--prune=now")

    take_back(on, landings)
    assert on.read("f") == "A\n" + LINES
    assert on.git("cat-file", "-t", bob) == "commit"


# ── the user's side ──────────────────────────────────────────────────────────────────────────────


def test_files_that_only_the_user_committed_meanwhile_are_not_of_the_merge(tmp_path):
    on = repository(tmp_path, {"f": LINES, "g": "1\n"})
    tip = on.agent("alice", {"f": "A\n" + LINES})
    on.commit({"g": "2\n", "h": "mine\n"})
    on.write({"g": "3\n"})
    assert [each.change.path for each in merge(on, tip, [])] == ["f"]


def test_user_commits_what_was_landed_and_the_next_agent_lands_on_it(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    alice, bob = on.agent("alice", {"f": "A\n" + LINES, "new": "1\n"}), on.agent("bob", {"f": LINES + "B\n"})
    landings = []
    merge(on, alice, landings)
    on.git("add", "--all")
    on.git("commit", "-qm", "landed")
    merge(on, bob, landings)
    assert on.status() == "M f"
    assert on.read("f") == "A\n" + LINES + "B\n"


def test_file_taken_back_by_the_user_stays_taken_back(tmp_path):
    on = repository(tmp_path, {"f": LINES, "g": LINES})
    alice = on.agent("alice", {"f": "A\n" + LINES, "g": "A\n" + LINES})
    landings = []
    merge(on, alice, landings)
    on.git("checkout", "f")
    later = on.agent("alice", {"g": "A\n" + LINES + "later\n"})
    assert [each.change.path for each in merge(on, later, landings)] == ["g"]
    assert on.read("f") == LINES


def test_merge_that_was_taken_back_whole_lands_again(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    alice = on.agent("alice", {"f": "A\n" + LINES, "new": "1\n"})
    landings = []
    merge(on, alice, landings)
    on.git("reset", "-q", "--hard")
    on.git("clean", "-qfd")
    assert len(merge(on, alice, landings)) == 2


def test_undone_merge_lands_again_and_a_landed_one_is_empty(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    alice = on.agent("alice", {"f": "A\n" + LINES})
    landings = []
    merge(on, alice, landings)
    assert compute(on.checkout, alice, ours(on.checkout, landings)).changes == ()
    take_back(on, landings)
    assert len(merge(on, alice, landings)) == 1


def test_later_commits_of_an_agent_land_on_its_earlier_ones(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    landings = []
    merge(on, on.agent("alice", {"f": "A\n" + LINES}), landings)
    merge(on, on.agent("alice", {"f": "A2\n" + LINES}), landings)
    assert on.read("f") == "A2\n" + LINES


def test_amended_commit_lands_as_a_change_of_what_was_landed(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    first = on.agent("alice", {"f": "A\n" + LINES, "thrown-away": "1\n"})
    landings = []
    merge(on, first, landings)
    worktree = on.worktree("alice")
    on.write({"f": "amended\n" + LINES, "thrown-away": None}, at=worktree)
    on.git("commit", "-qa", "--amend", "-m", "amended", at=worktree)
    tip = on.git("rev-parse", "HEAD", at=worktree)

    assert isinstance(compute(on.checkout, tip, ours(on.checkout, landings)), Conflicted)
    merged = compute(on.checkout, tip, ours(on.checkout, landings), since=first)
    assert {each.outcome for each in land(on.checkout, merged.changes)} == {Outcome.WRITTEN}
    assert on.read("f") == "amended\n" + LINES
    assert on.status() == "M f"


def test_user_rebases_the_branch_and_merges_go_on(tmp_path):
    on = repository(tmp_path, {"f": LINES, "g": "1\n"})
    alice, bob = on.agent("alice", {"f": "A\n" + LINES}), on.agent("bob", {"f": LINES + "B\n"})
    landings = []
    merge(on, alice, landings)
    on.git("stash", "-q")
    on.git("checkout", "-q", "--orphan", "rewritten")
    on.commit({"g": "rewritten\n"})
    on.git("stash", "pop", "-q")
    merge(on, bob, landings)
    assert on.read("f") == "A\n" + LINES + "B\n"


@pytest.mark.parametrize("detached", [False, True])
def test_head_is_neither_moved_nor_attached(tmp_path, detached):
    on = repository(tmp_path, {"f": LINES})
    if detached:
        on.git("checkout", "-q", "--detach")
    tip = on.agent("alice", {"f": "A\n" + LINES})
    before = (on.top / ".git" / "HEAD").read_text(), on.git("for-each-ref")
    merge(on, tip, [])
    assert ((on.top / ".git" / "HEAD").read_text(), on.git("for-each-ref")) == before


def test_merge_lands_in_a_repository_without_a_commit(tmp_path):
    on = repository(tmp_path)
    on.write({"mine": "mine\n"})
    base = ours(on.checkout)
    alice, bob = (on.commit({name: "1\n"}, at=on.worktree(name, base)) for name in ("alice", "bob"))
    landings = []
    merge(on, alice, landings)
    merge(on, bob, landings)
    assert on.status().splitlines() == ["?? alice", "?? bob", "?? mine"]
    take_back(on, landings)
    take_back(on, landings)
    assert on.status() == "?? mine"


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────


def test_same_new_file_of_two_agents_conflicts_with_both_sides_and_an_equal_one_does_not(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    alice = on.agent("alice", {"new": "alice\n"})
    bob, carol = on.agent("bob", {"new": "bob\n"}), on.agent("carol", {"new": "alice\n"})
    landings = []
    merge(on, alice, landings)
    (conflict,) = conflicts_of(on, bob, landings)
    assert conflict.hunks == (Hunk(line=1, ours="alice\n", theirs="bob\n"),)
    assert compute(on.checkout, carol, ours(on.checkout, landings)).changes == ()


def test_deletion_against_edit_binary_and_renames_are_told_by_kind(tmp_path):
    on = repository(tmp_path, {"gone": LINES, "bin": b"\0one", "moved": LINES + "10\n", "place": "1\n"})
    tip = on.agent(
        "alice",
        {"gone": None, "bin": b"\0two", "moved": None, "theirs": LINES + "10\n", "place": None, "place/x": "other\n"},
    )
    on.commit({"gone": "edited\n", "bin": b"\0three", "moved": None, "mine": LINES + "10\n", "place": "edited\n"})
    told = {conflict.path: conflict for conflict in conflicts_of(on, tip)}
    assert {path: conflict.kind for path, conflict in told.items()} == {
        **{"bin": "binary", "gone": "modify/delete", "place": "file/directory"},
        **dict.fromkeys(("moved", "mine", "theirs"), "rename/rename"),
    }
    assert told["gone"].theirs is None
    assert told["gone"].ours is not None
    assert told["gone"].says.startswith("CONFLICT (modify/delete): gone deleted in theirs and modified in ours.")


def test_text_that_looks_like_a_conflict_is_not_taken_for_one(tmp_path):
    marks = "<<<<<<< ours\nx\n=======\ny\n>>>>>>> theirs\n"
    on = repository(tmp_path, {"f": marks + LINES})
    tip = on.agent("alice", {"f": marks + LINES.replace("5", "A")})
    on.commit({"f": marks + LINES.replace("5", "mine")})
    (conflict,) = conflicts_of(on, tip)
    assert conflict.hunks == (Hunk(line=10, ours="mine\n", theirs="A\n"),)


def test_rename_of_the_users_takes_the_agents_change_along(tmp_path):
    on = repository(tmp_path, {"old": LINES})
    tip = on.agent("alice", {"old": "A\n" + LINES})
    on.git("mv", "old", "new")
    on.git("commit", "-qm", "renamed")
    merge(on, tip, [])
    assert on.read("new") == "A\n" + LINES
    assert on.status() == "M new"


def test_rename_of_an_agents_is_a_deletion_and_an_addition(tmp_path):
    on = repository(tmp_path, {"d/old": LINES})
    tip = on.agent("alice", {"d/old": None, "e/new": LINES})
    landings = []
    merge(on, tip, landings)
    assert on.status().splitlines() == ["D d/old", "?? e/new"]
    assert not (on.top / "d").exists()
    take_back(on, landings)
    assert on.status() == ""


# ── nothing of the repository runs ───────────────────────────────────────────────────────────────


def test_merge_driver_of_the_repositorys_own_is_not_run_and_its_file_is_a_conflict(tmp_path):
    on = repository(tmp_path, {"f": LINES, ".gitattributes": "f merge=evil\n"})
    on.git("config", "merge.evil.driver", f"touch {tmp_path}/sprung")
    tip = on.agent("alice", {"f": "A\n" + LINES})
    on.commit({"f": LINES + "mine\n"})
    (conflict,) = conflicts_of(on, tip)
    assert conflict.path == "f"
    assert not (tmp_path / "sprung").exists()


def test_default_merge_driver_of_the_repositorys_own_is_not_run(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    on.git("config", "merge.evil.driver", f"touch {tmp_path}/sprung")
    on.git("config", "merge.default", "evil")
    tip = on.agent("alice", {"f": "A\n" + LINES})
    on.commit({"f": LINES + "mine\n"})
    conflicts_of(on, tip)
    assert not (tmp_path / "sprung").exists()


def test_filter_of_the_repositorys_own_is_not_run_by_a_landing(tmp_path):
    on = repository(tmp_path, {"f": LINES})
    tip = on.agent("alice", {"f": "A\n" + LINES, ".gitattributes": "* filter=evil\n"})
    for verb in ("clean", "smudge", "process"):
        on.git("config", f"filter.evil.{verb}", f"touch {tmp_path}/sprung; cat")
    landings = []
    merge(on, tip, landings)
    take_back(on, landings)
    assert not (tmp_path / "sprung").exists()

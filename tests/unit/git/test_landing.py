"""Landing and undoing on real repositories."""

import hashlib
from contextvars import copy_context
from pathlib import Path

import pytest

from muster.errors import GitFailed
from muster.git.landing import Outcome, land
from muster.git.merging import compute, ours
from muster.git.obstacles import SPARE
from unit.git.repositories import merge, repository, take_back


def test_two_agents_change_one_file_and_both_land_and_are_undone(tmp_path):
    on = repository(tmp_path, {"f": "1\n2\n3\n4\n5\n6\n7\n", "gone": "x\n", "d/e/x": "x\n"})
    alice = on.agent("alice", {"f": "one\n2\n3\n4\n5\n6\n7\n", "new/file": "new\n"})
    bob = on.agent("bob", {"f": "1\n2\n3\n4\n5\n6\nseven\n", "gone": None, "d/e/x": None})
    landings = []

    merge(on, alice, landings)
    merge(on, bob, landings)
    assert on.read("f") == "one\n2\n3\n4\n5\n6\nseven\n"
    assert on.status() == " D d/e/x\n M f\n D gone\n?? new/file".strip()
    assert not (on.top / "d").exists()

    take_back(on, landings)
    assert on.read("f") == "one\n2\n3\n4\n5\n6\n7\n"
    take_back(on, landings)
    assert on.status() == ""
    assert not (on.top / "new").exists()


def test_landing_twice_says_that_it_was_so_already(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    alice = on.agent("alice", {"f": "2\n", "g": "g\n"})
    landings = []
    merge(on, alice, landings)
    again = list(land(on.checkout, landings[0].changes))
    assert [landed.outcome for landed in again] == [Outcome.ALREADY] * 2


def test_landing_is_taken_up_in_one_context_and_ended_in_another(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    alice = on.agent("alice", {"f": "2\n", "g": "g\n"})
    merged = compute(on.checkout, alice, ours(on.checkout))
    steps = land(on.checkout, merged.changes)
    copy_context().run(next, steps)
    copy_context().run(steps.close)
    assert {landed.outcome for landed in land(on.checkout, merged.changes)} == {Outcome.ALREADY, Outcome.WRITTEN}


def test_file_that_the_user_saves_while_others_are_landed_is_left_alone(tmp_path):
    on = repository(tmp_path, {"a": "1\n", "b": "1\n"})
    alice = on.agent("alice", {"a": "2\n", "b": "2\n", "c": "2\n"})
    steps = land(on.checkout, compute(on.checkout, alice, ours(on.checkout)).changes)
    assert next(steps).outcome is Outcome.WRITTEN
    on.write({"b": "3\n", "c": "mine\n"})
    assert [landed.outcome for landed in steps] == [Outcome.BLOCKED] * 2
    assert (on.read("a"), on.read("b"), on.read("c")) == ("2\n", "3\n", "mine\n")


def test_only_what_still_stands_as_it_was_landed_is_undone(tmp_path):
    on = repository(tmp_path, {"a": "1\n", "b": "1\n"})
    alice = on.agent("alice", {"a": "2\n", "b": "2\n", "new": "2\n"})
    landings = []
    merge(on, alice, landings)
    on.write({"a": "2\nmine\n"})
    undone = {landed.change.path: landed.outcome for landed in take_back(on, landings)}
    assert undone == {"a": Outcome.BLOCKED, "b": Outcome.WRITTEN, "new": Outcome.WRITTEN}
    assert on.status() == "M a"
    assert on.read("a") == "2\nmine\n"


def test_half_a_file_that_a_crash_left_is_gone_after_the_next_landing(tmp_path):
    on = repository(tmp_path, {"d/a": "1\n"})
    merged = compute(on.checkout, on.agent("alice", {"d/a": "2\n"}), ours(on.checkout))
    steps = land(on.checkout, merged.changes)
    spare = f"d/{SPARE}{hashlib.sha256(b'd/a').hexdigest()[:16]}"
    left = on.top / ".git" / "muster" / "landing-dead"
    (left / "files").mkdir(parents=True)
    on.write({spare: "2"})
    assert [landed.outcome for landed in steps] == [Outcome.WRITTEN]
    assert on.status() == "M d/a"
    assert not left.exists()


def test_modes_links_and_odd_names_land_and_are_undone(tmp_path):
    on = repository(tmp_path, {"run": "#!/bin/sh\n", "file": "1\n", "secret": "1\n", "d/x": "1\n"})
    (on.top / "link").symlink_to("file")
    (on.top / "secret").chmod(0o600)
    on.commit({})
    worktree = on.worktree("alice")
    (worktree / "run").chmod(0o755)
    (worktree / "link").unlink()
    (worktree / "link").symlink_to("run")
    (worktree / "file").unlink()
    (worktree / "file").symlink_to("../../etc/passwd")
    tip = on.agent("alice", {"secret": "2\n", "d/x": None, 'd/x/ü\n"*': "2\n", b"\xff".decode("latin1"): b"\0\1\r\n"})
    landings = []
    merge(on, tip, landings)
    assert (on.top / "run").stat().st_mode & 0o777 == 0o755
    assert (on.top / "secret").stat().st_mode & 0o777 == 0o600
    assert (on.top / "link").readlink() == Path("run")
    assert (on.top / "file").readlink() == Path("../../etc/passwd")
    assert on.read('d/x/ü\n"*') == "2\n"
    take_back(on, landings)
    assert on.status() == ""
    assert (on.top / "secret").stat().st_mode & 0o777 == 0o600


def test_user_who_has_crlf_in_the_files_gets_crlf(tmp_path):
    on = repository(tmp_path, {".gitattributes": "*.txt text eol=crlf\n*.u16 text working-tree-encoding=UTF-16\n"})
    on.commit({"a.txt": "1\r\n2\r\n", "b.u16": "1\n".encode("utf-16")})
    tip = on.agent("alice", {"a.txt": "1\r\ntwo\r\n", "new.txt": "n\r\n", "b.u16": "one\n".encode("utf-16")})
    landings = []
    merge(on, tip, landings)
    assert on.read("a.txt") == "1\r\ntwo\r\n"
    assert on.read("new.txt") == "n\r\n"
    assert (on.top / "b.u16").read_bytes().decode("utf-16") == "one\n"
    take_back(on, landings)
    assert on.status() == ""


def test_attributes_that_arrive_with_a_merge_hold_for_its_files(tmp_path):
    on = repository(tmp_path, {"a.txt": "1\n2\n"})
    tip = on.agent("alice", {"a.txt": "1\ntwo\n", "d/b.txt": "b\n", ".gitattributes": "*.txt text eol=crlf\n"})
    landings = []
    assert merge(on, tip, landings)[-1].change.path == ".gitattributes"
    assert (on.read("a.txt"), on.read("d/b.txt")) == ("1\r\ntwo\r\n", "b\r\n")
    assert {landed.outcome for landed in land(on.checkout, landings[0].changes)} == {Outcome.ALREADY}
    take_back(on, landings)
    assert on.status() == ""
    assert on.read("a.txt") == "1\n2\n"


def test_filters_of_the_users_own_configuration_are_applied(tmp_path, monkeypatch):
    (tmp_path / "gitconfig").write_text('[filter "rot"]\n\tclean = tr a-m n-z\n\tsmudge = tr n-z a-m\n\trequired\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gitconfig").rename(tmp_path / ".gitconfig")
    on = repository(tmp_path, {"f": "nnn\n", ".gitattributes": "*.rot filter=rot\n"})
    tip = on.agent("alice", {"f.rot": "nnn\n"})
    merge(on, tip, [])
    assert on.read("f.rot") == "aaa\n"
    assert on.git("cat-file", "blob", f"{tip}:f.rot") == "nnn"


def test_filter_that_fails_writes_nothing(tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text('[filter "bad"]\n\tsmudge = false\n\tclean = cat\n\trequired\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    on = repository(tmp_path, {"f": "1\n", ".gitattributes": "*.bad filter=bad\n"})
    tip = on.agent("alice", {"f": "2\n", "f.bad": "1\n"})
    merged = compute(on.checkout, tip, ours(on.checkout))
    with pytest.raises(GitFailed):
        list(land(on.checkout, merged.changes))
    assert on.status() == ""

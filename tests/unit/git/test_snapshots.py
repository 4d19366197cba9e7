"""Nothing that an agent made is out of reach after a snapshot, on real repositories."""

import shutil

import pytest

from muster.git import keeping, snapshots
from muster.git.keeping import kept
from unit.git.agents import REF, Agent
from unit.git.repositories import repository


@pytest.fixture
def agent(tmp_path) -> Agent:
    return Agent(repository(tmp_path, {"a": "1", "b": "2", ".gitignore": "*.log\n"}))


def test_snapshot_holds_edits_and_new_files_but_nothing_ignored(agent):
    agent.write({"a": "changed", "b": None, "new/file": "3", "x.log": "noise"})
    taken = agent.take()
    assert agent.files(taken.commit) == {"a": "changed", "new/file": "3", ".gitignore": "*.log"}
    assert agent.git("status", "--porcelain").splitlines() == ["M a", " D b", "?? new/"]


def test_nothing_new_makes_no_new_snapshot(agent):
    agent.write({"a": "changed"})
    first = agent.take()
    assert agent.take() == snapshots.Snapshot(commit=first.commit, tree=first.tree, tip=first.tip, is_new=False)


def test_commits_that_were_reset_away_are_kept(agent):
    lost = agent.commit({"a": "lost"})
    agent.git("reset", "--quiet", "--hard", "HEAD~1")
    assert lost in agent.on.git("rev-list", agent.take().commit).split()


def test_snapshot_is_whole_without_the_users_repository(agent):
    agent.write({"a": "changed"})
    taken = agent.take()
    shutil.rmtree(agent.on.top)
    place = agent.state / "restored"
    snapshots.restore(kept(agent.keep), taken.commit, folder=place)
    assert (place / "a").read_text() == "changed"


def test_history_tells_each_snapshot_newest_first(agent):
    agent.write({"a": "changed"})
    agent.take("idle")
    tip = agent.commit({"c": "3"})
    agent.take("before a merge")
    told = [(kept.says, kept.tip, kept.files) for kept in snapshots.history(agent.checkout, REF)]
    assert told == [("before a merge", tip, 1), ("idle", agent.wish.base, 1)]


def test_dropped_snapshots_are_gone_here_and_in_keep(agent):
    agent.take()
    snapshots.drop(agent.checkout, REF, agent.keep)
    assert snapshots.history(agent.checkout, REF) == snapshots.history(kept(agent.keep), REF) == []


def test_locks_of_a_git_that_died_hold_up_nothing(agent):
    agent.take()
    for place in (agent.on.top / ".git", agent.keep):
        (place / f"{REF}.lock").touch()
    agent.write({"a": "changed"})
    assert agent.take().is_new


def test_many_snapshots_are_few_packs_and_none_is_lost(agent, monkeypatch):
    monkeypatch.setattr(keeping, "PACKS", 4)
    taken = []
    for number in range(7):
        agent.write({"a": str(number)})
        taken.append(agent.take().commit)
    assert len(list((agent.keep / "objects/pack").glob("*.pack"))) <= 4
    assert [each.commit for each in snapshots.history(kept(agent.keep), REF)] == taken[::-1]
    assert agent.on.git("fsck", "--full", "--no-dangling", at=agent.keep) == ""

"""What agents did lands as commits: on a branch of ours, or on the user's; and is taken back from there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.facts import Terms
from unit.git.repositories import Repository, repository
from unit.reconcilers.hands import Hands
from unit.stage import Clock, Stage, at_work, hub

pytestmark = pytest.mark.anyio


@pytest.fixture
def mine(tmp_path: Path) -> Repository:
    made = repository(tmp_path, {"a.txt": "a\n", "b.txt": "b\n", "loose.txt": "l\n"})
    made.git("config", "user.name", "Ursula")
    made.git("config", "user.email", "u@example.org")
    return made


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock, mine: Repository) -> AsyncIterator[Stage]:
    hands = Hands()
    hands.work["commit"] = lambda folder: mine.commit({"a.txt": "agent\n", "new.txt": "new\n"}, at=folder) and None
    hands.work["write"] = lambda folder: mine.write({"a.txt": "agent, loose\n"}, at=folder)
    terms = Terms(land_when_quiet=False)
    async with ScriptedHost(hands.play) as host, hub(tmp_path, host, clock, terms=terms) as stage, at_work(stage):
        yield stage


async def agent_who(stage: Stage, prompt: str) -> str:
    fleet = await stage.spawn(prompt)
    await stage.settled(fleet["fleet_id"])
    return str(fleet["agent_ids"][0])


async def land(stage: Stage, agent: str, land_as: str, **rest: Any) -> dict[str, Any]:
    return await stage.call("merge.land", agent_id=agent, land_as=land_as, **rest)


async def test_branch_holds_what_comes_of_it_and_the_users_tree_is_untouched(stage, mine):
    agent = await agent_who(stage, "commit")
    mine.write({"a.txt": "mine, in the way of nothing\n"})
    before = (mine.git("rev-parse", "HEAD"), mine.status())
    merge = await land(stage, agent, "branch")
    assert (merge["state"], merge["files"]) == ("landed", ["a.txt", "new.txt"])
    assert merge["facts"]["ref"] == "refs/heads/muster/landed/worker"
    assert (mine.git("rev-parse", "HEAD"), mine.status()) == before
    assert mine.git("show", "muster/landed/worker:a.txt") == "agent"
    assert mine.git("log", "-1", "--format=%an %cn %P", "muster/landed/worker") == f"worker Ursula {before[0]}"

    undone = await stage.call("merge.undo", agent_id=agent)
    assert undone["state"] == "undone"
    assert mine.git("for-each-ref", "refs/heads/muster/landed") == ""


async def test_branch_that_was_moved_stays(stage, mine):
    agent = await agent_who(stage, "commit")
    await land(stage, agent, "branch")
    mine.git("branch", "--force", "muster/landed/worker", "HEAD")
    kept = await stage.call("merge.undo", agent_id=agent)
    assert (kept["state"], kept["facts"]["undo_why"]) == ("landed", "refs/heads/muster/landed/worker was moved.")
    again = await land(stage, agent, "branch")
    assert again["facts"]["ref"] == "refs/heads/muster/landed/worker-2"


async def test_commit_lands_on_the_users_branch_with_index_and_files_and_is_reverted(stage, mine):
    agent = await agent_who(stage, "commit")
    mine.write({"b.txt": "staged\n", "loose.txt": "unstaged\n"})
    mine.git("add", "b.txt")
    head = mine.git("rev-parse", "HEAD")
    merge = await land(stage, agent, "commits")
    assert (merge["state"], merge["facts"]["ref"]) == ("landed", "refs/heads/main")
    assert mine.git("log", "-1", "--format=%an %cn %P") == f"worker Ursula {head}"
    assert mine.status() == "M  b.txt\n M loose.txt"
    assert (mine.read("a.txt"), mine.read("new.txt")) == ("agent\n", "new\n")

    undone = await stage.call("merge.undo", agent_id=agent)
    assert undone["state"] == "undone"
    assert mine.git("log", "-1", "--format=%s") == "Take the work of worker back"
    assert mine.git("diff", "--name-only", head, "HEAD") == ""
    assert mine.status() == "M  b.txt\n M loose.txt"
    assert mine.read("a.txt") == "a\n"


async def test_all_commits_are_kept_by_a_merge_and_uncommitted_work_is_one_more(stage, mine):
    agent = await agent_who(stage, "write")
    merge = await land(stage, agent, "commits", squash=False, include_uncommitted=True)
    assert merge["state"] == "landed"
    assert mine.git("log", "-1", "--format=%an", "HEAD^2") == "worker"
    assert mine.git("rev-list", "--count", "HEAD") == "3"
    assert mine.status() == ""


@pytest.mark.parametrize("how", ["staged", "changed", "detached"])
async def test_commits_are_refused_where_they_cannot_follow(stage, mine, how):
    agent = await agent_who(stage, "commit")
    if how == "detached":
        mine.git("checkout", "--quiet", "--detach")
    else:
        mine.write({"a.txt": "mine\n"})
    if how == "staged":
        mine.git("add", "a.txt")
    before = (mine.git("rev-parse", "HEAD"), mine.status(), mine.read("a.txt"))
    merge = await land(stage, agent, "commits")
    assert merge["state"] == "refused"
    assert merge["files"] == ([] if how == "detached" else ["a.txt"])
    assert (mine.git("rev-parse", "HEAD"), mine.status(), mine.read("a.txt")) == before


async def test_further_work_lands_on_what_landed_before(stage, mine):
    agent = await agent_who(stage, "commit")
    await land(stage, agent, "commits")
    folder = Path((await stage.call("fleet.list"))["fleets"][0]["project"])
    assert folder == mine.top
    place = next((stage.path.parent / "worktrees").glob("flt_*/worker"))
    mine.commit({"a.txt": "agent, again\n"}, at=place)
    merge = await land(stage, agent, "commits")
    assert (merge["state"], merge["files"], mine.read("a.txt")) == ("landed", ["a.txt"], "agent, again\n")


async def test_what_was_changed_since_is_not_reverted(stage, mine):
    agent = await agent_who(stage, "commit")
    await land(stage, agent, "commits")
    mine.commit({"a.txt": "mine since\n"})
    kept = await stage.call("merge.undo", agent_id=agent)
    assert (kept["state"], kept["facts"]["undo_why"]) == ("landed", "HEAD has these otherwise by now: a.txt.")


async def test_check_is_run_on_the_commit_that_lands(stage, mine):
    agent = await agent_who(stage, "commit")
    mine.write({"loose.txt": "unstaged\n"})
    merge = await land(stage, agent, "commits", check="test $(cat loose.txt) = l && test $(cat a.txt) = agent")
    assert merge["state"] == "landed"

"""Agents in worktrees of their own, on real git: made, kept, removed, brought back; the user's checkout untouched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.hosts.scripted.host import BUILD
from muster.model.actor import SYSTEM
from muster.model.facts import Persona, Terms
from muster.model.worktree import Beginning, Isolation, Recipe
from repositories import commit, repository, say, seen, users_own
from unit.stage import Clock, Stage, at_work, hub, refused, rows

PLAN = Persona(name="plan", description="Looks.", mode="primary", source="built-in", edits=False)


class Cast:
    """Agents that do in their directory what their prompt says; `hold` works until it is cut."""

    def __init__(self) -> None:
        self.directories: list[Path] = []

    async def play(self, wish: TurnWish) -> Reply:
        there = Path(wish.directory)
        self.directories.append(there)
        verb, _, rest = wish.parts[-1].partition(" ")
        match verb:
            case "write" | "hold":
                (there / (rest or "new.txt")).write_text(f"by {there.name}\n")
            case "commit":
                commit(there, "mine", **{rest: f"by {there.name}\n"})
        if verb == "hold":
            await anyio.sleep_forever()
        return Reply(output=wish.parts[-1])


@asynccontextmanager
async def working(tmp_path: Path, **terms: Any) -> AsyncIterator[tuple[Stage, Cast]]:
    """Nothing lands by itself unless a test wants that."""
    cast, terms = Cast(), {"land_when_quiet": False} | terms
    host = ScriptedHost(cast.play, personas=(BUILD, PLAN))
    async with (
        host,
        hub(tmp_path, host, Clock(), terms=Terms(**terms)) as stage,
        at_work(stage),
    ):
        yield stage, cast


async def worktree(stage: Stage, fleet: dict[str, Any], index: int = 0) -> dict[str, Any]:
    status = await stage.call("fleet.status", fleet_id=fleet["fleet_id"])
    own: dict[str, Any] = status["agents"][index]["worktree"]
    return own


async def test_each_agent_works_on_a_branch_of_its_own_and_the_users_checkout_stays_as_it_was(tmp_path):
    project = tmp_path / "project"
    head = repository(project, f="one\n")
    (project / "f").write_text("the user's\n")
    (project / "notes").write_text("untracked\n")
    say(project, "add", "f")
    before = users_own(project)
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("commit a", "write f", "commit f", "write README")
        assert (await stage.settled(fleet["fleet_id"]))["status"] == "complete"
        listed = (await stage.call("worktree.list", fleet_id=fleet["fleet_id"]))["worktrees"]
        assert sorted(row["folder"] for row in listed) == sorted(map(str, cast.directories))
        assert {row["base"] for row in listed} == {head}
        assert users_own(project) == before
        for row in listed:
            assert seen(project, row["branch"], "README") == "hello"
            assert say(project, "rev-parse", row["ref"]) == row["snapshot"]
        contents = {row["name"]: seen(project, row["snapshot"], "f") for row in listed}
        assert contents == {"worker": "one", "worker-2": "by worker-2", "worker-3": "by worker-3", "worker-4": "one"}


async def test_fleet_is_not_complete_before_each_agents_work_is_kept(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("write a", "write b")
        quiet = await stage.until("fleet.quieted", status="complete")
        kept = [entry for entry in await stage.events("worktree.snapshotted") if entry["cursor"] < quiet.cursor]
        assert {entry["agent"] for entry in kept} == set(fleet["agent_ids"])
        assert len(await stage.events("fleet.quieted")) == 1


async def test_persona_that_may_not_edit_works_in_the_shared_checkout(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, cast):
        agents = [{"role": "worker", "prompt": "look"}, {"role": "looker", "prompt": "look", "agent": "plan"}]
        fleet = await stage.call("fleet.spawn", agents=agents, project=str(stage.project))
        await stage.settled(fleet["fleet_id"])
        assert await worktree(stage, fleet, 1) is None
        assert stage.project in cast.directories
        assert any("1 of 2 agents work in worktrees" in note for note in fleet["notes"])
        assert any("shared checkout" in note for note in fleet["notes"])


async def test_without_git_agents_share_the_directory_and_the_answer_says_so(tmp_path):
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("write a")
        await stage.settled(fleet["fleet_id"])
        assert cast.directories == [stage.project]
        assert "no git repository" in fleet["notes"][0]


async def test_isolation_that_was_asked_for_and_cannot_be_had_is_an_error_that_leaves_nothing(tmp_path):
    async with working(tmp_path) as (stage, _):
        wish = {"role": "worker", "prompt": "x", "worktree": True}
        with refused("bad_value") as caught:
            await stage.call("fleet.spawn", agents=[wish], project=str(stage.project))
        assert caught.value.facts["field"] == "agents[0].worktree"
        assert rows(stage.path, "fleets") == []
    async with working(tmp_path, isolation=Isolation.ALWAYS) as (stage, _):
        with refused("bad_value"):
            await stage.spawn("x")


@pytest.mark.parametrize("how", ["wish", "setting"])
async def test_who_wants_no_worktree_gets_none(tmp_path, how):
    repository(tmp_path / "project")
    isolation = Isolation.NEVER if how == "setting" else Isolation.ALWAYS
    async with working(tmp_path, isolation=isolation) as (stage, cast):
        wish = {"role": "worker", "prompt": "look"} | ({} if how == "setting" else {"worktree": False})
        fleet = await stage.call("fleet.spawn", agents=[wish], project=str(stage.project))
        await stage.settled(fleet["fleet_id"])
        assert cast.directories == [stage.project]


async def test_agent_that_is_attached_begins_where_the_project_stands_then(tmp_path):
    project = tmp_path / "project"
    repository(project)
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("write a")
        await stage.settled(fleet["fleet_id"])
        newer = commit(project, "more", g="g\n")
        stage.clock.advance(seconds=1)
        joined = await stage.call("agent.attach", fleet_id=fleet["fleet_id"], role="late", prompt="write b")
        await stage.settled(fleet["fleet_id"])
        late = (await stage.call("worktree.list", fleet_id=fleet["fleet_id"]))["worktrees"][0]
        assert (late["base"], late["folder"]) == (newer, joined["worktree"])


async def test_repository_that_git_refuses_fails_the_agent_with_gits_words(tmp_path):
    repository(tmp_path / "project")
    (tmp_path / "project" / ".git" / "HEAD").write_text("nonsense\n")
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("write a")
        results = await stage.settled(fleet["fleet_id"])
        assert (results["status"], cast.directories) == ("failed", [])
        assert "git" in results["results"][0]["error"]
        assert (await worktree(stage, fleet))["state"] == "failed"


@pytest.mark.parametrize("begins_as", Beginning)
async def test_agent_begins_at_head_or_with_the_users_unfinished_work(tmp_path, begins_as):
    project = tmp_path / "project"
    repository(project, f="one\n")
    (project / "f").write_text("unfinished\n")
    before = users_own(project)
    async with working(tmp_path, recipe=Recipe(begins_as=begins_as)) as (stage, cast):
        fleet = await stage.spawn("look", "look")
        await stage.settled(fleet["fleet_id"])
        expected = "one\n" if begins_as is Beginning.HEAD else "unfinished\n"
        assert {(there / "f").read_text() for there in cast.directories} == {expected}
        assert len({row["base"] for row in (await stage.call("worktree.list"))["worktrees"]}) == 1
        assert users_own(project) == before


async def test_agent_works_in_the_subfolder_in_which_its_spawner_stood(tmp_path):
    repository(tmp_path / "project", **{"pkg/a/f": "x\n"})
    untracked = tmp_path / "project" / "pkg" / "b"
    untracked.mkdir()
    async with working(tmp_path) as (stage, cast):
        for inside in ("pkg/a", "pkg/b"):
            where = str(stage.project / inside)
            fleet = await stage.call("fleet.spawn", agents=[{"role": "w", "prompt": "write new"}], project=where)
            await stage.settled(fleet["fleet_id"])
            own = await worktree(stage, fleet)
            assert cast.directories[-1] == Path(own["folder"]) / inside
            assert seen(stage.project, own["snapshot"], f"{inside}/new")


async def test_repository_without_a_commit_and_one_with_a_detached_head_are_worked_in(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    say(project, "init", "--quiet")
    async with working(tmp_path) as (stage, _):
        empty = await stage.spawn("commit a")
        done = await stage.settled(empty["fleet_id"])
        assert done["status"] == "complete", done["results"][0]["error"]
        head = commit(project, "first", f="f\n")
        say(project, "checkout", "--quiet", "--detach")
        detached = await stage.spawn("commit b")
        assert (await stage.settled(detached["fleet_id"]))["status"] == "complete"
        assert (await stage.call("worktree.list"))["worktrees"][0]["base"] == head


async def test_linked_worktree_of_the_users_is_a_project_of_its_own(tmp_path):
    main = tmp_path / "main"
    repository(main)
    say(main, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "project"))
    tip = commit(tmp_path / "project", "side", s="s\n")
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("write a")
        await stage.settled(fleet["fleet_id"])
        assert (cast.directories[0] / "s").read_text() == "s\n"
        assert (await stage.call("worktree.list"))["worktrees"][0]["base"] == tip


async def test_new_worktree_has_the_files_and_the_setup_that_the_project_wants(tmp_path):
    project = tmp_path / "project"
    repository(project, **{".gitignore": ".env\nnode_modules/\n"})
    (project / ".env").write_text("SECRET=1\n")
    (project / "node_modules" / "lib").mkdir(parents=True)
    recipe = Recipe(
        setup=("echo $MUSTER_BRANCH > made", "test -f made"), copy=(".env", "absent"), link=("node_modules",)
    )
    async with working(tmp_path, recipe=recipe) as (stage, cast):
        fleet = await stage.spawn("look")
        await stage.settled(fleet["fleet_id"])
        there, own = cast.directories[0], await worktree(stage, fleet)
        assert (there / ".env").read_text() == "SECRET=1\n"
        assert (there / "node_modules" / "lib").resolve() == project / "node_modules" / "lib"
        assert (there / "made").read_text() == f"{own['branch']}\n"
        assert say(there, "status", "--porcelain") == "?? made"


async def test_setup_that_fails_fails_the_agent_and_tells_what_it_printed(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path, recipe=Recipe(setup=("echo no network; exit 3",))) as (stage, cast):
        fleet = await stage.spawn("look")
        (result,) = (await stage.settled(fleet["fleet_id"]))["results"]
        assert (result["status"], cast.directories) == ("failed", [])
        assert "exit code 3" in result["error"]
        assert "no network" in result["error"]


async def test_copy_through_a_link_out_of_the_repository_is_refused(tmp_path):
    project, outside = tmp_path / "project", tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text("secret")
    repository(project)
    (project / "way").symlink_to(outside)
    async with working(tmp_path, recipe=Recipe(copy=("way/key",))) as (stage, _):
        fleet = await stage.spawn("look")
        (result,) = (await stage.settled(fleet["fleet_id"]))["results"]
        assert result["status"] == "failed"
        assert "outside" in result["error"]


async def test_work_is_kept_every_five_minutes_and_once_more_when_nothing_changed_costs_nothing(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("hold a.txt")
        (agent,) = fleet["agent_ids"]
        started = await stage.until("run.started", agent=agent)
        assert await stage.events("worktree.snapshotted") == []
        stage.clock.advance(minutes=6)
        await stage.call("message.send", to_agent_id=agent, type="alert", payload="go on")
        first = await stage.until("worktree.snapshotted", agent=agent)
        assert (first.body["why"], first.cursor > started.cursor) == ("work", True)
        assert seen(stage.project, first.body["commit"], "a.txt") == "by worker"
        await stage.call("fleet.cancel", fleet_id=fleet["fleet_id"])
        await stage.until("run.ended", agent=agent)
        page = await stage.call("worktree.snapshots", agent_id=agent)
        assert [row["why"] for row in page["snapshots"]] == ["work"]


async def test_agent_that_is_cancelled_is_kept_before_it_is_stopped(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("hold a.txt")
        (agent,) = fleet["agent_ids"]
        await stage.until("turn.sent", agent=agent)
        await stage.call("agent.cancel", agent_id=agent)
        kept = await stage.until("worktree.snapshotted", agent=agent)
        ended = await stage.until("run.ended", agent=agent)
        assert (kept.body["why"], kept.cursor < ended.cursor) == ("cut", True)
        assert seen(stage.project, kept.body["commit"], "a.txt") == "by worker"


async def test_snapshot_that_cannot_be_taken_is_told_holds_nobody_up_and_lets_nothing_be_removed(tmp_path):
    repository(tmp_path / "project")
    (tmp_path / "git").write_text("no folder can be made here")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("write a")
        (agent,) = fleet["agent_ids"]
        assert (await stage.settled(fleet["fleet_id"]))["status"] == "complete"
        own = await worktree(stage, fleet)
        assert (own["state"], bool(own["error"])) == ("ready", True)
        health = await stage.call("hub.health")
        (part,) = [part for part in health["parts"] if part["part"] == "worktrees"]
        assert part["state"] == "warning"
        asked = await stage.call("worktree.brief", agent_id=agent)
        assert asked["error"] == own["error"]
        with anyio.move_on_after(1):
            await stage.call("worktree.remove", agent_id=agent)
        assert Path(own["folder"]).is_dir()


async def test_removed_worktree_leaves_branch_and_snapshot_and_comes_back_when_its_agent_is_woken(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("commit mine")
        (agent,) = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        there = cast.directories[0]
        (there / "unfinished").write_text("half\n")
        (there / "README").unlink()
        removed = await stage.call("worktree.remove", agent_id=agent)
        assert (removed["state"], removed["settled"], there.exists()) == ("removed", True, False)
        assert seen(stage.project, removed["branch"], "mine") == "by worker"
        assert seen(stage.project, removed["snapshot"], "unfinished") == "half"
        assert stage.host.forgotten == [str(there)]
        await stage.call("message.send", to_agent_id=agent, type="question", payload="and now?")
        await stage.until("delivery.seen", agent=agent)
        assert (there / "unfinished").read_text() == "half\n"
        assert not (there / "README").exists()
        assert say(there, "log", "-1", "--format=%s") == "mine"


async def test_worktree_of_an_agent_at_work_is_not_removed(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("hold a")
        await stage.until("run.started", agent=fleet["agent_ids"][0])
        with refused("conflict"):
            await stage.call("worktree.remove", agent_id=fleet["agent_ids"][0])


async def test_folder_that_somebody_deleted_is_made_again_for_the_next_run(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("write a")
        (agent,) = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        there = cast.directories[0]
        await stage.call("worktree.remove", agent_id=agent)
        await stage.call("message.send", to_agent_id=agent, type="question", payload="again?")
        await stage.until("worktree.recalled", agent=agent)
        await stage.settled(fleet["fleet_id"])
        assert (there / "a").read_text() == "by worker\n"


async def test_snapshot_is_restored_as_a_folder_and_as_a_branch_and_nothing_is_written_over(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("write a")
        (agent,) = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        target = tmp_path / "back"
        done = await stage.call("worktree.restore", agent_id=agent, folder=str(target))
        assert (done["state"], (target / "a").read_text()) == ("done", "by worker\n")
        again = await stage.call("worktree.restore", agent_id=agent, folder=str(target))
        assert (again["state"], bool(again["error"])) == ("failed", True)
        branched = await stage.call("worktree.restore", agent_id=agent, branch="rescue")
        assert (branched["state"], seen(stage.project, "rescue", "a")) == ("done", "by worker")
        with refused("not_found"):
            await stage.call("worktree.restore", agent_id=agent, commit="deadbeef", branch="other")


async def test_snapshots_are_dropped_only_after_they_were_listed_and_the_folder_is_gone(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("write a")
        (agent,) = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        listed = await stage.call("worktree.drop", agent_id=agent)
        assert (len(listed["snapshots"]), listed["errand_id"]) == (1, None)
        with refused("conflict"):
            await stage.call("worktree.drop", agent_id=agent, token=listed["token"])
        await stage.call("worktree.remove", agent_id=agent)
        with refused("conflict"):
            await stage.call("worktree.drop", agent_id=agent, token="another")
        dropped = await stage.call("worktree.drop", agent_id=agent, token=listed["token"])
        await stage.until("errand.ended", errand=dropped["errand_id"])
        assert say(stage.project, "for-each-ref", listed["ref"], f"refs/heads/{listed['branch']}") == ""
        assert (await stage.call("worktree.snapshots", agent_id=agent))["snapshots"] == []


async def test_worktree_that_no_row_knows_is_kept_told_of_and_removed(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, cast):
        fleet = await stage.spawn("write a")
        await stage.settled(fleet["fleet_id"])
        there = cast.directories[0]
    (there / "later").write_text("later\n")
    for name in ("muster.db", "muster.db-wal", "muster.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with working(tmp_path) as (stage, _):
        found = await stage.until("worktree.found", folder=str(there))
        assert found.body["error"] is None
        assert not there.exists()
        assert seen(stage.project, found.body["ref"], "later") == "later"


async def test_agents_that_share_a_checkout_say_nothing_of_branches_and_those_apart_know_theirs(tmp_path):
    repository(tmp_path / "project")
    async with working(tmp_path) as (stage, _):
        fleet = await stage.spawn("look")
        await stage.settled(fleet["fleet_id"])
        own = await worktree(stage, fleet)
        (first,) = rows(stage.path, "turns")
        assert own["branch"] in first["preamble"]
        assert "share this checkout" not in first["preamble"]
        seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=fleet["agent_ids"][0])
        assert seat.branch == own["branch"]


@pytest.mark.parametrize("ignored", [False, True])
async def test_hosts_configuration_comes_along_uncommitted_and_lands_nowhere(tmp_path, ignored):
    project = tmp_path / "project"
    repository(project)
    if ignored:
        commit(project, "ignore", **{".gitignore": ".opencode\n"})
    poet = Persona(name="poet", description="", mode="primary", source=str(project / ".opencode" / "agent" / "poet.md"))
    (project / ".opencode" / "agent").mkdir(parents=True)
    Path(poet.source).write_text("---\npermission: {bash: deny}\n---\n")
    before, cast = users_own(project), Cast()
    host = ScriptedHost(cast.play, personas=(BUILD, poet))
    async with host, hub(tmp_path, host, Clock(), terms=Terms()) as stage, at_work(stage):
        wish = {"role": "worker", "prompt": "commit mine.txt", "agent": "poet"}
        results = await stage.settled(
            (await stage.call("fleet.spawn", agents=[wish], project=str(project)))["fleet_id"]
        )
        (there,) = cast.directories
        assert there != project
        assert (there / ".opencode" / "agent" / "poet.md").read_text() == Path(poet.source).read_text()
        assert results["results"][0]["merge"]["files"] == ["mine.txt"]
        (project / "mine.txt").unlink()
        assert users_own(project) == before
        merge = await stage.call("merge.land", agent_id=results["results"][0]["agent_id"], land_as="branch")
        assert merge["files"] == ["mine.txt"]

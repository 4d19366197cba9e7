"""What agents do lands in the user's files, is refused, or is taken back; nothing else of the user's moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from muster import engine
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.facts import Terms
from muster.reconcilers import merges as merges_module
from unit.git.repositories import Repository, repository
from unit.reconcilers.hands import Hands
from unit.stage import Clock, Stage, at_work, hub, refused, rows

pytestmark = pytest.mark.anyio

LINES = "".join(f"line {number}\n" for number in range(1, 21))


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def mine(tmp_path: Path) -> Repository:
    files = {"a.txt": LINES, "b.txt": "b\n", "staged.txt": "s\n", "loose.txt": "l\n", ".gitignore": "*.log\n"}
    return repository(tmp_path, files)


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock, hands: Hands, mine: Repository) -> AsyncIterator[Stage]:
    async with ScriptedHost(hands.play) as host, hub(tmp_path, host, clock) as stage:
        yield stage


def writing(mine: Repository, files: dict[str, str | None], *, commits: bool = False) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        if commits:
            mine.commit(files, at=folder)
        else:
            mine.write(files, at=folder)

    return work


def with_line(number: int, text: str) -> str:
    return LINES.replace(f"line {number}\n", f"{text}\n")


def state_of(mine: Repository) -> dict[str, Any]:
    """All of the user's that no merge may move: index, HEAD, stash, refs of the user's, and every file's bytes."""
    return {
        "index": mine.git("ls-files", "--stage"),
        "head": mine.git("rev-parse", "HEAD") + (mine.top / ".git" / "HEAD").read_text(),
        "stash": mine.git("stash", "list"),
        "branches": mine.git("for-each-ref", "refs/heads", "--exclude=refs/heads/muster", fails=True),
        "files": files_of(mine),
    }


def files_of(mine: Repository) -> dict[str, bytes]:
    return {
        str(file.relative_to(mine.top)): file.read_bytes()
        for file in mine.top.rglob("*")
        if file.is_file() and ".git" not in file.relative_to(mine.top).parts
    }


def dirty(mine: Repository) -> None:
    """Staged, unstaged, untracked, ignored, stashed."""
    mine.write({"b.txt": "stashed\n"})
    mine.git("stash", "--quiet")
    mine.write({"staged.txt": "mine, staged\n"})
    mine.git("add", "staged.txt")
    mine.write({"loose.txt": "mine, unstaged\n", "new of mine.txt": "untracked\n", "keep.log": "ignored\n"})


@asynccontextmanager
async def lands_nothing(tmp_path: Path, clock: Clock, hands: Hands) -> AsyncIterator[Stage]:
    """A hub at work whose fleets land nothing by themselves."""
    terms = Terms(land_when_quiet=False)
    async with ScriptedHost(hands.play) as host, hub(tmp_path, host, clock, terms=terms) as stage, at_work(stage):
        yield stage


async def fleet_of(stage: Stage, *prompts: str, **rest: Any) -> dict[str, Any]:
    """A fleet, through."""
    fleet = await stage.spawn(*prompts, **rest)
    return fleet | await stage.settled(fleet["fleet_id"])


def merge_in(results: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = results["results"][index]["merge"]
    return found


async def test_work_lands_when_the_fleet_goes_quiet_and_nothing_else_of_the_users_moves(stage, hands, mine):
    dirty(mine)
    before = state_of(mine)
    hands.work["do"] = writing(mine, {"a.txt": with_line(3, "agent"), "sub/new.py": "print()\n", "b.txt": None})
    async with at_work(stage):
        results = await fleet_of(stage, "do")
    assert results["status"] == "complete"
    merge = merge_in(results)
    assert (merge["state"], sorted(merge["files"])) == ("landed", ["a.txt", "b.txt", "sub/new.py"])
    after = state_of(mine)
    landed = {"a.txt": with_line(3, "agent").encode(), "sub/new.py": b"print()\n"}
    kept = {path: content for path, content in before["files"].items() if path != "b.txt"}
    assert after == before | {"files": kept | landed}


async def test_two_agents_who_change_one_file_on_different_lines_both_land(stage, hands, mine):
    hands.work["one"] = writing(mine, {"a.txt": with_line(2, "alice")}, commits=True)
    hands.work["two"] = writing(mine, {"a.txt": with_line(18, "bob")})
    async with at_work(stage):
        results = await fleet_of(stage, "one", "two")
    assert [merge_in(results, index)["state"] for index in range(2)] == ["landed", "landed"]
    told = (mine.top / "a.txt").read_text()
    assert told == with_line(2, "alice").replace("line 18\n", "bob\n")


async def test_fleet_is_running_until_what_it_did_has_landed(stage, hands, mine):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n"})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        names = [event["name"] for event in await stage.events(fleet_id=fleet["fleet_id"])]
    assert names.index("run.ended") < names.index("merge.requested") < names.index("merge.landed")
    assert names.index("merge.landed") < names.index("fleet.quieted")
    assert names.count("fleet.quieted") == 1


async def test_agent_that_changed_nothing_has_nothing_to_land(stage, mine):
    async with at_work(stage):
        results = await fleet_of(stage, "think")
    assert merge_in(results) == {"state": "empty", "files": [], "facts": {}}


async def test_further_work_lands_at_the_next_quiet_and_only_it(stage, hands, mine):
    hands.work["do"] = writing(mine, {"a.txt": with_line(3, "first")})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        mine.commit({}, at=mine.top)  # the user takes it over
        agent = fleet["agent_ids"][0]
        folder = Path(rows(stage.path, "agents")[0]["directory"])
        mine.write({"b.txt": "second\n"}, at=folder)
        await stage.call("message.send", to_agent_id=agent, type="handoff", payload="go on")
        results = await stage.settled(fleet["fleet_id"])
    assert merge_in(results) == {"state": "landed", "files": ["b.txt"], "facts": {}}
    assert (mine.top / "b.txt").read_text() == "second\n"


async def test_file_that_the_user_changed_is_left_alone_and_named(stage, hands, mine):
    hands.work["do"] = writing(mine, {"a.txt": with_line(3, "agent"), "b.txt": "agent\n"})
    mine.write({"a.txt": with_line(12, "mine")})
    before = state_of(mine)
    async with at_work(stage):
        results = await fleet_of(stage, "do")
    merge = merge_in(results)
    assert (results["status"], merge["state"], merge["files"]) == ("complete", "refused", ["a.txt"])
    assert merge["facts"]["obstacles"][0]["path"] == "a.txt"
    assert f"muster merge {results['agent_ids'][0]}" in merge["facts"]["next"]
    assert state_of(mine) == before


async def test_conflict_is_told_with_both_sides_and_stops_nobody_else(stage, hands, mine):
    hands.work["one"] = writing(mine, {"a.txt": with_line(5, "alice")})
    hands.work["two"] = writing(mine, {"a.txt": with_line(5, "bob")})
    hands.work["three"] = writing(mine, {"b.txt": "carol\n"})
    async with at_work(stage):
        results = await fleet_of(stage, "one", "two", "three")
        merges = [merge_in(results, index) for index in range(3)]
        states = sorted(merge["state"] for merge in merges)
        assert (results["status"], states) == ("complete", ["conflicted", "landed", "landed"])
        (conflicted,) = [index for index, merge in enumerate(merges) if merge["state"] == "conflicted"]
        (side,) = merges[conflicted]["facts"]["sides"]
        assert {side["ours"].strip(), side["theirs"].strip()} == {"alice", "bob"}
        loser, winner = results["agent_ids"][conflicted], results["agent_ids"][1 - conflicted]
        await stage.call("merge.undo", agent_id=winner)
        landed = await stage.call("merge.land", agent_id=loser, include_uncommitted=True)
    assert (landed["state"], landed["settled"]) == ("landed", True)
    assert (mine.top / "b.txt").read_text() == "carol\n"


@pytest.mark.parametrize("what", ["merge", "rebase", "cherry-pick", "bisect"])
async def test_nothing_moves_while_the_user_is_in_the_midst_of(stage, hands, mine, what):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n"})
    mine.git("branch", "other")
    mine.commit({"a.txt": with_line(1, "mine")})
    mine.git("checkout", "--quiet", "other")
    mine.commit({"a.txt": with_line(1, "theirs")})
    words = {"bisect": ["bisect", "start"], "merge": ["merge", "main"], "rebase": ["rebase", "main"]}
    mine.git(*words.get(what, ["cherry-pick", "main"]), fails=True)
    before = state_of(mine)
    async with at_work(stage):
        results = await fleet_of(stage, "do")
    assert merge_in(results)["state"] == "refused"
    assert what in merge_in(results)["facts"]["why"]
    assert state_of(mine) == before


async def test_uncommitted_work_is_landed_only_where_that_is_said(tmp_path, clock, hands, mine):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n"})
    async with lands_nothing(tmp_path, clock, hands) as stage:
        fleet = await fleet_of(stage, "do")
        (agent,) = fleet["agent_ids"]
        assert merge_in(fleet) is None
        refusal = await stage.call("merge.land", agent_id=agent)
        assert (refusal["state"], refusal["files"]) == ("refused", ["b.txt"])
        assert refusal["facts"]["next"].startswith(f"`muster merge {agent} --include-uncommitted`")
        landed = await stage.call("merge.land", agent_id=agent, include_uncommitted=True)
        assert (landed["state"], landed["files"]) == ("landed", ["b.txt"])
        again = await stage.call("merge.land", agent_id=agent, include_uncommitted=True)
        assert again["state"] == "empty"


async def test_commits_of_an_agent_that_is_cut_off_land_when_the_operator_says_so(stage, hands, mine):
    """Case 33: its last commit counts, and nothing lands by itself after a cancellation."""
    hands.work["hold on"] = writing(mine, {"b.txt": "agent\n"}, commits=True)
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        (agent,) = fleet["agent_ids"]
        await stage.until("run.started", agent=agent)
        await hands.worked.wait()
        await stage.call("fleet.cancel", fleet_id=fleet["fleet_id"])
        results = await stage.settled(fleet["fleet_id"])
        assert (results["status"], merge_in(results)) == ("cancelled", None)
        landed = await stage.call("merge.land", agent_id=agent)
    assert (landed["state"], landed["files"]) == ("landed", ["b.txt"])


async def test_failed_agents_work_waits_for_the_operators_word(stage, hands, mine):
    hands.work["fail now"] = writing(mine, {"b.txt": "half\n"})
    before = state_of(mine)
    async with at_work(stage):
        results = await fleet_of(stage, "fail now")
        assert (results["status"], merge_in(results)["state"]) == ("failed", "refused")
        assert state_of(mine) == before
        landed = await stage.call("merge.land", agent_id=results["agent_ids"][0], include_uncommitted=True)
    assert landed["state"] == "landed"


async def test_files_that_run_by_themselves_land_on_the_operators_word_only(stage, hands, mine):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n", ".envrc": "rm -rf /\n"})
    before = state_of(mine)
    async with at_work(stage):
        results = await fleet_of(stage, "do")
        merge = merge_in(results)
        assert (merge["state"], merge["facts"]["runs_by_itself"]) == ("refused", [".envrc"])
        assert state_of(mine) == before
        landed = await stage.call("merge.land", agent_id=results["agent_ids"][0], include_uncommitted=True)
    assert (landed["state"], landed["facts"]["runs_by_itself"]) == ("landed", [".envrc"])


async def test_undo_gives_back_exactly_what_was_there(stage, hands, mine):
    dirty(mine)
    before = state_of(mine)
    hands.work["do"] = writing(mine, {"a.txt": "agent\n", "x/y/new.txt": "new\n", "b.txt": None, "ünï\tq.txt": "u\n"})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        undone = await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
        assert (undone["state"], undone["facts"].get("kept"), undone["settled"]) == ("undone", None, True)
        assert state_of(mine) == before
        assert not (mine.top / "x").exists()
        with refused("not_found"):
            await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
        landed = await stage.call("merge.land", agent_id=fleet["agent_ids"][0], include_uncommitted=True)
        assert landed["state"] == "landed"


async def test_undo_leaves_what_the_user_changed_since_and_names_it(stage, hands, mine):
    hands.work["do"] = writing(mine, {"a.txt": "agent\n", "b.txt": "agent\n"})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        mine.write({"a.txt": "agent, and mine\n"})
        undone = await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
        assert (undone["state"], [one["path"] for one in undone["facts"]["kept"]]) == ("undone", ["a.txt"])
        assert ((mine.top / "a.txt").read_text(), (mine.top / "b.txt").read_text()) == ("agent, and mine\n", "b\n")
        mine.write({"a.txt": "agent\n"})
        again = await stage.call("merge.undo", merge_id=undone["merge_id"])
        assert (again["state"], again["facts"].get("kept")) == ("undone", None)
    assert (mine.top / "a.txt").read_text() == LINES


async def test_merge_that_another_stands_on_is_undone_after_it(stage, hands, mine):
    hands.work["one"] = writing(mine, {"a.txt": with_line(2, "alice")})
    hands.work["two"] = writing(mine, {"a.txt": with_line(18, "bob")})
    async with at_work(stage):
        fleet = await fleet_of(stage, "one", "two")
        merges = (await stage.call("merge.list", fleet_id=fleet["fleet_id"]))["merges"]
        later, earlier = (merge["merge_id"] for merge in merges)
        with refused("conflict"):
            await stage.call("merge.undo", merge_id=earlier)
        for merge in (later, earlier):
            assert (await stage.call("merge.undo", merge_id=merge))["state"] == "undone"
    assert (mine.top / "a.txt").read_text() == LINES


async def test_undo_waits_for_a_rebase_of_the_users(stage, hands, mine):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n"})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        mine.git("bisect", "start")
        told = await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
        assert (told["state"], "bisect" in told["facts"]["undo_why"]) == ("landed", True)
        mine.git("bisect", "reset")
        assert (await stage.call("merge.undo", agent_id=fleet["agent_ids"][0]))["state"] == "undone"


async def test_review_shows_all_that_landed_new_files_too_until_it_is_committed(stage, hands, mine, monkeypatch):
    hands.work["one"] = writing(mine, {"a.txt": with_line(2, "alice"), "new.txt": "new\n"})
    hands.work["two"] = writing(mine, {"a.txt": with_line(18, "bob")})
    async with at_work(stage):
        fleet = await fleet_of(stage, "one", "two")
        monkeypatch.setattr(engine, "READ_SECONDS", 0.0)  # what changes nothing may take its time
        found = await stage.call("merge.review", fleet_id=fleet["fleet_id"])
        assert {file["path"]: len(file["names"]) for file in found["files"]} == {"a.txt": 2, "new.txt": 1}
        for line in ("+alice", "+bob", "-line 2", "+new", "new file mode"):
            assert line in found["diff"]
        mine.commit({})
        found = await stage.call("merge.review", fleet_id=fleet["fleet_id"])
        assert ([file["committed"] for file in found["files"]], found["diff"]) == ([True, True], "")


async def test_setting_keeps_work_on_its_branch_until_it_is_asked_for(tmp_path, clock, hands, mine):
    hands.work["do"] = writing(mine, {"b.txt": "agent\n"})
    before = state_of(mine)
    async with lands_nothing(tmp_path, clock, hands) as stage:
        results = await fleet_of(stage, "do")
    assert (results["status"], merge_in(results), state_of(mine)) == ("complete", None, before)


async def test_agent_in_the_shared_checkout_has_nothing_to_merge(stage, hands, mine):
    async with at_work(stage):
        agents = [{"role": "worker", "prompt": "think", "worktree": False}]
        fleet = await stage.call("fleet.spawn", agents=agents, project=str(mine.top))
        results = await stage.settled(fleet["fleet_id"])
        assert merge_in(results) is None
        with refused("conflict"):
            await stage.call("merge.land", agent_id=fleet["agent_ids"][0])


async def test_lead_is_told_what_landed_and_what_did_not(stage, hands, mine):
    hands.work["one"] = writing(mine, {"a.txt": with_line(5, "alice")})
    hands.work["two"] = writing(mine, {"a.txt": with_line(5, "bob")})
    lead = OPERATOR.leading("ses_lead", str(mine.top))
    async with at_work(stage):
        verbs = stage.engine.catalog
        await stage.engine.execute(verbs["lead.see"], SYSTEM, session="ses_lead", directory=str(mine.top), bridge="b")
        agents = [{"role": "worker", "prompt": prompt} for prompt in ("one", "two")]
        fleet = await stage.call("fleet.spawn", lead, agents=agents)
        await stage.settled(fleet["fleet_id"])
    (notice,) = rows(stage.path, "notices")
    assert "; landed, 1 file" in notice["text"]
    assert '; not landed, conflicted: "a.txt" (`muster merge agt_' in notice["text"]


@pytest.mark.parametrize("point", ["merge.compute:kept", "merge.write:written", "merge.take_back:undone"])
async def test_step_that_was_done_and_not_reported_is_found_done(stage, hands, mine, monkeypatch, point):
    left = [point]

    def once(name: str) -> None:
        if name in left:
            left.remove(name)
            raise RuntimeError("the power is gone")

    monkeypatch.setattr(merges_module, "checkpoint", once)
    before = state_of(mine)
    hands.work["do"] = writing(mine, {"a.txt": "agent\n", "new.txt": "new\n", "b.txt": None})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        assert merge_in(fleet)["state"] == "landed"
        undone = await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
    assert (undone["state"], left, state_of(mine)) == ("undone", [], before)


async def test_nothing_is_written_once_the_user_has_begun_something(stage, hands, mine, monkeypatch):
    """Between the plan and its writing a hub may have been down for days."""
    before = files_of(mine)
    monkeypatch.setattr(merges_module, "checkpoint", lambda _: mine.git("bisect", "start"))
    hands.work["do"] = writing(mine, {"a.txt": "agent\n"})
    async with at_work(stage):
        merge = merge_in(await fleet_of(stage, "do"))
    assert merge["state"] == "refused"
    assert "bisect" in merge["facts"]["obstacles"][0]["why"]
    assert files_of(mine) == before


async def test_landing_that_is_stopped_names_what_stands_and_can_be_undone(stage, hands, mine, monkeypatch):
    """The user writes to a file of the plan in the moment between the plan and its writing."""
    before = state_of(mine)

    def meddle(name: str) -> None:
        if name == "merge.compute:kept":
            mine.write({"b.txt": "mine, just now\n"})

    monkeypatch.setattr(merges_module, "checkpoint", meddle)
    hands.work["do"] = writing(mine, {"a.txt": "agent\n", "b.txt": "agent\n"})
    async with at_work(stage):
        fleet = await fleet_of(stage, "do")
        merge = merge_in(fleet)
        assert (merge["state"], merge["files"], merge["facts"]["written"]) == ("refused", ["b.txt"], ["a.txt"])
        undone = await stage.call("merge.undo", agent_id=fleet["agent_ids"][0])
        assert undone["state"] == "undone"
    assert files_of(mine) == before["files"] | {"b.txt": b"mine, just now\n"}

"""What comes of a merge must pass a command before it lands; what fails lands nothing, and its agent hears why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.facts import Terms
from unit.git.repositories import Repository, repository
from unit.reconcilers.hands import Hands
from unit.stage import Clock, Stage, at_work, hub, rows

pytestmark = pytest.mark.anyio
SOUND = "! grep -rq red --include=*.txt . || { echo it is red; exit 1; }"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def mine(tmp_path: Path) -> Repository:
    return repository(tmp_path, {"a.txt": "a\n", "b.txt": "b\n"})


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock, hands: Hands, mine: Repository) -> AsyncIterator[Stage]:
    async with ScriptedHost(hands.play) as host, hub(tmp_path, host, clock) as stage:
        yield stage


@pytest.fixture
async def by_hand(tmp_path: Path, clock: Clock, hands: Hands, mine: Repository) -> AsyncIterator[Stage]:
    """Nothing lands by itself."""
    terms = Terms(land_when_quiet=False)
    async with ScriptedHost(hands.play) as host, hub(tmp_path, host, clock, terms=terms) as stage:
        yield stage


def writing(mine: Repository, files: dict[str, str | None]) -> Any:
    return lambda folder: mine.write(files, at=folder)


async def fleet_of(stage: Stage, *prompts: str) -> dict[str, Any]:
    fleet = await stage.spawn(*prompts)
    return fleet | await stage.settled(fleet["fleet_id"])


def tries(tmp_path: Path) -> list[str]:
    told = tmp_path / "tries"
    return told.read_text().splitlines() if told.exists() else []


def noting(tmp_path: Path) -> str:
    """The check, which leaves a line for each time with the files that it saw."""
    return f"echo $(cat *.txt) >> {tmp_path}/tries; {SOUND}"


async def test_green_check_sees_what_comes_of_it_and_it_lands(by_hand, hands, mine, tmp_path):
    hands.work["do"] = writing(mine, {"a.txt": "agent\n"})
    mine.commit({"b.txt": "mine since\n"})
    async with at_work(by_hand):
        fleet = await fleet_of(by_hand, "do")
        (agent,) = fleet["agent_ids"]
        mine.commit({"b.txt": "later\n"})
        wish = {"agent_id": agent, "include_uncommitted": True, "check": noting(tmp_path)}
        merge = await by_hand.call("merge.land", **wish)
    assert (merge["state"], merge["facts"]["check"]) == ("landed", noting(tmp_path))
    assert tries(tmp_path) == ["agent later"]
    assert mine.read("a.txt") == "agent\n"
    assert mine.git("worktree", "list").count("\n") == 1


async def test_red_check_lands_nothing_and_tells_the_agent_why(by_hand, hands, mine):
    hands.work["do"] = writing(mine, {"a.txt": "red\n"})
    async with at_work(by_hand):
        fleet = await fleet_of(by_hand, "do")
        (agent,) = fleet["agent_ids"]
        merge = await by_hand.call("merge.land", agent_id=agent, include_uncommitted=True, check=SOUND)
        assert (merge["state"], merge["facts"]["output"]) == ("refused", "it is red")
        assert merge["facts"]["why"] == "with it, the check ended with exit code 1."
        await by_hand.settled(fleet["fleet_id"])
    (told,) = rows(by_hand.path, "messages")
    assert told["payload"].splitlines()[-1] == "> it is red"
    assert [row["state"] for row in rows(by_hand.path, "deliveries")] == ["seen"]
    assert mine.status() == ""


async def test_of_three_that_wait_one_is_red_and_the_others_land(stage, hands, mine, tmp_path):
    for number, text in enumerate(("one", "red", "three")):
        hands.work[text] = writing(mine, {f"{number}.txt": f"{text}\n"})
    async with at_work(stage, merge_check=noting(tmp_path)):
        results = await fleet_of(stage, "one", "red", "three")
    states = [result["merge"]["state"] for result in results["results"]]
    assert states == ["landed", "refused", "landed"]
    assert sorted(path.name for path in mine.top.glob("?.txt")) == ["0.txt", "2.txt", "a.txt", "b.txt"]
    assert tries(tmp_path)[:2] == ["one red three a b", "one a b"]
    assert "one three a b" in tries(tmp_path)


async def test_all_that_wait_are_tried_together_and_once(stage, hands, mine, tmp_path):
    for number, text in enumerate(("one", "two", "three")):
        hands.work[text] = writing(mine, {f"{number}.txt": f"{text}\n"})
    async with at_work(stage, merge_check=noting(tmp_path)):
        results = await fleet_of(stage, "one", "two", "three")
    assert [result["merge"]["state"] for result in results["results"]] == ["landed"] * 3
    assert tries(tmp_path) == ["one two three a b"]


async def test_agent_that_fails_again_by_itself_is_not_woken_again(stage, hands, mine):
    hands.work["do"] = writing(mine, {"a.txt": "red\n"})
    async with at_work(stage, merge_check=SOUND):
        results = await fleet_of(stage, "do")
    assert results["results"][0]["merge"]["state"] == "refused"
    assert [row["state"] for row in rows(stage.path, "deliveries")] == ["seen", "undeliverable"]
    assert [row["number"] for row in rows(stage.path, "runs")] == [1, 2]


async def test_user_who_commits_meanwhile_has_it_checked_anew(by_hand, hands, mine, tmp_path):
    hands.work["do"] = writing(mine, {"a.txt": "agent\n"})
    waiting = f"{noting(tmp_path)}; touch {tmp_path}/begun; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    async with at_work(by_hand):
        fleet = await fleet_of(by_hand, "do")
        (agent,) = fleet["agent_ids"]

        async def commit_meanwhile() -> None:
            with anyio.fail_after(20):
                while not (tmp_path / "begun").exists():
                    await anyio.sleep(0.02)
            mine.commit({"b.txt": "meanwhile\n"})
            (tmp_path / "go").touch()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit_meanwhile)
            merge = await by_hand.call("merge.land", agent_id=agent, include_uncommitted=True, check=waiting)
    assert merge["state"] == "landed"
    assert tries(tmp_path) == ["agent b", "agent meanwhile"]
    assert [row["put_back"] for row in rows(by_hand.path, "merges")] == [1]


async def test_check_sees_no_secrets_and_ends_in_time(by_hand, hands, mine, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "GITHUB_TOKEN", "MUSTER_AGENT_TOKEN", "DB_PASSWORD", "GIT_DIR"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HARMLESS", "shown")
    hands.work["do"] = writing(mine, {"a.txt": "agent\n"})
    async with at_work(by_hand):
        (agent,) = (await fleet_of(by_hand, "do"))["agent_ids"]
        wish = {"agent_id": agent, "include_uncommitted": True}
        merge = await by_hand.call("merge.land", **wish, check="env; exit 1")
    assert "shown" in merge["facts"]["output"]
    assert "hidden" not in merge["facts"]["output"]

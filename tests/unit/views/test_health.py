"""Every part is told, and what is to be done stands beside what is wrong."""

import shutil
from typing import NamedTuple

import pytest

from muster import facts
from muster.hosts.scripted import ScriptedHost
from muster.model.facts import Terms
from unit.commands.test_budgets import SMALL, Fleet
from unit.stage import Stage, hub

pytestmark = pytest.mark.anyio

PARTS = [
    "hub",
    "disk",
    "database",
    "journal",
    "opencode",
    "host servers",
    "queue",
    "fleets",
    "worktrees",
    "waits for you",
]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def _opencode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/opencode")


async def part(stage: Stage, name: str) -> tuple[str, str, str | None]:
    told = await stage.call("hub.health")
    (found,) = [part for part in told["parts"] if part["part"] == name]
    return found["state"], found["says"], found["next"]


async def test_hub_that_is_well_says_so_of_every_part(stage, clock):
    await stage.spawn("a", "b")
    clock.advance(minutes=5)
    told = await stage.call("hub.health")
    assert (told["state"], [part["part"] for part in told["parts"]]) == ("ok", PARTS)
    assert "up for 5 min" in (await part(stage, "hub"))[1]
    assert await part(stage, "fleets") == ("ok", "1 running, 0 paused, 0 quiet", None)
    assert await part(stage, "queue") == (
        "ok",
        "0 agents at work, 2 wait for a place, 0 for their next try",
        None,
    )


@pytest.mark.parametrize(("free", "state"), [(2**40, "ok"), (2**29, "warning"), (2**20, "broken")])
async def test_disk_that_is_nearly_full_is_the_state_of_all(stage, monkeypatch, free, state):
    monkeypatch.setattr(facts.shutil, "disk_usage", lambda _: Usage(free, 0, free))
    assert ((await part(stage, "disk"))[0], (await stage.call("hub.health"))["state"]) == (state, state)


async def test_missing_opencode_is_told_with_how_to_get_it(stage, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    state, _, step = await part(stage, "opencode")
    assert (state, "npm install" in (step or "")) == ("broken", True)


async def test_agent_that_waits_for_the_person_is_told_with_the_command(tmp_path, clock):
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock, terms=Terms(budgets=SMALL)) as stage:
        fleet = await Fleet.spawn(stage, "a")
        assert await part(stage, "waits for you") == ("ok", "nothing", None)
        await fleet.work(0)
        await fleet.spend(0, steps=3)
        await fleet.cut(0)
        said = ("warning", "0 permissions or questions, 1 paused agents", "`muster resume`.")
        assert await part(stage, "waits for you") == said
        assert (await part(stage, "fleets"))[1] == "0 running, 1 paused, 0 quiet"
        await stage.call("fleet.cancel", fleet_id=fleet.id)
        assert (await part(stage, "waits for you"))[1] == "nothing"
        assert (await part(stage, "fleets"))[1] == "0 running, 0 paused, 1 quiet"


async def test_answer_is_small(stage):
    assert len(str(await stage.call("hub.health"))) < 1500

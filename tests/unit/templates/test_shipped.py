"""Templates that come with Muster: sound, spawnable, and never in the way of what somebody saves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muster import roster
from muster.hosts.scripted import ScriptedHost
from muster.hosts.scripted.host import BUILD
from muster.templates import shipped
from unit.stage import Clock, Stage, hub, refused

pytestmark = pytest.mark.anyio

ROSTER = [BUILD.name, *(file.stem for file in sorted(Path(next(iter(roster.__path__))).glob("*/*.md")))]
NAMES = sorted(shipped())


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock) -> AsyncIterator[Stage]:
    """A hub whose host offers the shipped personas."""
    personas = tuple(replace(BUILD, name=name) for name in ROSTER)
    async with ScriptedHost({}, personas=personas) as host, hub(tmp_path, host, clock) as stage:
        yield stage


async def latest(stage: Stage, name: str, **which: int) -> dict[str, Any]:
    return (await stage.call("template.get", name=name, **which))["template"]


@pytest.mark.parametrize("name", NAMES)
def test_each_agent_works_with_peers_that_there_are_and_is_told_how_to_end(name):
    agents = shipped()[name].agents
    names = {agent.name for agent in agents}
    assert 3 <= len(names) == len(agents) <= 6
    for agent in agents:
        assert any(peer in agent.prompt for peer in names - {agent.name}), agent.name
        assert "our last message" in agent.prompt, agent.name


@pytest.mark.parametrize("name", NAMES)
async def test_shipped_template_passes_what_a_saved_one_must_and_spawns(stage, name):
    template = await latest(stage, name)
    assert (template["version"], template["source"], template["created_at"]) == (1, "shipped", None)

    wish = {key: template[key] for key in ("description", "agents", "placeholders")}
    await stage.call("template.save", name="copy", **wish)
    values = {word: f"the {word}" for word in template["placeholders"]}
    spawned = await stage.call("template.spawn", name=name, values=values, project=str(stage.project))

    agents = (await stage.call("fleet.status", fleet_id=spawned["fleet_id"], full=True))["agents"]
    assert [agent["name"] for agent in agents] == [agent["name"] for agent in template["agents"]]
    for word, value in values.items():
        assert not any(f"{{{word}}}" in agent["prompt"] for agent in agents)
        assert any(value in agent["prompt"] for agent in agents)


async def test_template_saved_under_a_shipped_name_is_its_second_version_and_the_newest(stage):
    saved = await stage.call("template.save", name="release", agents=[{"role": "r", "prompt": "p"}])

    assert (saved["template"]["version"], saved["template"]["source"]) == (2, "own")
    assert await latest(stage, "release") == saved["template"]
    assert (await latest(stage, "release", version=1))["source"] == "shipped"
    told = await stage.call("template.versions", name="release")
    assert [(row["version"], row["source"]) for row in told["versions"]] == [(2, "own"), (1, "shipped")]


async def test_shipped_template_cannot_be_deleted_and_is_the_newest_again_without_the_own_ones(stage):
    for which in ({}, {"version": 1}):
        with refused("not_done"):
            await stage.call("template.delete", name="release", **which)
    await stage.call("template.save", name="release", agents=[{"role": "r", "prompt": "p"}])

    assert (await stage.call("template.delete", name="release"))["versions"] == [2]
    assert (await latest(stage, "release"))["source"] == "shipped"
    saved = await stage.call("template.save", name="release", agents=[{"role": "r", "prompt": "p"}])
    assert saved["template"]["version"] == 3


async def test_shipped_template_is_carried_under_another_name(stage):
    exported = await stage.call("template.export", name="release")
    imported = await stage.call("template.import", template=exported, name="ours")

    own = await stage.call("template.export", name="ours")
    assert (imported["template"]["source"], own) == ("own", exported | {"name": "ours"})


async def test_versions_come_in_pages(stage):
    for _ in range(4):
        await stage.call("template.save", name="release", agents=[{"role": "r", "prompt": "p"}])
    found, cursor = [], None
    while not found or cursor is not None:
        where = {} if cursor is None else {"cursor": cursor}
        page = await stage.call("template.versions", name="release", limit=2, **where)
        found, cursor = found + [row["version"] for row in page["versions"]], page["cursor"]
    assert found == [5, 4, 3, 2, 1]

"""A template that was made on one hub spawns the same fleet on another."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from muster.hosts.scripted import ScriptedHost
from unit.stage import Clock, Stage, hub

pytestmark = pytest.mark.anyio

WISH = {
    "name": "crew",
    "description": "Two — “who” look.",
    "placeholders": ["area"],
    "agents": [
        {"role": "scout of {area}", "prompt": 'Look at {area}: {"json": [1]} 👍\n', "agent": "general", "name": "s"},
        {"role": "critic", "prompt": "Doubt {it}.", "model": "a/b"},
    ],
}


async def spawned(stage: Stage, **which: Any) -> list[tuple[str, ...]]:
    fleet = await stage.call("template.spawn", values={"area": "{src}"}, project=str(stage.project), **which)
    agents = (await stage.call("fleet.status", fleet_id=fleet["fleet_id"], full=True))["agents"]
    return [tuple(agent[key] for key in ("role", "name", "agent", "model", "prompt")) for agent in agents]


async def test_template_exported_from_one_hub_and_imported_into_another_spawns_the_same_fleet(tmp_path):
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(ScriptedHost({})) for _ in range(2)]
        here, there = [
            await stack.enter_async_context(hub(tmp_path / str(number), host, Clock()))
            for number, host in enumerate(hosts)
        ]
        for _ in range(2):
            await here.call("template.save", **WISH)
        exported = await here.call("template.export", name="crew")
        there.clock.advance(days=1)
        imported = await there.call("template.import", template=exported)

        assert (imported["template"]["version"], imported["notes"]) == (2, [])
        assert await there.call("template.export", name="crew") == exported
        fleet = await spawned(here, name="crew")
        assert fleet[0][:2] == ("scout of {src}", "s")
        assert await spawned(there, name="crew") == fleet

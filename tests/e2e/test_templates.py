"""The templates that come with Muster, on the real OpenCode."""

from pathlib import Path

import pytest

from e2e.stage import Stage, wants_opencode
from e2e.standing import Standing
from muster import roster
from muster.templates import shipped

pytestmark = [pytest.mark.anyio, wants_opencode]

ROSTER = Path(next(iter(roster.__path__)))
REPORTING = """
agents:
  - name: all
    steps:
      - call: {tool: fleet_status, arguments: {fleet_id: "${user ~ (flt_[a-z0-9]+)}"}}
      - {say: "my part of ${fleet_status.fleet.name}"}
"""


async def offer_personas(on: Stage, names: set[str]) -> None:
    """The project brings those of the roster that are not offered already."""
    listed = await on.call("persona.list", project=str(on.project), limit=500)
    folder = on.project / ".opencode" / "agent"
    folder.mkdir(parents=True)
    for name in names - {persona["name"] for persona in listed["agents"]}:
        (found,) = ROSTER.glob(f"*/{name}.md")
        (folder / found.name).write_text(found.read_text())


async def spawned(on: Stage, name: str) -> str:
    values = {word: f"the {word}" for word in shipped()[name].placeholders}
    told = await on.call("template.spawn", name=name, values=values, project=str(on.project))
    return str(told["fleet_id"])


@pytest.mark.timeout(300)  # more than sixty agents
async def test_each_shipped_template_spawns_and_all_of_its_agents_answer(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, REPORTING) as on:
        on.project = tmp_path / "without git"  # one directory for all: no worktree, so one instance of OpenCode
        on.project.mkdir()
        await offer_personas(on, {agent.agent for shape in shipped().values() for agent in shape.agents if agent.agent})
        fleets = {name: await spawned(on, name) for name in shipped()}

        for name, fleet in fleets.items():
            agents = shipped()[name].agents
            results = await on.wait(fleet, 100)
            assert [(result["name"], result["output"]) for result in results] == [
                (agent.name, f"my part of {name}") for agent in agents
            ]
            status = await on.call("fleet.status", fleet_id=fleet, full=True)
            assert status["fleet"]["status"] == "complete"
            assert [agent["agent"] for agent in status["agents"]] == [agent.agent for agent in agents]
        assert not on.rehearsal.failures

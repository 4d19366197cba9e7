"""The templates that come with Muster, on the real OpenCode."""

from pathlib import Path

import pytest

from e2e.stage import Stage, wants_opencode
from e2e.standing import Standing
from e2e.test_rehearse import rehearse
from muster.templates import shipped

pytestmark = [pytest.mark.anyio, wants_opencode]

REPORTING = """
agents:
  - name: all
    steps:
      - call: {tool: fleet_status, arguments: {fleet_id: "${user ~ (flt_[a-z0-9]+)}"}}
      - {say: "my part of ${fleet_status.fleet.name}"}
"""


async def spawned(on: Stage, name: str) -> str:
    values = {word: f"the {word}" for word in shipped()[name].placeholders}
    told = await on.call("template.spawn", name=name, values=values, project=str(on.project))
    return str(told["fleet_id"])


@pytest.mark.timeout(300)  # more than sixty agents
async def test_each_shipped_template_spawns_and_all_of_its_agents_answer(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, REPORTING) as on:
        on.project = tmp_path / "without git"  # one directory for all: no worktree, so one instance of OpenCode
        on.project.mkdir()
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


OUTCOMES = {
    "review-panel": {
        "defects": "depth.sh:3: hour 24 is answered with 60.",
        "security": "depth.sh:3: $1 without quotes, a remark and no finding.",
        "chair": "Merge after repairs.",
    },
    "bug-hunt": {
        "reproducer": "Reproduced: expected 60, got 900; commit ",
        "cause": "depth.sh:2: -le takes in the hour of dusk",
        "fixer": "Repaired in depth.sh:2: dusk is night. The test passes.",
        "checker": "Holds: at 5, 6, 17 and 18 it says 60 900 900 60.",
    },
    "test-writing": {
        "analyst": "0 tests so far.",
        "unit": "test-hours.sh passes",
        "property": "test-every.sh passes",
        "mutant": "The bounds moved by one are noticed",
    },
}


@pytest.mark.timeout(300)  # each worktree is a directory that OpenCode must load
@pytest.mark.parametrize("name", OUTCOMES)
def test_template_is_rehearsed_as_its_agents_hand_on_to_each_other(tmp_path: Path, name: str) -> None:
    played = rehearse(tmp_path, name, "--json", within=280)

    assert (played.code, played.json["failures"]) == (0, []), played
    said = {result["name"]: result["output"] for result in played.json["results"]}
    assert {who: said[who].startswith(words) for who, words in OUTCOMES[name].items()} == dict.fromkeys(
        OUTCOMES[name], True
    ), said

"""The templates that come with Muster, on the real OpenCode."""

import subprocess
from pathlib import Path

import pytest
import yaml

from e2e.stage import Stage, repository, wants_opencode
from e2e.standing import Standing
from e2e.test_rehearse import rehearse
from muster import rehearsal, roster
from muster.rehearsal import load_scenario
from muster.templates import shipped

pytestmark = [pytest.mark.anyio, wants_opencode]

ROSTER = Path(next(iter(roster.__path__)))
SCENARIOS = Path(rehearsal.__file__).parent / "scenarios"
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
        (folder / f"{name}.md").write_text(definition(name))


def definition(name: str) -> str:
    """A persona of the roster as OpenCode reads it."""
    (found,) = ROSTER.glob(f"*/{name}.md")
    _, head, prompt = found.read_text().split("---\n", 2)
    told = yaml.safe_load(head)
    own = {
        "description": told["description"],
        "mode": told["mode"],
        "permission": dict.fromkeys(told["denied"], "deny"),
    }
    return f"---\n{yaml.safe_dump(own)}---\n{prompt}"


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
async def test_template_is_rehearsed_as_its_agents_hand_on_to_each_other(tmp_path: Path, name: str) -> None:
    project = repository(tmp_path / "project")
    files = dict(load_scenario(SCENARIOS / f"{name}.yaml").project)
    for agent in shipped()[name].agents:
        if agent.agent != "build":
            files[f".opencode/agent/{agent.agent}.md"] = definition(str(agent.agent))
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    git = ["git", "-C", str(project), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["add", "."], ["commit", "-qm", "Bring what the scenario needs"]):
        subprocess.run([*git, *words], check=True)

    played = rehearse(tmp_path, name, "--project", "project", "--json", within=280)

    assert (played.code, played.json["failures"]) == (0, []), played
    said = {result["name"]: result["output"] for result in played.json["results"]}
    assert {who: said[who].startswith(words) for who, words in OUTCOMES[name].items()} == dict.fromkeys(
        OUTCOMES[name], True
    ), said

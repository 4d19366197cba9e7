"""`muster template`."""

import json
from typing import Any

import pytest

from unit.surfaces.cli.conftest import ESCAPES, Shell
from unit.surfaces.cli.test_fleets import harmless

YAML = """
description: Two who look.
placeholders: [area]
agents:
  - {role: scout, prompt: "Look at {area}, and keep {this}."}
  - {role: critic, prompt: Doubt it., agent: general, name: doubt, model: a/b}
"""
MESHFLEET = {"schema": "meshfleet-template-v1", "name": "crew", "agents": [{"role": "r", "prompt": "p"}]}


async def saved(shell: Shell, name: str = "two", text: str = YAML) -> Any:
    (shell.stage.project / "two.yaml").write_text(text)
    said = await shell.muster("template", "save", name, "two.yaml", "--json")
    return said.json["template"]


async def test_template_is_saved_from_yaml_and_shown_with_its_prompts(shell: Shell) -> None:
    template = await saved(shell)
    shown = await shell.muster("template", "show", "two")

    assert (template["version"], template["placeholders"]) == (1, ["area"])
    assert shown.out.splitlines() == [
        "two  version 1  own",
        "Two who look.",
        "placeholders: area",
        "",
        "── scout",
        "Look at {area}, and keep {this}.",
        "",
        "── doubt · critic · general · a/b",
        "Doubt it.",
    ]
    assert (await shell.muster("template", "show", "two", "--json")).json == {"template": template}


@pytest.mark.parametrize("shape", [lambda agents: agents, lambda agents: {"agents": agents}])
async def test_template_is_saved_from_json_on_stdin_as_the_next_version(shell: Shell, shape: Any) -> None:
    await saved(shell)
    text = json.dumps(shape([{"role": "r", "prompt": "p"}]))
    said = await shell.muster("template", "save", "two", "-", stdin=text)
    listed = await shell.muster("template", "versions", "two")

    assert said.out == "two  version 2\n"
    assert [line.split()[:3] for line in listed.out.splitlines()[1:]] == [["two", "2", "own"], ["two", "1", "own"]]


async def test_templates_are_listed(shell: Shell) -> None:
    await saved(shell)
    said = await shell.muster("template", "list")
    (line,) = [line for line in said.out.splitlines() if line.startswith("two ")]
    assert line.split() == ["two", "1", "own", "2", "area", "Two", "who", "look."]
    assert (await shell.muster("template", "list", "--json")).json == await shell.stage.call("template.list", limit=200)


async def test_export_on_stdout_and_in_a_file_is_the_same_and_is_imported_under_a_new_name(shell: Shell) -> None:
    await saved(shell)
    printed = await shell.muster("template", "export", "two")
    written = await shell.muster("template", "export", "two", "two.json")
    imported = await shell.muster("template", "import", "two.json", "--name", "three")
    again = await shell.muster("template", "import", "two.json")

    assert (shell.stage.project / "two.json").read_text() == printed.out
    assert written.out == "two  version 1  in two.json\n"
    assert (imported.out, imported.err) == ("three  version 1\n", "")
    assert (again.out, "already" in again.err) == ("two  version 2\n", True)


async def test_meshfleets_export_is_imported(shell: Shell) -> None:
    said = await shell.muster("template", "import", "-", stdin=json.dumps(MESHFLEET))
    assert (said.code, said.out) == (0, "crew  version 1\n")


async def test_deleted_version_is_gone_and_told(shell: Shell) -> None:
    for _ in range(3):
        await saved(shell)
    one = await shell.muster("template", "delete", "two", "--version", "2")
    rest = await shell.muster("template", "delete", "two")
    assert (one.out, rest.out) == ("two  deleted: version 2\n", "two  deleted: version 3, 1\n")
    assert (await shell.muster("template", "show", "two")).code == 2


async def test_spawn_fills_placeholders_and_waits_for_the_fleet(shell: Shell) -> None:
    await saved(shell)
    (shell.stage.project / "area.txt").write_text("the {engine}\n")
    waited = await shell.muster("template", "spawn", "two", "--set", "area=@area.txt", "--wait")
    spawned = await shell.muster("template", "spawn", "two", "--set", "area=a=b", "--max-turns", "9", "--name", "x")

    assert waited.code == 0
    assert "Look at the {engine}\n, and keep {this}." in waited.out
    fleet, *agents = spawned.out.splitlines()
    assert [line.split()[1] for line in agents] == ["scout", "critic"]
    status = await shell.stage.call("fleet.status", fleet_id=fleet, full=True)
    assert (status["fleet"]["name"], status["fleet"]["budget"]["max_turns"]) == ("x", 9)
    assert status["agents"][0]["prompt"] == "Look at a=b, and keep {this}."


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["save", "Two", "-"], YAML),
        (["save", "two", "-"], "agents: [1"),
        (["save", "two", "-"], "agents"),
        (["save", "two", "-"], "agents: []\nsince: 2026-01-01"),
        (["save", "two", "-"], "agents: []\n5: x"),
        (["save", "two", "no-such-file"], ""),
        (["import", "-"], '{"schema": "other"}'),
        (["import", "-"], "[]"),
        (["export", "none"], ""),
        (["export", "own", "/no/such/folder/file"], ""),
        (["delete", "none"], ""),
        (["spawn", "own", "--set", "area"], ""),
        (["spawn", "own", "--set", "other=x"], ""),
        (["spawn", "own"], ""),
    ],
)
async def test_wrong_words_exit_2_and_say_what_to_do(shell: Shell, words: list[str], stdin: str) -> None:
    await saved(shell, "own")
    said = await shell.muster("template", *words, "--json", stdin=stdin)
    assert (said.code, said.out, bool(said.error["next"])) == (2, "", True)


async def test_nothing_in_a_template_steers_the_terminal(shell: Shell) -> None:
    agent = {"role": f"r{ESCAPES}", "prompt": f"p{ESCAPES}"}
    text = json.dumps({"agents": [agent], "description": f"d{ESCAPES}"})
    assert (await shell.muster("template", "save", "bad", "-", stdin=text)).code == 0
    for words in (["list"], ["show", "bad"], ["export", "bad"], ["versions", "bad"], ["spawn", "bad"]):
        said = await shell.muster("template", *words)
        assert (words, said.code, harmless(said)) == (words, 0, True)

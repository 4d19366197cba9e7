"""Personas from files. That the names are those of the real program is tested in tests/contract/hosts."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from muster.hosts.opencode.personas import Personas
from muster.model.facts import Persona

ORACLE = Persona(
    name="oracle",
    description="Gives a second opinion.",
    mode="all",
    source="roster",
    division="research",
    edits=False,
    skills=("second opinion", "hard bug"),
    text="You are asked last.",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    return project


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def offered(home: Path, directory: Path, roster: Sequence[Persona] = (), **env: str) -> dict[str, Persona]:
    found = Personas({"HOME": str(home), **env}, roster).of(str(directory))
    return {persona.name: persona for persona in found}


def test_bare_home_offers_the_built_ins_that_are_not_hidden(home, project):
    found = offered(home, project)
    assert {name: persona.mode for name, persona in found.items()} == {
        "build": "primary",
        "explore": "subagent",
        "general": "subagent",
        "plan": "primary",
    }
    assert {persona.source for persona in found.values()} == {"built-in"}


def test_agent_file_is_named_by_its_path_and_read_whole(home, project):
    text = "---\ndescription: >\n  Finds\n  things\nmode: subagent\npermission:\n  spawn_fleet: allow\n---\nYou find.\n"
    path = write(project / ".opencode" / "agents" / "team" / "scout.md", text)
    assert offered(home, project)["team/scout"] == Persona(
        name="team/scout",
        description="Finds things\n",
        mode="subagent",
        source=str(path),
        division="team",
        tools=("spawn_fleet",),
        text="You find.",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_do_not_matter(home, project, end):
    write(
        home / ".config" / "opencode" / "agent" / "a.md", end.join(["---", "description: A", "mode: all", "---", "x"])
    )
    assert offered(home, project)["a"].description == "A"


def test_unquoted_colon_is_taken_as_people_mean_it(home, project):
    write(home / ".config" / "opencode" / "agent" / "a.md", "---\ndescription: Use when: always\n---\n")
    assert offered(home, project)["a"].description == "Use when: always"


@pytest.mark.parametrize(
    "broken", ["---\ndescription: [\n---\n", "---\nmode: nonsense\n---\n", "---\na: b: c\nd: [\n---\n"]
)
def test_broken_definition_does_not_hide_the_others(home, project, broken):
    write(project / ".opencode" / "agent" / "broken.md", broken)
    write(project / ".opencode" / "agent" / "whole.md", "---\ndescription: Whole\n---\n")
    write(project / "opencode.json", "{ this is not JSON")
    assert offered(home, project)["whole"].description == "Whole"


def test_disabled_and_hidden_ones_are_not_offered(home, project):
    write(project / "opencode.jsonc", '{"agent": {"plan": {"disable": true}, "own": {"hidden": true}}, /* trailing */}')
    write(project / ".opencode" / "agent" / "off.md", "---\ndisable: true\n---\n")
    assert offered(home, project).keys() == {"build", "explore", "general"}


def test_nearer_configuration_wins_and_the_rest_is_kept(home, project):
    write(
        home / ".config" / "opencode" / "opencode.json", '{"agent": {"a": {"description": "far", "mode": "subagent"}}}'
    )
    write(project / "opencode.json", '{"agent": {"a": {"description": "near"}}}')
    (project / "deep").mkdir()
    found = offered(home, project / "deep")["a"]
    assert (found.description, found.mode, found.source) == ("near", "subagent", str(project / "opencode.json"))


def test_folders_above_the_git_top_level_are_not_read(home, project):
    write(project.parent / "opencode.json", '{"agent": {"outside": {}}}')
    assert "outside" not in offered(home, project)


def test_variables_name_more_places(home, project, tmp_path):
    write(tmp_path / "own" / "agents" / "a.md", "")
    write(tmp_path / "config" / "opencode" / "agents" / "b.md", "")
    write(tmp_path / "one.json", '{"agent": {"c": {}}}')
    found = offered(
        home,
        project,
        OPENCODE_CONFIG_DIR=str(tmp_path / "own"),
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        OPENCODE_CONFIG=str(tmp_path / "one.json"),
        OPENCODE_CONFIG_CONTENT='{"agent": {"d": {}}}',
    )
    assert found.keys() >= {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("rules", "tools"),
    [
        ("permission: {spawn_fleet: allow, wait_fleet: deny}", ("spawn_fleet",)),
        ("permission: {spawn_fleet: {'*': allow}}", ("spawn_fleet",)),
        ("tools: {spawn_fleet: true, wait_fleet: true}", ("spawn_fleet", "wait_fleet")),
        ("permission: {'*': allow}", ()),
        ("permission: allow", ()),
    ],
)
def test_only_tools_that_are_allowed_by_name_are_told(home, project, rules, tools):
    write(project / ".opencode" / "agent" / "a.md", f"---\n{rules}\n---\n")
    assert offered(home, project)["a"].tools == tools


def test_change_of_a_file_is_seen(home, project):
    path = write(project / ".opencode" / "agent" / "a.md", "---\ndescription: old\n---\n")
    personas = Personas({"HOME": str(home)})
    before = personas.of(str(project))
    assert personas.of(str(project)) is before
    write(path, "---\ndescription: new\n---\n")
    os.utime(path, (1, 1))
    assert {persona.name: persona.description for persona in personas.of(str(project))}["a"] == "new"


@pytest.mark.parametrize(
    ("matter", "edits"),
    [
        ("mode: primary", True),
        ("permission: {edit: deny}", False),
        ("permission: {edit: ask}", True),
        ("permission: {edit: {'*': deny}}", False),
        ("permission: {edit: {'*': deny, 'docs/**': allow}}", True),
        ("permission: {'*': deny, read: allow}", False),
        ("permission: {'*': deny, edit: allow}", True),
        ("permission: deny", False),
        ("tools: {write: false, edit: false}", False),
        ("tools: {bash: false}", True),
    ],
)
def test_persona_edits_unless_its_definition_forbids_all_of_it(home, project, matter, edits):
    write(project / ".opencode" / "agent" / "one.md", f"---\n{matter}\n---\nx")
    assert offered(home, project)["one"].edits == edits


def test_built_ins_that_only_look_may_not_edit(home, project):
    found = offered(home, project)
    assert {name: persona.edits for name, persona in found.items()} == {
        "build": True,
        "explore": False,
        "general": True,
        "plan": False,
    }


# ── the roster ───────────────────────────────────────────────────────────────────────────────────


def test_roster_is_offered_in_every_directory_in_the_order_of_names(home, project):
    found = offered(home, project, [ORACLE])
    assert found["oracle"] == ORACLE
    assert list(found) == ["build", "explore", "general", "oracle", "plan"]


def test_persona_of_a_file_wins_whole_over_the_rosters(home, project):
    path = write(home / ".config" / "opencode" / "agent" / "oracle.md", "---\ndescription: Mine\n---\n\nI am mine.\n")
    assert offered(home, project, [ORACLE])["oracle"] == Persona(
        name="oracle", description="Mine", mode="all", source=str(path), text="I am mine."
    )


def test_persona_of_a_configuration_wins_with_its_prompt(home, project):
    path = write(project / "opencode.json", '{"agent": {"oracle": {"mode": "primary", "prompt": "I am mine."}}}')
    assert offered(home, project, [ORACLE])["oracle"] == Persona(
        name="oracle", description="", mode="primary", source=str(path), text="I am mine."
    )


@pytest.mark.parametrize("said", ['{"disable": true}', '{"hidden": true}'])
def test_who_switches_a_name_off_is_not_offered_the_rosters(home, project, said):
    write(home / ".config" / "opencode" / "opencode.json", f'{{"agent": {{"oracle": {said}}}}}')
    assert "oracle" not in offered(home, project, [ORACLE])


def test_built_in_that_was_switched_off_does_not_come_back_from_a_roster(home, project):
    write(project / "opencode.json", '{"agent": {"plan": {"disable": true}}}')
    assert "plan" not in offered(home, project, [dataclasses.replace(ORACLE, name="plan")])


def test_installed_copy_keeps_skills_and_division_until_its_description_changes(home, project):
    path = write(project / ".opencode" / "agent" / "oracle.md", f"---\ndescription: {ORACLE.description}\n---\nOwn.\n")
    copied = offered(home, project, [ORACLE])["oracle"]
    assert (copied.skills, copied.division, copied.source, copied.text) == (
        ORACLE.skills,
        "research",
        str(path),
        "Own.",
    )
    write(path, "---\ndescription: Another\n---\nOwn.\n")
    changed = offered(home, project, [ORACLE])["oracle"]
    assert (changed.skills, changed.division) == ((), None)


def test_words_of_a_file_are_those_behind_its_front_matter(home, project):
    folder = project / ".opencode" / "agent"
    write(folder / "a.md", "\ufeff---\r\nprompt: no\r\n---\r\nYes.\r\n---\r\nAlso.\r\n")
    write(folder / "b.md", "No front matter.\n")
    found = offered(home, project)
    assert (found["a"].text, found["b"].text) == ("Yes.\n---\nAlso.", "No front matter.")

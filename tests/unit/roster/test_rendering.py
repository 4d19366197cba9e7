"""A persona as an OpenCode agent file, as a configuration, and as what a host offers."""

from dataclasses import replace
from pathlib import Path

import pytest

from muster.hosts.opencode.personas import Personas
from muster.model.facts import Persona
from muster.roster import RosterPersona, definition, denials, lint, offered, rendered, roster

COUNTER = RosterPersona(
    name="sheep-counter",
    division="farming",
    description='Counts: "sheep" # é',
    mode="subagent",
    skills=("sheep", "fences"),
    denied=("edit", "bash"),
    prompt="For sheep.\n\nYou refuse: to guess.",
)


def test_agent_file_holds_what_opencode_knows_and_denies_only():
    assert rendered(COUNTER) == (
        '---\ndescription: "Counts: \\"sheep\\" # é"\nmode: subagent\n'
        "permission:\n  edit: deny\n  bash: deny\n  task: deny\n---\n"
        "For sheep.\n\nYou refuse: to guess.\n"
    )


def test_definition_says_the_same_as_the_file():
    assert definition(COUNTER) == {
        "description": COUNTER.description,
        "mode": "subagent",
        "prompt": COUNTER.prompt,
        "permission": {"edit": "deny", "bash": "deny", "task": "deny"},
    }


def test_persona_that_is_denied_nothing_has_no_permissions():
    free = RosterPersona(name="a", division="b", description="c", mode="all", skills=(), denied=(), prompt="d")
    assert rendered(free) == '---\ndescription: "c"\nmode: all\n---\nd\n'
    assert definition(free) == {"description": "c", "mode": "all", "prompt": "d"}
    assert offered(free).edits


@pytest.mark.parametrize(
    ("denied", "all_denied"),
    [(("webfetch",), ("webfetch",)), (("bash",), ("bash", "task")), (("task", "edit"), ("task", "edit"))],
)
def test_who_may_not_change_things_has_no_sub_agents(denied, all_denied):
    assert denials(replace(COUNTER, denied=denied)) == all_denied


def test_host_offers_it_with_its_shelf_its_skills_and_its_words():
    assert offered(COUNTER) == Persona(
        name="sheep-counter",
        description=COUNTER.description,
        mode="subagent",
        source="roster",
        division="farming",
        edits=False,
        skills=("sheep", "fences"),
        text=COUNTER.prompt,
    )


@pytest.mark.parametrize("persona", roster(), ids=lambda persona: persona.name)
def test_shipped_one_that_is_installed_reads_back_as_it_was(tmp_path: Path, persona: RosterPersona):
    file = tmp_path / ".opencode" / "agent" / f"{persona.name}.md"
    file.parent.mkdir(parents=True)
    file.write_text(rendered(persona))
    (tmp_path / ".git").mkdir()
    found = Personas({"HOME": str(tmp_path / "home")}, [offered(one) for one in roster()]).of(str(tmp_path))
    shipped = offered(persona)
    (copied,) = (one for one in found if one.name == persona.name)
    assert copied.source == str(file)
    assert (copied.description, copied.mode, copied.edits, copied.skills, copied.division, copied.text) == (
        *(shipped.description, shipped.mode, shipped.edits, shipped.skills, shipped.division, shipped.text),
    )
    assert lint(file.read_text(), persona.name) == []

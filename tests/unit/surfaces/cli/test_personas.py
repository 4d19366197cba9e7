"""The roster on the command line. No hub runs here."""

import json
from pathlib import Path
from typing import Any

import pytest

from muster.hosts.opencode.personas import Personas
from muster.hosts.scripted import ScriptedHost
from muster.hosts.scripted.host import BUILD
from muster.roster import offered, rendered, roster, shipped_files
from unit.surfaces.cli.conftest import typing
from unit.surfaces.cli.machine import User

ORACLE = next(persona for persona in roster() if persona.name == "oracle")


def told(user: User, *words: str, code: int = 0) -> Any:
    ended, out, err = user.say("agents", *words, "--json")
    assert ended == code, err
    return json.loads(out)


def refused(user: User, *words: str) -> tuple[int, Any]:
    code, out, err = user.say("agents", *words, "--json")
    assert out == ""
    return code, json.loads(err)["error"]


def written(user: User) -> list[Path]:
    return sorted(path for path in user.folder.rglob("*.md"))


# ── show ─────────────────────────────────────────────────────────────────────────────────────────


def test_shown_persona_is_told_whole(user):
    assert told(user, "show", "oracle") == {
        "name": "oracle",
        "division": "research",
        "description": ORACLE.description,
        "mode": "all",
        "skills": list(ORACLE.skills),
        "denied": ["edit", "bash", "task"],
        "prompt": ORACLE.prompt,
    }
    _, out, _ = user.say("agents", "show", "oracle")
    assert out.startswith(f"oracle (research)\n{ORACLE.description}\nmode: all   denied: edit, bash, task\n")
    assert out.endswith(f"{ORACLE.prompt}\n")


@pytest.mark.parametrize("verb", ["show", "install"])
def test_name_that_the_roster_does_not_have_is_refused_with_those_near_it(user, verb):
    code, error = refused(user, verb, "orakle")
    assert (code, error["code"], "oracle" in error["next"]) == (2, "not_found", True)
    assert written(user) == []


# ── install ──────────────────────────────────────────────────────────────────────────────────────


def test_installed_persona_stands_in_the_users_own_configuration(user):
    answer = told(user, "install", "oracle", "go-engineer")
    file = user.config / "agent" / "oracle.md"
    assert answer["files"][0] == {"name": "oracle", "file": str(file), "written": True}
    assert [path.name for path in written(user)] == ["go-engineer.md", "oracle.md"]
    assert file.read_text() == rendered(ORACLE)


def test_installed_persona_of_a_project_is_what_the_host_then_offers(user):
    project = user.folder / "project"
    (project / ".git").mkdir(parents=True)
    (entry,) = told(user, "install", "oracle", "--project", str(project))["files"]
    found = Personas({"HOME": str(user.folder)}, [offered(ORACLE)]).of(str(project))
    assert next(persona.source for persona in found if persona.name == "oracle") == entry["file"]


def test_installing_twice_changes_nothing_and_says_so(user):
    told(user, "install", "oracle")
    (entry,) = told(user, "install", "oracle")["files"]
    _, out, err = user.say("agents", "install", "oracle")
    assert (entry["written"], out, err) == (False, f"{entry['file']}  (was so already)\n", "")


@pytest.mark.parametrize("folder", ["agent", "agents"])
def test_file_that_says_something_else_is_kept_and_nothing_is_written_unless_forced(user, folder):
    own = user.config / folder / "oracle.md"
    own.parent.mkdir(parents=True)
    own.write_text("Mine.\n")
    code, error = refused(user, "install", "go-engineer", "oracle")
    assert (code, error["code"], str(own) in error["message"]) == (4, "conflict", True)
    assert (written(user), own.read_text()) == ([own], "Mine.\n")
    told(user, "install", "oracle", "--force")
    assert (written(user), own.read_text()) == ([own], rendered(ORACLE))


@pytest.mark.parametrize("words", [("install", "oracle"), ("new", "scout")])
@pytest.mark.parametrize("mark", ["MUSTER_SERVER", "MUSTER_AGENT_TOKEN"])
def test_agent_changes_nothing_of_its_users_configuration(user, monkeypatch, words, mark):
    monkeypatch.setenv(mark, "x")
    code, error = refused(user, *words)
    assert (code, error["code"], written(user)) == (3, "denied", [])


# ── new ──────────────────────────────────────────────────────────────────────────────────────────


def test_new_persona_has_the_four_parts_and_may_not_write(user):
    answer = told(user, "new", "scout")
    assert answer == {"name": "scout", "file": str(user.config / "agent" / "scout.md")}
    (scout,) = (one for one in Personas(environment(user)).of(str(user.folder)) if one.name == "scout")
    assert (scout.mode, scout.edits) == ("all", False)
    assert [part in scout.text for part in ("How you work:", "You deliver:", "You refuse:")] == [True] * 3


def test_new_persona_of_a_division_stands_in_its_folder_and_is_called_by_it(user):
    answer = told(user, "new", "scout", "--division", "field-work", "--project", str(user.folder))
    assert answer["name"] == "field-work/scout"
    (user.folder / ".git").mkdir()
    found = Personas(environment(user)).of(str(user.folder))
    assert next(one.division for one in found if one.name == answer["name"]) == "field-work"


def test_new_persona_never_overwrites_and_has_a_name_that_a_file_should_have(user):
    told(user, "new", "scout")
    assert refused(user, "new", "scout")[1]["code"] == "conflict"
    for words in (["../scout"], ["Scout"], ["scout", "--division", "a/b"]):
        assert refused(user, "new", *words)[1]["code"] == "bad_value"
    assert len(written(user)) == 1


# ── lint ─────────────────────────────────────────────────────────────────────────────────────────


def test_shipped_roster_has_no_findings(user):
    assert told(user, "lint", "--roster") == {"looked_at": len(shipped_files()), "findings": []}


def test_scaffold_has_findings_with_their_lines_and_ends_with_one(user):
    file = told(user, "new", "scout")["file"]
    answer = told(user, "lint", file, code=1)
    assert answer["findings"][0] == {
        "file": file,
        "line": 2,
        "says": "The description has 42 characters, not 60 to 150.",
    }
    code, out, _ = user.say("agents", "lint", file)
    assert (code, out.split("\n")[0]) == (1, f"{file}:2: The description has 42 characters, not 60 to 150.")


def test_installed_copy_is_clean_and_a_renamed_one_is_found(user):
    (entry,) = told(user, "install", "oracle")["files"]
    assert told(user, "lint", entry["file"])["findings"] == []
    copied = Path(entry["file"]).with_name("seer.md")
    copied.write_text(rendered(ORACLE).replace("Gives a deep second opinion", "Says what it thinks"))
    (finding,) = told(user, "lint", str(copied), code=1)["findings"]
    assert "oracle" in finding["says"]


def test_files_and_the_roster_together_or_neither_are_refused(user):
    file = told(user, "new", "scout")["file"]
    for words in ([], [file, "--roster"]):
        assert refused(user, "lint", *words)[1]["code"] == "invalid_input"


# ── list ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_list_stands_under_the_headings_of_divisions(tmp_path, clock, capsys, monkeypatch):
    personas = (BUILD, *(offered(persona) for persona in roster()))
    async with typing(ScriptedHost({}, personas=personas), tmp_path, clock, capsys, monkeypatch) as shell:
        everything = await shell.muster("agents", "list")
        security = await shell.muster("agents", "list", "--division", "security", "--query", "threat", "--json")
    lines = everything.out.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert lines[0].split() == ["NAME", "MODE", "SOURCE", "DESCRIPTION"]
    assert headings == ["without a division", *sorted({persona.division for persona in roster()})]
    assert lines[lines.index("research") + 1].split()[0] == "benchmark-runner"
    assert {(row["division"], row["source"]) for row in security.json["agents"]} == {("security", "roster")}


def environment(user: User) -> dict[str, str]:
    return {"HOME": str(user.folder / "home"), "XDG_CONFIG_HOME": str(user.folder / "config")}

"""`muster trust`, and what of a project's own settings counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from muster.config import Settings, named_in
from muster.home import Home
from muster.model.ask import OnAsk
from muster.trust import project_of, settings_of
from unit.surfaces.cli.machine import User

MORE = "max_tokens_per_fleet = 0\nmax_turns_per_agent = 50\n"


@pytest.fixture
def project(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = user.folder / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / ".muster").mkdir()
    (folder / ".muster" / "config.toml").write_text(MORE)
    monkeypatch.chdir(folder)
    return folder


def in_force(user: User, project: Path, **environment: str) -> Settings:
    own = Settings()
    return settings_of(project, own, named_in(environment), Home(folder=user.home)).over(own)


def trust(user: User, *words: str) -> Any:
    code, out, err = user.say("trust", "--json", *words)
    assert code == 0, err
    return json.loads(out)


def refused(user: User, *words: str) -> Any:
    code, _, err = user.say("trust", "--json", *words)
    assert code != 0
    return json.loads(err)["error"]


def test_less_counts_at_once_and_more_only_when_it_is_trusted(user, project):
    own = Settings()
    before = in_force(user, project)
    assert (before.max_turns_per_agent, before.max_tokens_per_fleet) == (50, own.max_tokens_per_fleet)
    answer = trust(user)
    assert answer["trusted"]
    assert {one["key"]: one["more"] for one in answer["settings"]} == {
        "max_tokens_per_fleet": True,
        "max_turns_per_agent": False,
    }
    after = in_force(user, project)
    assert (after.max_turns_per_agent, after.max_tokens_per_fleet) == (50, 0)


@pytest.mark.parametrize(
    ("own", "wanted", "before", "after"),
    [
        ("refuse", "allow", "refuse", "allow"),
        ("refuse", "operator", "refuse", "operator"),
        ("operator", "allow", "operator", "allow"),
        ("allow", "refuse", "refuse", "refuse"),
        ("operator", "operator", "operator", "operator"),
    ],
)
def test_policy_that_grants_more_counts_only_when_it_is_trusted(user, project, own, wanted, before, after):
    (project / ".muster" / "config.toml").write_text(f'on_ask = "{wanted}"')
    settings = Settings(on_ask=OnAsk(own))

    def found() -> str:
        return settings_of(project, settings, frozenset(), Home(folder=user.home)).over(settings).on_ask

    assert found() == before
    trust(user)
    assert found() == after


def test_trust_ends_when_the_file_changes_or_is_taken_back(user, project):
    trust(user)
    file = project / ".muster" / "config.toml"
    file.write_text(MORE + "max_seconds_per_fleet = 0\n")
    assert in_force(user, project).max_tokens_per_fleet == Settings().max_tokens_per_fleet
    file.write_text(MORE)
    assert in_force(user, project).max_tokens_per_fleet == 0
    assert trust(user, "--undo")["was_trusted"]
    assert in_force(user, project).max_tokens_per_fleet == Settings().max_tokens_per_fleet
    assert not trust(user, "--undo")["was_trusted"]


def test_trust_of_one_project_is_not_trust_of_its_copy(user, project):
    trust(user)
    copy = user.folder / "copy"
    (copy / ".muster").mkdir(parents=True)
    (copy / ".muster" / "config.toml").write_text(MORE)
    assert in_force(user, copy).max_tokens_per_fleet == Settings().max_tokens_per_fleet


def test_showing_trusts_nothing(user, project):
    assert not trust(user, "--show")["trusted"]
    assert not user.home.exists()


def test_folder_in_a_project_means_the_project(user, project):
    (project / "src").mkdir()
    assert trust(user, "src")["project"] == str(project) == str(project_of(project / "src"))


def test_environment_stands_over_a_trusted_project(user, project):
    trust(user)
    assert in_force(user, project, MUSTER_CFG_MAX_TOKENS_PER_FLEET="9").max_tokens_per_fleet == 5_000_000


def test_project_without_a_file_has_nothing_to_trust(user, project):
    (project / ".muster" / "config.toml").unlink()
    assert refused(user)["code"] == "not_found"
    assert in_force(user, project) == Settings()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("port = 1", "port"),
        ('opencode = "/evil"', "opencode"),
        ("max_agents = 500", "max_agents"),
        ("colour = 1", "colour"),
        ("max_tokens_per_fleet = -1", "max_tokens_per_fleet"),
        ('max_tokens_per_fleet = "0"', "max_tokens_per_fleet"),
        ("max_tokens_per_fleet = ", "the file"),
        ("#" * 70_000, "the file"),
    ],
)
def test_what_a_project_may_not_set_is_refused_by_name(user, project, text, key):
    (project / ".muster" / "config.toml").write_text(text)
    error = refused(user)
    assert (error["code"], error["facts"]["key"]) == ("bad_setting", key)
    assert str(project / ".muster" / "config.toml") in error["facts"]["where"]


def test_what_is_no_file_is_refused_and_not_waited_for(user, project):
    file = project / ".muster" / "config.toml"
    file.unlink()
    file.mkdir()
    assert refused(user)["code"] == "bad_setting"


@pytest.mark.parametrize("name", ["MUSTER_SERVER", "MUSTER_AGENT_TOKEN"])
def test_agent_may_not_trust(user, project, monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert refused(user)["code"] == "denied"


def test_damaged_record_trusts_nobody_and_is_kept(user, project):
    trust(user)
    (user.home / "trust.json").write_text("{")
    assert refused(user)["code"] == "state_not_writable"
    assert (user.home / "trust.json").read_text() == "{"


def test_person_sees_what_is_more_than_their_own(user, project):
    _, out, _ = user.say("trust", "--show")
    assert out.splitlines()[0].endswith("not trusted: what is more than yours does not count")
    assert out.splitlines()[2].split(maxsplit=3) == ["max_tokens_per_fleet", "0", "5,000,000", "more than yours"]
    assert user.say("trust")[1].splitlines()[0].endswith("trusted, as it is now")


@pytest.mark.parametrize(
    ("line", "counts_at_once"),
    [
        ('mesh_worktree = "always"', True),
        ('mesh_worktree = "never"', False),
        ('worktree_base = "dirty"', True),
        ('worktree_copy = [".env"]', True),
        ('worktree_link = ["node_modules"]', False),
        ('worktree_setup = ["npm ci"]', False),
    ],
)
def test_what_a_project_runs_or_takes_from_its_user_waits_for_trust(user, project, line, counts_at_once):
    (project / ".muster" / "config.toml").write_text(line)
    key = line.partition(" ")[0]
    before = getattr(in_force(user, project), key)
    assert (before != getattr(Settings(), key)) == counts_at_once
    assert trust(user)["trusted"]
    assert getattr(in_force(user, project), key) != getattr(Settings(), key)
    assert user.say("trust", "--show")[0] == 0

"""A wrong setting stops the start and says where it stands; a state folder belongs to one hub."""

import os
import stat

import pytest

from muster.config import Settings, load, state_folder
from muster.home import Home
from muster.model.ask import OnAsk
from unit.stage import refused


def settings(tmp_path, text: str = "", **environment: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, environment)


def test_nothing_said_is_every_default(tmp_path):
    assert settings(tmp_path) == Settings() == load(tmp_path / "absent.toml", {})


def test_environment_comes_over_the_file_and_the_file_over_the_defaults(tmp_path):
    found = settings(tmp_path, 'port = 1\nopencode = "/a"\n', MUSTER_CFG_PORT="2", OTHER="x", PORT="3")
    assert found == Settings(port=2, opencode="/a")


@pytest.mark.parametrize(
    ("text", "key", "where"),
    [
        ("\n\nprot = 1", "prot", ", line 3"),
        ('port = "4747"', "port", ", line 1"),
        ("port = true", "port", ", line 1"),
        ("port = 4747.0", "port", ", line 1"),
        ("port = -1", "port", ", line 1"),
        ("port = 65536", "port", ", line 1"),
        ("opencode = 5", "opencode", ", line 1"),
        ("max_agents = -1", "max_agents", ", line 1"),
        ("agents_per_server = 0", "agents_per_server", ", line 1"),
        ("directories_per_server = 0", "directories_per_server", ", line 1"),
        ('on_ask = "no"', "on_ask", ", line 1"),
        ('on_ask = "Refuse"', "on_ask", ", line 1"),
        ("on_ask = true", "on_ask", ", line 1"),
        ("ask_timeout_seconds = 0", "ask_timeout_seconds", ", line 1"),
        ('always_offer = "mesh"', "always_offer", ", line 1"),
        ('always_offer = ["mush"]', "always_offer", ", line 1"),
        ('mesh_worktree = "yes"', "mesh_worktree", ", line 1"),
        ('worktree_base = "HEAD"', "worktree_base", ", line 1"),
        ('worktree_setup = "npm ci"', "worktree_setup", ", line 1"),
        ('worktree_setup = [""]', "worktree_setup", ", line 1"),
        ('worktree_copy = ["../secret"]', "worktree_copy", ", line 1"),
        ('worktree_copy = ["/etc/passwd"]', "worktree_copy", ", line 1"),
        ('worktree_link = [".git/hooks"]', "worktree_link", ", line 1"),
        ("[port]\nnumber = 5", "port", ""),
        ("port = ", "the file", ""),
        ("port = 1\nport = 2", "the file", ""),
    ],
)
def test_wrong_setting_in_the_file_is_named_with_its_line(tmp_path, text, key, where):
    with refused("bad_setting") as caught:
        settings(tmp_path, text)
    assert caught.value.facts["key"] == key
    assert caught.value.facts["where"] == f"{tmp_path / 'config.toml'}{where}"


def test_list_of_words_comes_from_the_file_or_by_commas_from_the_environment(tmp_path):
    assert settings(tmp_path, 'always_offer = ["mesh"]').always_offer == ("mesh",)
    assert settings(tmp_path, MUSTER_CFG_ALWAYS_OFFER=" mesh ,").always_offer == ("mesh",)
    with refused("bad_setting"):
        settings(tmp_path, MUSTER_CFG_ALWAYS_OFFER="mesh, mush")


@pytest.mark.parametrize("value", ["", "x", "4747 ", "4.5", "-1", "65536", "9" * 5000, "0x10", "true"])
def test_wrong_setting_in_the_environment_is_named(tmp_path, value):
    with refused("bad_setting") as caught:
        settings(tmp_path, MUSTER_CFG_PORT=value)
    assert caught.value.facts["where"] == "the environment (MUSTER_CFG_PORT)"


@pytest.mark.parametrize("value", ["", "x", "-1", "1e3", "nan", "true"])
def test_duration_that_is_no_number_is_named(tmp_path, value):
    with refused("bad_setting"):
        settings(tmp_path, MUSTER_CFG_HUB_IDLE_MINUTES=value)


def test_duration_may_be_whole_or_not(tmp_path):
    assert settings(tmp_path, "hub_idle_minutes = 0").hub_idle_minutes == 0.0
    assert settings(tmp_path, "hub_idle_minutes = 0.5").hub_idle_minutes == 0.5
    assert settings(tmp_path, MUSTER_CFG_HUB_IDLE_MINUTES="1.5").hub_idle_minutes == 1.5


def test_word_of_a_closed_set_is_taken_and_another_is_refused_with_the_choices(tmp_path):
    assert settings(tmp_path, 'on_ask = "allow"', MUSTER_CFG_ON_ASK="operator").on_ask is OnAsk.OPERATOR
    with refused("bad_setting") as caught:
        settings(tmp_path, MUSTER_CFG_ON_ASK="ask")
    assert "refuse, allow, operator" in caught.value.message


def test_setting_that_does_not_exist_is_refused_in_the_environment_too(tmp_path):
    with refused("bad_setting"):
        settings(tmp_path, MUSTER_CFG_PROT="1")


def test_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "config.toml").mkdir()
    with refused("bad_setting"):
        load(tmp_path / "config.toml", {})
    (tmp_path / "other.toml").write_bytes(b'opencode = "\xff"')
    with refused("bad_setting"):
        load(tmp_path / "other.toml", {})


def test_state_folder_that_would_be_another_one_in_every_directory_is_refused(monkeypatch):
    monkeypatch.setenv("MUSTER_HOME", "here")
    with refused("bad_setting") as caught:
        state_folder()
    assert caught.value.facts["key"] == "MUSTER_HOME"


def test_second_hub_on_a_state_folder_is_refused_and_told_of_the_first(tmp_path):
    home = Home(folder=tmp_path / "home")
    home.prepare()
    with home.locked(), home.announced(url="http://127.0.0.1:4747", token="secret"):
        with refused("hub_running") as caught, Home(folder=home.folder).locked():
            pass
        assert caught.value.facts["pid"] == os.getpid()
        assert caught.value.facts["url"] == "http://127.0.0.1:4747"
        assert "secret" not in str(caught.value.to_json())
    with Home(folder=home.folder).locked():
        assert not home.hub_file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "{}", '{"pid": 1}'])
def test_second_hub_is_refused_whatever_stands_in_hub_json(tmp_path, text):
    home = Home(folder=tmp_path)
    with home.locked():
        home.hub_file.write_text(text)
        with refused("hub_running"), Home(folder=tmp_path).locked():
            pass


def test_state_folder_is_closed_to_everybody_else(tmp_path):
    home = Home(folder=tmp_path / "a" / "home")
    home.prepare()
    home.folder.chmod(0o755)
    home.prepare()
    with home.locked(), home.announced(url="http://127.0.0.1:1", token="secret"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home.folder, home.hub_file, home.logs)}
    assert modes == {"home": 0o700, "hub.json": 0o600, "logs": 0o700}


@pytest.mark.parametrize("place", ["file", "file/home"])
def test_state_folder_that_cannot_be_made_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("")
    with refused("state_not_writable"):
        Home(folder=tmp_path / place).prepare()


def test_lock_that_cannot_be_taken_is_refused(tmp_path):
    (tmp_path / "hub.lock").mkdir()
    with refused("state_not_writable"), Home(folder=tmp_path).locked():
        pass


def test_commands_come_by_lines_from_the_environment_and_paths_by_commas(tmp_path):
    found = settings(tmp_path, MUSTER_CFG_WORKTREE_SETUP="npm ci\necho a, b", MUSTER_CFG_WORKTREE_COPY=".env, a/b")
    assert (found.worktree_setup, found.worktree_copy) == (("npm ci", "echo a, b"), (".env", "a/b"))

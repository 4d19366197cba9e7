"""`muster doctor` on machines where something is wrong. No hub runs here; e2e has one."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from muster.doctor.checks import CHECKS
from muster.home import Home
from muster.hosts.opencode.environment import BRIDGE
from unit.surfaces.cli.machine import User


def doctor(user: User, *words: str) -> dict[str, Any]:
    """Each part's answer by its name; the exit code is 1 exactly where something is broken."""
    code, out, err = user.say("doctor", "--json", *words)
    assert err == ""
    told = {one["part"]: one for one in json.loads(out)["checks"]}
    assert code == (1 if "broken" in {one["state"] for one in told.values()} else 0)
    return told


def states(told: dict[str, Any]) -> dict[str, str]:
    return {part: one["state"] for part, one in told.items() if one["state"] != "ok"}


@pytest.fixture
def well(user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """A machine on which nothing is wrong, and on which Muster was used before."""
    monkeypatch.setenv("MUSTER_CFG_PORT", "0")
    monkeypatch.setattr("shutil.which", _on_the_path(user.folder / "bin"))
    monkeypatch.chdir(user.folder)
    Home(folder=user.home).prepare()
    (user.home / "key").write_bytes(bytes(32))
    (user.home / "key").chmod(0o600)
    user.init()
    return user


def _on_the_path(folder: Path) -> Any:
    """Every program that is looked for stands in one folder, whatever this machine has."""
    for name, text in (("git", "#!/bin/sh\necho git version 2.39.5\n"), ("rg", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    def which(name: str, path: str | None = None) -> str | None:
        file = folder / Path(name).name
        return str(file) if file.exists() else None

    return which


def test_nothing_is_wrong_on_a_sound_machine(well):
    told = doctor(well)
    assert states(told) == {}
    assert list(told) == list(CHECKS)


def test_new_machine_is_only_told_to_run_init(user, monkeypatch):
    monkeypatch.setenv("MUSTER_CFG_PORT", "0")
    monkeypatch.setattr("shutil.which", _on_the_path(user.folder / "bin"))
    assert states(doctor(user)) == {"opencode config": "warning"}
    assert not user.home.exists()


def test_open_folder_and_key_are_closed_by_fix(well):
    well.home.chmod(0o755)
    (well.home / "key").chmod(0o644)
    assert states(doctor(well)) == {"state folder": "warning", "key": "broken"}
    told = doctor(well, "--fix")
    assert states(told) == {}
    assert [part for part, one in told.items() if one["fixed"]] == ["state folder", "key"]
    assert stat.S_IMODE((well.home / "key").stat().st_mode) == 0o600


def test_key_of_another_length_is_broken_and_nothing_touches_it(well):
    (well.home / "key").write_bytes(b"short")
    assert states(doctor(well, "--fix")) == {"key": "broken"}
    assert (well.home / "key").read_bytes() == b"short"


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_damaged_database_is_broken_and_nothing_touches_it(well, content):
    (well.home / "muster.db").write_bytes(content)
    assert states(doctor(well, "--fix")) == {"database": "broken"}
    assert (well.home / "muster.db").read_bytes() == content


def test_hub_file_of_a_dead_hub_is_removed_by_fix(well):
    (well.home / "hub.json").write_text('{"url": "http://127.0.0.1:1", "token": "t", "pid": 1, "version": "0"}')
    assert states(doctor(well)) == {"hub": "warning"}
    assert states(doctor(well, "--fix")) == {}
    assert not (well.home / "hub.json").exists()


def test_hub_that_sleeps_is_well(well):
    (well.home / "hub.json").write_text('{"asleep": true, "version": "0"}')
    assert states(doctor(well, "--fix")) == {}
    assert (well.home / "hub.json").exists()


def test_hub_that_does_not_answer_is_broken(well):
    with Home(folder=well.home).locked(), socket.create_server(("127.0.0.1", 0)) as silent:
        told = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "pid": os.getpid()}
        silent.close()
        (well.home / "hub.json").write_text(json.dumps(told))
        assert states(doctor(well, "--fix")) == {"hub": "broken"}
        assert (well.home / "hub.json").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"url": 5}', '{"url": "http://x:y"}', '{"url": null, "pid": []}']
)
def test_whatever_stands_in_hub_json_hides_no_other_part(well, text):
    (well.home / "hub.json").write_text(text)
    with Home(folder=well.home).locked():
        assert set(states(doctor(well))) == {"hub"}
    assert states(doctor(well)) == {"hub": "warning"}


def test_state_folder_that_is_a_file_is_broken_and_hides_no_other_part(well, monkeypatch):
    (well.folder / "file").write_text("")
    monkeypatch.setenv("MUSTER_HOME", str(well.folder / "file"))
    assert states(doctor(well, "--fix")) == {"state folder": "broken", "opencode config": "warning"}


def test_port_that_another_program_has_is_broken(well, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("MUSTER_CFG_PORT", str(taken.getsockname()[1]))
        assert states(doctor(well)) == {"port": "broken"}


def test_wrong_setting_is_broken_and_hides_nothing_else(well, monkeypatch):
    monkeypatch.setenv("MUSTER_CFG_COLOUR", "red")
    told = doctor(well)
    assert states(told) == {"settings": "broken"}
    assert "MUSTER_CFG_COLOUR" in told["settings"]["says"]


def test_host_server_without_a_hub_is_ended_by_fix(well):
    database = str(well.home / "servers" / "srv_test" / "opencode.db")
    environment = {"MUSTER_SERVER": "srv_test", "MUSTER_STATE": str(well.home), "OPENCODE_DB": database}
    said = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(said, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as orphan:
        assert orphan.stdout
        orphan.stdout.readline()  # from here on its environment can be read
        assert states(doctor(well)) == {"host servers": "warning"}
        assert states(doctor(well, "--fix")) == {}
        assert orphan.wait(timeout=10) != 0


def test_bridge_that_is_gone_is_broken_and_written_by_fix(well):
    (well.home / "bridge.js").unlink()
    assert states(doctor(well)) == {"opencode config": "broken"}
    assert states(doctor(well, "--fix")) == {}
    assert (well.home / "bridge.js").read_bytes() == BRIDGE.read_bytes()


def test_bridge_without_anything_to_offer_is_broken_until_init(well):
    (well.home / "offer.json").unlink()
    assert states(doctor(well)) == {"opencode config": "broken"}
    well.init()
    assert states(doctor(well)) == {}


@pytest.mark.parametrize(
    ("config", "state"),
    [
        ('{"plugin": [["file:///gone/bridge.js", {"hub_file": "/gone/hub.json"}]]}', "broken"),
        ('{"plugin": 5}', "warning"),
        ('{"plugin": [', "broken"),
        ('{"mcp": {"muster": {"type": "local", "command": ["/gone/muster", "mcp"]}}}', "broken"),
        ('{"mcp": {"muster": {"type": "local", "command": ["/bin/sh", "mcp"]}}}', "ok"),
        ('{"mcp": {"other": {}}}', "warning"),
    ],
)
def test_configuration_that_does_not_work_is_told(well, config, state):
    (well.config / "opencode.jsonc").write_text(config)
    assert doctor(well, "--fix")["opencode config"]["state"] == state
    assert (well.config / "opencode.jsonc").read_text() == config


def test_same_tools_offered_twice_are_told(well):
    well.init("--mcp")
    assert states(doctor(well)) == {"opencode config": "warning"}


def test_command_that_is_gone_is_told_before_the_bridge_needs_it(well):
    (well.folder / "bin" / "muster").unlink()
    assert states(doctor(well)) == {"opencode config": "broken"}


def test_programs_that_are_absent_or_too_old_are_told(well):
    (well.folder / "bin" / "rg").unlink()
    (well.folder / "bin" / "git").write_text("#!/bin/sh\necho git version 2.30.1\n")
    (well.folder / "bin" / "opencode").write_text("#!/bin/sh\necho 2.0.0\n")
    assert states(doctor(well)) == {"opencode": "broken", "git": "warning", "ripgrep": "warning"}


def test_agent_may_look_but_not_mend(well, monkeypatch):
    monkeypatch.setenv("MUSTER_SERVER", "srv_x")
    assert states(doctor(well)) == {}
    assert well.say("doctor", "--fix", "--json")[0] == 3


def test_person_reads_a_line_for_each_part_and_what_to_do(well):
    well.home.chmod(0o755)
    code, out, _ = well.say("doctor")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines[:4]] == ["ok", "ok", "ok", "warning"]
    assert lines[4].strip().startswith("next: `muster doctor --fix`, or: chmod 700 ")
    assert lines[-1] == f"{len(CHECKS)} parts looked at: 1 warning."

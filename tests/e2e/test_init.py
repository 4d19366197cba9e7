"""`muster init` and `--undo`, as the real OpenCode sees them, in a home of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.stage import MUSTER, OPENCODE, repository, wants_opencode
from muster.rehearsal.home import throwaway_home

pytestmark = wants_opencode

CONFIG = b"""\xef\xbb\xbf{
  // every comment stays
  "$schema": "https://opencode.ai/config.json",\r
  "plugin": [], /* none yet */
  "mcp": {
    "other": { "type": "local", "command": ["true"], "enabled": false }, // off
  },
}
"""


class Machine:
    """A user's home with the real OpenCode on the PATH."""

    def __init__(self, folder: Path) -> None:
        tools = f"{Path(OPENCODE or '').parent}:/usr/bin:/bin"
        self.env = {
            **throwaway_home(folder / "home"),
            "PATH": tools,
            "MUSTER_HOME": str(folder / "muster"),
            "MUSTER_CFG_PORT": "0",
        }
        self.project = repository(folder / "project")
        self.config = Path(self.env["XDG_CONFIG_HOME"]) / "opencode"

    def run(self, *words: str) -> str:
        env = {**self.env, "PWD": str(self.project)}
        done = subprocess.run(words, env=env, cwd=self.project, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def in_force(self) -> Any:
        return json.loads(self.run(str(OPENCODE), "debug", "config"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_opencode_sees_what_init_put_in_and_nothing_after_its_undo(machine):
    file = machine.config / "opencode.jsonc"
    file.write_bytes(CONFIG)
    before = machine.in_force()
    machine.run(*MUSTER, "init", "--mcp")
    with_muster = machine.in_force()
    [[url, options]] = with_muster["plugin"]
    assert url == (Path(machine.env["MUSTER_HOME"]) / "bridge.js").as_uri()
    assert os.access(options["command"][0], os.X_OK)
    assert with_muster["mcp"].keys() == {"other", "muster"}
    machine.run(*MUSTER, "init", "--undo")
    assert file.read_bytes() == CONFIG
    assert machine.in_force() == before


def test_opencode_keeps_the_users_plugins_beside_the_bridge(machine):
    (machine.config / "opencode.json").write_text('{"plugin": ["file:///of/the/user.js"]}')
    (machine.config / "opencode.jsonc").write_text('{"username": "ada"}')
    machine.run(*MUSTER, "init")
    plugins = machine.in_force()["plugin"]
    assert plugins[0] == "file:///of/the/user.js"
    assert plugins[1][0].endswith("/bridge.js")


def test_opencode_that_never_ran_gets_one_file_and_loses_it_again(machine):
    machine.run(*MUSTER, "init")
    assert len(machine.in_force()["plugin"]) == 1
    machine.run(*MUSTER, "init", "--undo")
    assert not list(machine.config.glob("opencode.json*"))


def test_doctor_finds_all_well_beside_a_hub_and_starts_the_real_opencode(machine):
    machine.run(*MUSTER, "init")
    machine.run(*MUSTER, "up")
    try:
        told = json.loads(machine.run(*MUSTER, "doctor", "--deep", "--json"))["checks"]
    finally:
        machine.run(*MUSTER, "down")
    assert [one for one in told if one["state"] != "ok" and one["part"] != "ripgrep"] == []
    assert "opencode starts" in {one["part"] for one in told}

"""A project's own settings, as a hub applies them to the fleets that are spawned there."""

import json
from pathlib import Path
from typing import Any

from e2e.programs import Machine, machine
from e2e.stage import repository


def wish(project: Path) -> str:
    return json.dumps({"agents": [{"role": "one", "prompt": "go"}], "project": str(project)})


def spawn(on: Machine, project: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What spawning answered, and the fleet's budget. No OpenCode is needed for that."""
    spawned = on.muster("call", "fleet.spawn", "--json", wish(project)).json
    told = on.muster("call", "fleet.status", "--json", json.dumps({"fleet_id": spawned["fleet_id"]})).json
    return spawned, told["fleet"]["budget"]


def test_fleet_gets_more_than_the_users_own_ceilings_only_after_trust_and_is_told_so(tmp_path: Path) -> None:
    project = repository(tmp_path / "project")
    (project / ".muster").mkdir()
    (project / ".muster" / "config.toml").write_text("max_tokens_per_fleet = 0\nmax_seconds_per_fleet = 60\n")
    with machine(tmp_path) as on:
        on.muster("up", MUSTER_CFG_OPENCODE="/nowhere/opencode")
        spawned, budget = spawn(on, project)
        assert budget["max_tokens"] == 5_000_000
        assert budget["max_seconds"] == 60
        assert [note for note in spawned["notes"] if "muster trust" in note]
        assert on.muster("trust", str(project)).code == 0
        spawned, budget = spawn(on, project)
        assert budget["max_tokens"] == 0
        assert not [note for note in spawned["notes"] if "muster trust" in note]
        (project / ".muster" / "config.toml").write_text("port = 1\n")
        refused = on.muster("call", "fleet.spawn", "--json", wish(project))
        assert (refused.code, refused.error["facts"]["key"]) == (2, "port")
        assert on.muster("call", "fleet.spawn", "--json", wish(tmp_path)).code == 0  # it means nothing elsewhere
        on.muster("down")

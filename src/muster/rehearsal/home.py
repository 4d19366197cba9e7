"""A throw-away home for the real OpenCode, so that a rehearsal neither reads nor writes anything of the user's."""

import json
from collections.abc import Mapping
from pathlib import Path

PLUGIN = "@opencode-ai/plugin"  # what OpenCode fetches from npm into a new home at its first start


def throwaway_home(folder: Path) -> Mapping[str, str]:
    """The environment variables of a home in a folder of its own, in which OpenCode needs no network to start."""
    kinds = ("DATA", "CONFIG", "STATE", "CACHE")
    homes = {f"XDG_{kind}_HOME": folder / kind.lower() for kind in kinds}
    for path in homes.values():
        path.mkdir(parents=True, exist_ok=True)
    _look_used(homes["XDG_CONFIG_HOME"] / "opencode")
    told = {name: str(path) for name, path in homes.items()}
    return {"HOME": str(folder), "OPENCODE_DISABLE_MODELS_FETCH": "1", **told}


def _look_used(config: Path) -> None:
    """OpenCode asks whether node_modules is there and the lock names every dependency; then it installs nothing.

    What is in the folder it does not ask, and a plugin without imports, as the bridge is, misses nothing.
    """
    wanted = {"dependencies": {PLUGIN: "*"}}
    (config / "node_modules").mkdir(parents=True, exist_ok=True)
    (config / "package.json").write_text(json.dumps(wanted))
    (config / "package-lock.json").write_text(json.dumps({"packages": {"": wanted}}))

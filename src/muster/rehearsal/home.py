"""A throw-away home for the real OpenCode, so that a rehearsal neither reads nor writes anything of the user's."""

import json
from collections.abc import Mapping
from pathlib import Path

PLUGIN = Path("@opencode-ai") / "plugin"  # what OpenCode fetches into a new home at its first start


def throwaway_home(folder: Path, packages: Path | None = None) -> Mapping[str, str]:
    """The environment variables of a home in an empty folder.

    `packages` is a node_modules that holds `@opencode-ai/plugin`: with it the home is like one in which OpenCode was
    used before, and its first start waits for no network.
    """
    kinds = ("DATA", "CONFIG", "STATE", "CACHE")
    homes = {f"XDG_{kind}_HOME": folder / kind.lower() for kind in kinds}
    for path in homes.values():
        path.mkdir(parents=True)
    if packages is not None and (packages / PLUGIN).exists():
        _use_before(homes["XDG_CONFIG_HOME"] / "opencode", packages)
    told = {name: str(path) for name, path in homes.items()}
    return {"HOME": str(folder), "OPENCODE_DISABLE_MODELS_FETCH": "1", **told}


def _use_before(config: Path, packages: Path) -> None:
    """OpenCode looks for the folder, and whether its lock names every dependency; then it installs nothing."""
    wanted = {"dependencies": {str(PLUGIN): "*"}}
    config.mkdir()
    (config / "node_modules").symlink_to(packages)
    (config / "package.json").write_text(json.dumps(wanted))
    (config / "package-lock.json").write_text(json.dumps({"packages": {"": wanted}}))

"""The environment that a host server starts with. Pure, but for `os.environ` handed in by the caller."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: configuration is JSON, which has no finite type

import json5

from muster.errors import HostFailed
from muster.hosts.contract import ServerWish
from muster.hosts.opencode.processes import SERVER_MARK

BRIDGE = Path(__file__).with_name("bridge.js")
CONTENT = "OPENCODE_CONFIG_CONTENT"
# A user name of the user's own would be another login than the one that we speak with.
FOREIGN = ("OPENCODE_SERVER_USERNAME",)
# What JavaScriptCore takes for the machine's memory, by which it decides how long garbage may lie: 20 directories in
# one server then hold 1,230 MiB, where they held 1,400 to 1,520 on a machine of 24 GiB, and start as quickly.
HEAP: dict[str, str] = {"BUN_JSC_forceRAMSize": str(1536 * 1024**2)}

Config = dict[str, Any]


def database(wish: ServerWish) -> Path:
    return wish.folder / "opencode.db"


def temporary(wish: ServerWish) -> Path:
    return wish.folder / "tmp"


def token_file(wish: ServerWish) -> Path:
    return wish.folder / "bridge.token"


def server_environment(env: Mapping[str, str], wish: ServerWish, extra: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without anything of the hub's own, and with what makes a server this one."""
    kept = {name: value for name, value in env.items() if not name.startswith("MUSTER_") and name not in FOREIGN}
    kept = HEAP | kept | dict(extra)
    return kept | {
        SERVER_MARK: wish.id,
        "PWD": str(wish.folder),
        "TMPDIR": str(temporary(wish)),
        "OPENCODE_DB": str(database(wish)),
        "OPENCODE_SERVER_PASSWORD": wish.password,
        CONTENT: json.dumps(_config(kept.get(CONTENT), wish)),
    }


def _config(existing: str | None, wish: ServerWish) -> Config:
    bridge = {
        "server": wish.id,
        "hub_file": str(wish.hub_file),
        "token_file": str(token_file(wish)),
        "config_content": existing or "",
    }
    ours: Config = {
        "autoupdate": False,
        # A copy of each directory for OpenCode's own undo: of a worktree the hub keeps one, and of a shared checkout
        # taking back one agent's turn would take back what the others did since.
        "snapshot": False,
        # One refusal takes with it what else the session asks at that moment; without this that would end the turn.
        "experimental": {"continue_loop_on_deny": True},
        "plugin": [[BRIDGE.as_uri(), bridge]],
        # The user's own entry would serve agents as the operator; the bridge serves them as themselves.
        "mcp": {"muster": {"enabled": False}},
    }
    return merge(parse_config(existing, CONTENT), ours)


def parse_config(text: str | None, where: str) -> Config:
    """JSON with comments and trailing commas, as OpenCode reads it. Raises `HostFailed`."""
    if not text or not text.strip():
        return {}
    try:
        config = json5.loads(text)
    except ValueError as exc:
        raise HostFailed(host="opencode", why=f"{where} is not JSON: {exc}") from exc
    if not isinstance(config, dict):
        raise HostFailed(host="opencode", why=f"{where} is not a JSON object")
    return config


def merge(below: Config, above: Config) -> Config:
    """Objects are merged deeply, lists of plugins are joined, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif key == "plugin" and isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *value]
        else:
            merged[key] = value
    return merged

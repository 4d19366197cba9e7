"""The user's own OpenCode, and what of Muster stands in its configuration."""

import os
import tempfile
from pathlib import Path
from typing import Any  # configuration is JSON
from urllib.parse import unquote, urlsplit

import anyio

from muster.doctor.finding import Case, Finding, broken, ok, warning
from muster.hosts.contract import ServerWish
from muster.hosts.opencode import entries
from muster.hosts.opencode.host import OpenCodeHost
from muster.installation.init import bridge, configuration, find_opencode, has_bridge, lay_bridge
from muster.model.ids import ServerId

INIT = "Run `muster init`."


def program(case: Case) -> Finding:
    """Raises HostMissing, HostVersionUnknown, HostFailed."""
    found = find_opencode(case.settings.opencode, case.environment)
    return ok(f"OpenCode {found.version} ({found.path})")


def start(case: Case) -> Finding:
    """Raises HostFailed where a host server cannot be started with the user's configuration."""
    with tempfile.TemporaryDirectory(prefix="muster-doctor-") as folder:
        took = anyio.run(_start, case, Path(folder))
    return ok(f"a host server was ready after {took:.1f} s, and was ended")


def known_to_opencode(case: Case) -> Finding:
    """Raises ConfigurationBroken."""
    config = configuration(case.environment)
    found = entries.bridges(config)
    door = entries.mcp_of(config)
    if not found:
        return _without_bridge(door)
    if len(found) > 1:
        return warning("its configuration has the bridge more than once", "Take out all of its entries but one.")
    if (finding := _of_bridge(case, found[0])) is not None:
        return finding
    if door is not None and door.get("enabled", True) is not False:
        return warning(
            "its configuration has the bridge and an MCP entry `muster`: the same tools are offered twice",
            "Take the MCP entry out, unless you want that.",
        )
    return ok("the bridge is in its configuration")


def _without_bridge(door: dict[str, Any] | None) -> Finding:
    if door is None:
        return warning("its configuration does not know Muster", INIT)
    command = door.get("command")
    if isinstance(command, list) and command and not _runs(str(command[0])):
        return broken(f"its MCP entry `muster` names a command that is gone: {command[0]}", "Correct the entry.")
    return ok("the MCP entry `muster` is in its configuration; the bridge is not")


def _of_bridge(case: Case, entry: list[Any]) -> Finding | None:
    """What is wrong with it. OpenCode itself says nothing when a plugin's file is not there."""
    path, options = Path(unquote(urlsplit(str(entry[0])).path)), entry[1]
    if path != bridge(case.home):
        if path.is_file():
            return warning(f"its bridge belongs to another state folder ({path.parent})", f"{INIT} Or set MUSTER_HOME.")
        return broken(f"its configuration names a bridge that is gone: {path}", INIT)
    if not has_bridge(case.home):
        says = f"{path} is of another version" if path.exists() else f"{path} is gone, and OpenCode starts without it"
        return broken(says, "`muster init`; then restart OpenCode.", lambda: _lay(case))
    if not case.home.offer_file.is_file():
        return broken("its bridge has nothing to offer: a file in the state folder is gone", INIT)
    command = options.get("command")
    if not isinstance(command, list) or not command or not _runs(str(command[0])):
        return broken(f"its bridge cannot start a hub: {command} is gone", INIT)
    return None


def _lay(case: Case) -> None:
    case.home.prepare()
    lay_bridge(case.home)


def _runs(command: str) -> bool:
    return os.path.isfile(command) and os.access(command, os.X_OK)  # noqa: PTH113 - beside its sister


async def _start(case: Case, folder: Path) -> float:
    host = OpenCodeHost(state=folder, program=case.settings.opencode or None, env=case.environment)
    wish = ServerWish(
        id=ServerId(f"doctor_{os.getpid()}"),
        generation=1,
        folder=folder,
        log=folder / "server.log",
        hub_file=folder / "hub.json",
        password="doctor",
        token="doctor",
    )
    begun = anyio.current_time()
    try:
        await host.start(wish)
        return anyio.current_time() - begun
    finally:
        with anyio.CancelScope(shield=True):
            await host.stop(wish.id)

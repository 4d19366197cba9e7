"""Host servers of a state folder, found without a hub: by the database that they were started with."""

from pathlib import Path

import anyio
import psutil

from muster.hosts.opencode.processes import SERVER_MARK, Mark, end_marked


def servers_below(folder: Path) -> dict[int, str]:
    """The processes whose database lies in this folder: pid → server id."""
    found: dict[int, str] = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        database = environment.get("OPENCODE_DB")
        if database and SERVER_MARK in environment and Path(database).is_relative_to(folder):
            found[process.pid] = environment[SERVER_MARK]
    return found


def end_servers_below(folder: Path) -> None:
    """With all that they started. Raises HostFailed where one stays."""
    for server in set(servers_below(folder).values()):
        anyio.run(end_marked, Mark(name=SERVER_MARK, value=server))

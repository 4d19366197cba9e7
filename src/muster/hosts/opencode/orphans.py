"""Host servers of a state folder, found without a hub."""

from pathlib import Path

import anyio
import psutil

from muster.hosts.opencode.processes import SERVER_MARK, STATE_MARK, Mark, end_marked, state_of


def servers_of(state: Path) -> dict[int, str]:
    """The processes that have a server's database, which its agents' shells have not: pid → server id."""
    found: dict[int, str] = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if environment.get("OPENCODE_DB") and environment.get(STATE_MARK) == state_of(state):
            found[process.pid] = environment.get(SERVER_MARK, "")
    return found


def end_servers_of(state: Path) -> None:
    """With all that they started. Raises HostFailed where one stays."""
    for server in set(servers_of(state).values()):
        anyio.run(end_marked, Mark(name=SERVER_MARK, value=server, state=state_of(state)))

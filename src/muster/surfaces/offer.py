"""What the bridge in the person's own OpenCode registers at its start, left in a file so that it asks nobody then.

OpenCode takes a plugin's tools once, at its own start, which must never wait for a hub. So the hub leaves them beside
hub.json whenever it starts, and `muster init` leaves them before any hub ran.
"""

from collections.abc import Iterable, Sequence
from typing import Any  # JSON

from muster.model.actor import OPERATOR
from muster.surfaces.toolkits import Toolkit

DOOR = {
    "name": "muster",
    "description": 'Asked for parallel agents, call it with kind "fleet" and end your turn: your next has the tools.',
    "parameters": {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]},
}
"""Every ordinary chat pays for it on each model call: 300 bytes at most, as OpenCode sends it."""


def offer(toolkits: Iterable[Toolkit], always: Sequence[str]) -> dict[str, Any]:
    """The door, every tool that a lead may have, and the names of those that are shown from the start."""
    return {
        "door": DOOR,
        "tools": [tool for toolkit in toolkits for tool in _tools(toolkit)],
        "always": [tool["name"] for toolkit in toolkits if toolkit.name in always for tool in _tools(toolkit)],
    }


def _tools(toolkit: Toolkit) -> list[dict[str, Any]]:
    return [
        {"name": tool.name, "description": toolkit.describe(tool), "parameters": tool.schema(member=False)}
        for tool in toolkit.offered(OPERATOR)
    ]

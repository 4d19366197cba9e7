"""Muster runs fleets of coding agents. Importing it does nothing.

`muster.Hub` is the hub for programs: `Hub.find()`, then `call`, `ask` and `events`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muster.surfaces.client import Hub as Hub

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Hub":
        from muster.surfaces.client import Hub  # noqa: PLC0415 - the stdio door and most of the hub do without it

        return Hub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

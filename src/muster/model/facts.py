"""What a command may know of the outside: read before it, handed in frozen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A reusable agent definition that a host offers in a directory.

    `mode` is the host's word: `primary`, `subagent` or `all`. `source` says where it was found:
    `built-in`, or the path of the file. `division` is the shelf of a roster it stands on, where it has one.
    `tools` names tools of Muster's that the definition allows expressly (`spawn_fleet`).
    """

    name: str
    description: str
    mode: str
    source: str
    division: str | None = None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory that agents are asked to work in, as it was found.

    `directory` is absolute and exists; `project` is the git top level above it, else the directory itself.
    """

    directory: str
    project: str
    git: bool
    personas: tuple[Persona, ...]

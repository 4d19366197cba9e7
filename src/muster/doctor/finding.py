"""What a check looks at, and what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from muster.config import Settings
from muster.home import Home


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, and something about it is not as it should be
    BROKEN = "broken"  # something that Muster promises does not work before this is mended


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The machine as it is asked about, and where it is asked. `settings`: the defaults where they cannot be read."""

    home: Home
    environment: Mapping[str, str]
    settings: Settings
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`next` says what to do. `mend` does it, where that cannot lose anything."""

    state: State
    says: str
    next: str = ""
    mend: Callable[[], None] | None = None


def ok(says: str) -> Finding:
    return Finding(state=State.OK, says=says)


def warning(says: str, next: str, mend: Callable[[], None] | None = None) -> Finding:
    return Finding(state=State.WARNING, says=says, next=next, mend=mend)


def broken(says: str, next: str, mend: Callable[[], None] | None = None) -> Finding:
    return Finding(state=State.BROKEN, says=says, next=next, mend=mend)


Check = Callable[[Case], Finding]

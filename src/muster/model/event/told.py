"""What an event is, and how one stands in the journal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any  # an event's body is JSON

from muster.model.ids import AgentId, FleetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    fleet: FleetId | None = None
    agent: AgentId | None = None


def event_name(kind: type[Event]) -> str:
    """`RunEnded` → `run.ended`."""
    return _told_as(kind.__name__)


@lru_cache
def _told_as(name: str) -> str:
    noun, *rest = re.findall(r"[A-Z][a-z]*", name)
    return f"{noun.lower()}.{'_'.join(word.lower() for word in rest)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is to be told, as the journal's row will hold it: `body` is JSON."""

    at: datetime
    name: str
    actor: str
    fleet: str | None
    agent: str | None
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact as it was told. `cursor` counts up without end and is never used twice."""

    cursor: int
    at: datetime
    name: str
    actor: str
    fleet: str | None
    agent: str | None
    body: Mapping[str, Any]

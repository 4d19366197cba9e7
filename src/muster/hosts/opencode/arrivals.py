"""How far what was given to a session has got: OpenCode's messages to the seam's `Arrival`. Pure.

What came after something is known by its place among the messages: they stand in the order of their first time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any  # Any: OpenCode's JSON, which has no finite type

from muster.hosts.opencode.translate import RUNNING, is_ended_step, was_asked_with
from muster.model.delivery import Arrival

Json = Mapping[str, Any]


def prompt_arrival(prompt: Json | None, newest: Sequence[Json]) -> Arrival:
    """`prompt` is its message, None where the session has none; `newest` are the newest messages in order."""
    if prompt is None:
        return Arrival.ABSENT
    steps = (one["info"] for one in _after(prompt, newest) if is_ended_step(one["info"]))
    return Arrival.SEEN if any(was_asked_with(prompt, step, newest) for step in steps) else Arrival.STANDS


def call_arrival(message: Json | None, call: str, newest: Sequence[Json], *, at_work: bool) -> Arrival:
    """`message` is the one that the tool was called in."""
    parts = [] if message is None else message["parts"]
    state = next((part["state"]["status"] for part in parts if part.get("callID") == call), None)
    if message is not None and state == "completed":
        later = any(is_ended_step(one["info"]) for one in _after(message, newest))
        return Arrival.SEEN if later else Arrival.STANDS
    return Arrival.PENDING if at_work and (state is None or state in RUNNING) else Arrival.ABSENT


def moment_arrival(moment: datetime, newest: Sequence[Json]) -> Arrival:
    """What an agent got by its shell at a moment."""
    milliseconds = moment.timestamp() * 1000
    later = any(is_ended_step(one["info"]) and one["info"]["time"]["created"] > milliseconds for one in newest)
    return Arrival.SEEN if later else Arrival.STANDS


def _after(message: Json, newest: Sequence[Json]) -> Sequence[Json]:
    """A message older than the newest ones has all of them behind it."""
    ids = [one["info"]["id"] for one in newest]
    return newest[ids.index(message["info"]["id"]) + 1 :] if message["info"]["id"] in ids else newest

"""How long a host server has left us without an answer.

Only what was really watched counts. A hub that stood still, or was starved itself, has heard nobody for a while and
must not take that for their silence.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muster.model.ids import ServerId
from muster.model.server import Server

WATCHED_SECONDS = 6.0  # from one look's end to the next, at most: two seconds' pause, three to answer, and slack


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unanswered:
    generation: int
    seconds: float
    looked_at: float


class Silence:
    """A count in memory: what a restart loses of it is counted anew, and kills nobody too early."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unanswered: dict[ServerId, _Unanswered] = {}

    async def seconds(self, server: Server, ask: Callable[[], Awaitable[bool]]) -> float:
        """Ask once more; how long this server has been asked in vain, 0.0 if it answers."""
        began = self._clock()
        answered = await ask()
        now = self._clock()
        before = self._unanswered.pop(server.id, None)
        if answered:
            return 0.0
        if before is None or before.generation != server.generation:
            before = _Unanswered(generation=server.generation, seconds=0.0, looked_at=began)
        watched = now - before.looked_at
        seconds = before.seconds + watched if watched <= WATCHED_SECONDS else 0.0
        self._unanswered[server.id] = _Unanswered(generation=server.generation, seconds=seconds, looked_at=now)
        return seconds

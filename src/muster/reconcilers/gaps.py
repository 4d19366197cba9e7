"""Notices the time in which nobody looked after the agents: the machine slept, the hub was stopped or away.

Deadlines are moments in the rows; what passes unwatched is added to them, as is a jump of the clock, either way.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import anyio

from muster.commands import runs as run_commands
from muster.engine import Engine
from muster.model.actor import SYSTEM
from muster.views import events as event_views

TICK = timedelta(seconds=1)
LEAST = timedelta(seconds=5)  # less is a busy machine


class Gaps:
    """Ticks, and compares the clock with what a tick should have taken."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled."""
        before = self._clock()
        while True:
            await anyio.sleep(TICK.total_seconds())
            now = self._clock()
            await note_gap(self._engine, now - before - TICK)
            before = now


async def account_for_absence(engine: Engine, clock: Callable[[], datetime]) -> None:
    """At the start of a hub: since the last one's last word nobody looked after the agents that it left at work."""
    last_word = await engine.query(event_views.last_at, SYSTEM)
    if last_word is not None:
        await note_gap(engine, clock() - last_word)


async def note_gap(engine: Engine, gap: timedelta) -> None:
    if abs(gap) > LEAST:
        await engine.execute(run_commands.sleep, SYSTEM, gap=gap)

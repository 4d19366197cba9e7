"""Ends votes at their deadlines, also those that passed while nobody looked: the hub was away, the machine slept."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from muster.commands import decisions as decision_commands
from muster.engine import Engine
from muster.errors import Stale
from muster.model.actor import SYSTEM
from muster.model.event import Entry
from muster.model.ids import MessageId
from muster.reconcilers.queue import Reconciler
from muster.views import decisions as decision_views

LOOK_SECONDS = 5.0  # how often the clock is read: a machine that slept wakes without a hint


class DecisionsReconciler(Reconciler):
    """Its keys are decisions that are open and have a deadline."""

    follows = ("decision.opened",)

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime]) -> None:
        super().__init__(engine)
        self._clock = clock

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(decision_views.timed, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return await self.keys()

    async def reconcile(self, key: str) -> float | None:
        decision = MessageId(key)
        deadline = await self.engine.query(decision_views.deadline, SYSTEM, decision=decision)
        if deadline is None:
            return None
        left = (deadline - self._clock()).total_seconds()
        if left > 0:
            return min(left, LOOK_SECONDS)
        with suppress(Stale):  # a vote, or somebody's sweep, was faster
            await self.engine.execute(decision_commands.resolve, SYSTEM, decision=decision)
        return None

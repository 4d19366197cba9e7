"""Lets queued runs in, first in, first out, as far as the ceilings allow. There is one key: the queue itself."""

from collections.abc import Callable, Iterable
from datetime import datetime

from muster.commands import runs as run_commands
from muster.engine import Engine
from muster.model.actor import SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.model.event import Entry
from muster.reconcilers.queue import Reconciler
from muster.views import runs as run_views

THE_QUEUE = "queue"
MAKES_ROOM = frozenset({"run.queued", "run.ended", "server.stopped", "worktree.ready"})


class AdmissionReconciler(Reconciler):
    workers = 1
    follows = MAKES_ROOM

    def __init__(
        self, engine: Engine, *, ceilings: Ceilings, sharding: Sharding, host: str, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(engine)
        self._ceilings = ceilings
        self._sharding = sharding
        self._host = host
        self._clock = clock

    async def keys(self) -> Iterable[str]:
        waiting = await self.engine.query(run_views.queued, SYSTEM)
        return [THE_QUEUE] if waiting else []

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [THE_QUEUE]

    async def reconcile(self, key: str) -> float | None:
        answer = await self.engine.execute(
            run_commands.admit, SYSTEM, ceilings=self._ceilings, sharding=self._sharding, host=self._host
        )
        return None if answer.next_due is None else max(0.0, (answer.next_due - self._clock()).total_seconds())

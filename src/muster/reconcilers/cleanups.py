"""Ends teams: whenever something of one has settled, sees whether its cleanup can go on."""

from collections.abc import Iterable

from muster.commands import cleanups as cleanup_commands
from muster.engine import Engine
from muster.model.actor import SYSTEM
from muster.model.event import Entry
from muster.model.ids import CleanupId
from muster.reconcilers.queue import Reconciler
from muster.views import teams as team_views

LOOK_SECONDS = 1.0  # a snapshot that tells nothing new is no event
SETTLING = frozenset(
    [
        *("cleanup.asked", "run.ended", "worktree.snapshotted", "worktree.unsnapshotted"),
        *("merge.landed", "merge.conflicted", "merge.refused", "merge.emptied"),
    ]
)


class CleanupsReconciler(Reconciler):
    workers = 1
    follows = SETTLING

    def __init__(self, engine: Engine, *, merges: bool) -> None:
        super().__init__(engine)
        self._merges = merges

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(team_views.cleanups, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return await self.keys()

    async def reconcile(self, key: str) -> float | None:
        await self.engine.execute(cleanup_commands.advance, SYSTEM, cleanup=CleanupId(key), merges=self._merges)
        return LOOK_SECONDS if key in await self.keys() else None

"""Does what the operator wants done with agents' snapshots: brings one back, or lets them go."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from muster.checkpoints import checkpoint
from muster.commands import worktrees as worktree_commands
from muster.engine import Engine
from muster.errors import Conflict, GitFailed
from muster.git import snapshots
from muster.git.project import open_project
from muster.git.worktrees import drop_branch
from muster.model.actor import SYSTEM
from muster.model.errand import ErrandKind, ErrandState
from muster.model.event import Entry
from muster.model.ids import ErrandId
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.snapshots import Snapshots
from muster.views import worktrees as worktree_views
from muster.views.worktrees import Task


class ErrandsReconciler(Reconciler):
    workers = 2
    follows = ("errand.asked",)

    def __init__(self, engine: Engine, kept: Snapshots) -> None:
        super().__init__(engine)
        self._kept = kept

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(worktree_views.errands, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.body["errand"]]

    async def reconcile(self, key: str) -> float | None:
        task = await self.engine.query(worktree_views.task, SYSTEM, errand=ErrandId(key))
        if task.errand.state is not ErrandState.WANTED:
            return None
        does: Callable[[Task], None] = self._restore if task.errand.kind is ErrandKind.RESTORE else self._drop
        error = None
        try:
            await anyio.to_thread.run_sync(does, task, abandon_on_cancel=True)
        except (GitFailed, OSError) as failure:
            error = str(failure)
        checkpoint("worktree.errand:done")
        with suppress(Conflict):
            await self.engine.execute(worktree_commands.end_errand, SYSTEM, errand=task.errand.id, error=error)
        return None

    def _restore(self, task: Task) -> None:
        project = open_project(Path(task.worktree.project))
        folder = None if task.errand.folder is None else Path(task.errand.folder)
        snapshots.restore(project, task.errand.commit, folder=folder, branch=task.errand.branch)

    def _drop(self, task: Task) -> None:
        project = open_project(Path(task.worktree.project))
        snapshots.drop(project, task.worktree.ref, self._kept.keep(project))
        drop_branch(project, task.worktree.branch)

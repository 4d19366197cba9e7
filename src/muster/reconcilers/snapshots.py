"""Takes snapshots of agents' worktrees, for whoever needs one now, and reports them.

Above it: the reconcilers that know the moment (a run has ended, is about to be cut, has worked for a while; a worktree
is to be removed or merged). Below it: git. Taken twice it finds nothing new, so a crash on any line costs nothing.
"""

import hashlib
import logging
import os
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from muster.checkpoints import checkpoint
from muster.commands import worktrees as worktree_commands
from muster.engine import Engine
from muster.errors import GitFailed
from muster.git import snapshots, worktrees
from muster.git.project import open_project
from muster.git.run import Checkout
from muster.git.worktrees import WorktreeWish
from muster.model.actor import SYSTEM
from muster.model.worktree import Occasion, Worktree, WorktreeState

log = logging.getLogger(__name__)

AT_ONCE = 4  # git reads whole checkouts: more of that beside each other is no faster
SAYS = {
    Occasion.IDLE: "The agent's run has ended",
    Occasion.WORK: "The agent is at work",
    Occasion.CUT: "Before the agent is stopped",
    Occasion.REMOVAL: "Before the worktree is removed",
    Occasion.MERGE: "Before it is merged",
}


class Snapshots:
    def __init__(self, engine: Engine, state: Path) -> None:
        self._engine = engine
        self._state = state
        self._places = anyio.CapacityLimiter(AT_ONCE)

    async def take(self, worktree: Worktree, why: Occasion) -> bool:
        """Keep what is in a worktree now. False: it could not be, and the row says why; nothing may be removed then."""
        work = partial(self._taken, worktree, SAYS[why])
        try:
            taken = await anyio.to_thread.run_sync(work, limiter=self._places, abandon_on_cancel=True)
        except (GitFailed, OSError) as error:
            log.warning("snapshot.failed worktree=%s error=%s", worktree.id, error)
            await self._engine.execute(worktree_commands.miss, SYSTEM, worktree=worktree.id, error=str(error))
            return False
        checkpoint("worktree.snapshot:taken")
        await self._engine.execute(
            worktree_commands.keep,
            SYSTEM,
            worktree=worktree.id,
            commit=taken.commit,
            tree=taken.tree,
            tip=taken.tip,
            why=why,
            owed=worktree.owed_since,
        )
        return True

    async def take_of(self, worktree: Worktree | None, why: Occasion, within: float) -> None:
        """Before something that must not wait for ever: an agent that is to be stopped goes on spending meanwhile."""
        if worktree is not None and worktree.state is WorktreeState.READY:
            with anyio.move_on_after(within):
                await self.take(worktree, why)

    def keep(self, project: Checkout) -> Path:
        """The hub's own repository for what is kept of a project's."""
        digest = hashlib.sha256(os.fsencode(project.common)).hexdigest()[:16]
        return self._state / "git" / f"{digest}.git"

    def _taken(self, worktree: Worktree, says: str) -> snapshots.Snapshot:
        project = open_project(Path(worktree.project))
        return snapshots.take(checkout(project, worktree), worktree.ref, self.keep(project), says)


def wish(worktree: Worktree) -> WorktreeWish:
    """What git is asked for."""
    return WorktreeWish(
        project=Path(worktree.project),
        folder=Path(worktree.folder),
        branch=worktree.branch,
        base=worktree.base or "",
    )


def checkout(project: Checkout, worktree: Worktree) -> Checkout:
    """A worktree that was ready once, mended where git does not know it any more. Blocking. Raises GitFailed."""
    try:
        return worktrees.checkout_of(project, Path(worktree.folder))
    except GitFailed:
        return worktrees.create(wish(worktree))

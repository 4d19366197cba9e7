"""Makes worktrees true: creates what is wanted, keeps what is owed, removes what is not wanted any more.

Also looks, at its start, for worktrees of this state folder that no row knows.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from muster.checkpoints import checkpoint
from muster.commands import worktrees as worktree_commands
from muster.engine import Engine
from muster.errors import Conflict, GitFailed, HostFailed, RepositoryHeld
from muster.git import snapshots, worktrees
from muster.git.beside import beside, read
from muster.git.commits import commit_named
from muster.git.lease import hold
from muster.git.project import open_project
from muster.git.run import Checkout
from muster.model.actor import SYSTEM
from muster.model.event import Entry
from muster.model.ids import WorktreeId
from muster.model.run import RunState
from muster.model.server import ServerState
from muster.model.worktree import Beginning, Occasion, Presence, Worktree, WorktreeState
from muster.reconcilers.connections import Connections
from muster.reconcilers.furnishing import furnish
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.snapshots import Snapshots, wish
from muster.reconcilers.strays import Strays
from muster.views import worktrees as worktree_views
from muster.views.worktrees import House

log = logging.getLogger(__name__)

STRAYS = "strays"  # a key beside the worktrees' ids
WORK = timedelta(minutes=5)  # between two snapshots of an agent at work
RETRY_SECONDS = 30.0  # after a snapshot that could not be taken
AT_ONCE = 4
OF_A_RUN = frozenset({"run.queued", "run.started", "run.ended", "agent.cancelled"})
R = TypeVar("R")


class WorktreesReconciler(Reconciler):
    """`state` is the hub's folder, by which a repository knows whose its worktrees are.

    Between two snapshots of an agent at work lies `every`.
    """

    def __init__(
        self,
        engine: Engine,
        connections: Connections,
        snapshots: Snapshots,
        *,
        state: Path,
        clock: Callable[[], datetime],
        every: timedelta = WORK,
    ) -> None:
        super().__init__(engine)
        self._connections = connections
        self._snapshots = snapshots
        self._state = state
        self._clock = clock
        self._every = every
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._strays = Strays(engine, snapshots, state / "worktrees")
        self._looked = False

    async def keys(self) -> Iterable[str]:
        pending = await self.engine.query(worktree_views.pending, SYSTEM)
        first, self._looked = not self._looked, True
        return [*([STRAYS] if first else []), *pending]

    async def moved(self, entries: Collection[Entry]) -> Iterable[str]:
        """One question about all runs that moved: most agents have no worktree."""
        named = [entry.body["worktree"] for entry in entries if "worktree" in entry.body]
        agents = {entry.agent for entry in entries if entry.name in OF_A_RUN and entry.agent is not None}
        found = await self.engine.query(worktree_views.of_agents, SYSTEM, agents=sorted(agents)) if agents else []
        return dict.fromkeys([*named, *found])

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return await self.moved([entry])

    async def reconcile(self, key: str) -> float | None:
        if key == STRAYS:
            await self._strays.look()
            return None
        house = await self.engine.query(worktree_views.house, SYSTEM, worktree=WorktreeId(key))
        worktree = house.worktree
        match worktree.wanted, worktree.state:
            case (Presence.ABSENT, WorktreeState.REMOVED) | (Presence.PRESENT, WorktreeState.FAILED):
                return None
            case Presence.ABSENT, _:
                return await self._remove(house)
            case Presence.PRESENT, WorktreeState.ASKED:
                await self._make(house)
                return None
        return await self._tend(house)

    # ── there ────────────────────────────────────────────────────────────────────────────────────

    async def _make(self, house: House) -> None:
        worktree = house.worktree
        try:
            error = await self._built(worktree)
        except (GitFailed, RepositoryHeld) as refusal:
            error = refusal.message
        with suppress(Conflict):  # it is not wanted any more, which is looked at next
            if error is None:
                checkpoint("worktree.create:made")
                await self.engine.execute(worktree_commands.ready, SYSTEM, worktree=worktree.id)
            else:
                await self.engine.execute(worktree_commands.fail, SYSTEM, worktree=worktree.id, error=error)

    async def _built(self, worktree: Worktree) -> str | None:
        """What went wrong in the setup, if anything did. Raises GitFailed."""
        project = await self._git(open_project, Path(worktree.project))
        await self._git(hold, project, self._state)
        base = worktree.base or await self._begin(worktree, project)
        await self._git(_checked_out, project, worktree.rest_on(base))
        checkpoint("worktree.create:checked_out")
        private = await self._git(self._private, project, worktree)
        furnished = replace(worktree, copy=tuple(dict.fromkeys([*worktree.copy, *private])))
        return await furnish(furnished, beside(Path(worktree.folder)), os.environ)

    async def _begin(self, worktree: Worktree, project: Checkout) -> str:
        """Agents that were asked for together begin as the same commit, whoever is made first."""
        base = await self._git(self._base_of, project, worktree)
        return await self.engine.execute(worktree_commands.rest_on, SYSTEM, worktree=worktree.id, base=base)

    def _base_of(self, project: Checkout, worktree: Worktree) -> str:
        is_dirty = worktree.begins_as is Beginning.DIRTY
        return worktrees.base_of(project, dirty=is_dirty, along=self._configured_by(worktree))

    def _private(self, project: Checkout, worktree: Worktree) -> list[str]:
        """What of the host's configuration git ignores is no part of any commit: it is copied."""
        found = worktrees.ignored(project, self._configured_by(worktree))
        return [str(path.relative_to(project.work_tree)) for path in found]

    def _configured_by(self, worktree: Worktree) -> list[Path]:
        """The host's configuration in the project. An agent without it might do more than the user allows there."""
        directory = str(Path(worktree.project) / worktree.subfolder)
        return [path for host in self._connections.hosts for path in host.configured_by(directory)]

    async def _tend(self, house: House) -> float | None:
        """A snapshot where one is owed, or was not taken for long; and a look whether the folder is there still."""
        worktree, run = house.worktree, house.run
        if worktree.owed_since is not None:
            return await self._keep(worktree, Occasion.IDLE)
        if run.state is RunState.QUEUED and not await self._git(Path(worktree.workplace).is_dir):
            await self.engine.execute(worktree_commands.recall, SYSTEM, worktree=worktree.id)
        if run.state is not RunState.WORKING or run.started_at is None:
            return None
        since = max(worktree.snapshot_at or run.started_at, run.started_at)
        left = since + self._every - self._clock()
        return left.total_seconds() if left > timedelta() else await self._keep(worktree, Occasion.WORK)

    async def _keep(self, worktree: Worktree, why: Occasion) -> float:
        return 0.0 if await self._snapshots.take(worktree, why) else RETRY_SECONDS

    # ── gone ─────────────────────────────────────────────────────────────────────────────────────

    async def _remove(self, house: House) -> float | None:
        """First a snapshot: without one nothing is removed. Where nobody has ever worked there is nothing to keep."""
        worktree = house.worktree
        note = read(Path(worktree.folder))
        if note is not None and note.is_ready and not await self._snapshots.take(worktree, Occasion.REMOVAL):
            return RETRY_SECONDS
        checkpoint("worktree.remove:kept")
        await self._let_go(house)
        try:
            await self._git(_removed, worktree)
        except GitFailed as error:
            await self.engine.execute(worktree_commands.miss, SYSTEM, worktree=worktree.id, error=error.message)
            return RETRY_SECONDS
        checkpoint("worktree.remove:removed")
        with suppress(Conflict):
            await self.engine.execute(worktree_commands.gone, SYSTEM, worktree=worktree.id)
        return None

    async def _let_go(self, house: House) -> None:
        """The host server keeps what it has loaded of a directory until it is told."""
        if house.server is None or house.server.state is not ServerState.READY:
            return
        with suppress(HostFailed):
            await (await self._connections.to(house.server)).forget(house.worktree.workplace)

    async def _git(self, work: Callable[..., R], *arguments: object) -> R:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._places, abandon_on_cancel=True)


def _checked_out(project: Checkout, worktree: Worktree) -> None:
    """The folder as it was left, where it was there before; else as the newest snapshot has it, or as the base."""
    if worktree.snapshot is None or Path(worktree.folder).is_dir():
        worktrees.create(wish(worktree))
    else:
        tip = commit_named(project, f"refs/heads/{worktree.branch}") or worktree.snapshot_tip or worktree.base or ""
        snapshots.refill(worktrees.create(replace(wish(worktree), base=tip)), worktree.snapshot)
    Path(worktree.workplace).mkdir(parents=True, exist_ok=True)


def _removed(worktree: Worktree) -> None:
    project = open_project(Path(worktree.project))
    worktrees.remove(Checkout(common=project.common, git_dir=project.git_dir, work_tree=Path(worktree.folder)))

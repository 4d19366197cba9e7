"""Looks ahead: compares what the agents of a fleet have changed, while they work, and has clashes told.

An agent's tree is compared with the others' once, after each snapshot that holds something new. Names come first, for
they cost next to nothing; git's merge is asked only where they meet, and so often in a second at most.
"""

import logging
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from muster.commands import clashes as clash_commands
from muster.engine import Engine
from muster.errors import GitFailed
from muster.git.conflicts import Conflict
from muster.git.project import open_project
from muster.git.radar import Changes, Side, clash, meet
from muster.model.actor import SYSTEM
from muster.model.clash import Contested, Finding
from muster.model.event import Entry
from muster.model.ids import FleetId
from muster.reconcilers.queue import Reconciler
from muster.views import clashes as clash_views
from muster.views.clashes import Branch, Sweep

log = logging.getLogger(__name__)


class RadarReconciler(Reconciler):
    """Its keys are fleets. `pairs_per_second` bounds the merges that are tried, in all fleets together."""

    workers = 1
    follows = ("worktree.snapshotted",)

    def __init__(self, engine: Engine, *, pairs_per_second: int) -> None:
        super().__init__(engine)
        self._pause = 1.0 / pairs_per_second
        self._next = 0.0
        self._changes = Changes()

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(clash_views.due, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.fleet] if entry.fleet else []

    async def reconcile(self, key: str) -> float | None:
        """One agent at a time, so that a large fleet does not keep the others waiting."""
        sweep = await self.engine.query(clash_views.sweep, SYSTEM, fleet=FleetId(key))
        one = next((branch for branch in sweep.branches if not branch.is_compared), None)
        if one is None:
            return None
        findings = await self._look(one, _concerned(sweep, one), sweep)
        await self.engine.execute(clash_commands.note, SYSTEM, worktree=one.worktree, tree=one.tree, findings=findings)
        return 0.0

    async def _look(self, one: Branch, others: Iterable[Branch], sweep: Sweep) -> list[Finding]:
        """What git cannot read is not known to clash, until the next snapshot."""
        findings = []
        for other in others:
            try:
                found = await self._compare(one, other)
            except GitFailed as error:
                log.warning("radar.blind agent=%s other=%s error=%s", one.agent, other.agent, error)
                continue
            if found is not None:
                findings.append(Finding(other=other.agent, tree=other.tree, contested=found))
            elif frozenset((one.agent, other.agent)) in sweep.clashes:
                findings.append(Finding(other=other.agent, tree=other.tree))
        return findings

    async def _compare(self, one: Branch, other: Branch) -> tuple[Contested, ...] | None:
        """None: their names do not even meet."""
        project = await anyio.to_thread.run_sync(open_project, Path(one.project))
        sides = Side(one.base, one.tip), Side(other.base, other.tip)
        paths = [await anyio.to_thread.run_sync(self._changes.of, project, side) for side in sides]
        if not meet(*paths):
            return None
        await self._wait_turn()
        ask = partial(clash, project, *sides, among=paths[0] | paths[1])
        return tuple(_contested(conflict) for conflict in await anyio.to_thread.run_sync(ask))

    async def _wait_turn(self) -> None:
        now = time.monotonic()
        begin = max(now, self._next)
        self._next = begin + self._pause
        await anyio.sleep(begin - now)


def _contested(conflict: Conflict) -> Contested:
    sides = tuple((hunk.ours, hunk.theirs) for hunk in conflict.hunks)
    return Contested(path=conflict.path, kind=conflict.kind, sides=sides)


def _concerned(sweep: Sweep, one: Branch) -> list[Branch]:
    """Those of the same project that are worth a look: one of the two works, or there is a clash that may be over."""
    return [other for other in sweep.branches if other is not one and _matters(sweep, one, other)]


def _matters(sweep: Sweep, one: Branch, other: Branch) -> bool:
    known = sweep.clashes.get(frozenset((one.agent, other.agent)))
    if one.project != other.project or (
        known is not None and known.compares({one.agent: one.tree, other.agent: other.tree})
    ):
        return False
    return one.is_at_work or other.is_at_work or (known is not None and known.stands)

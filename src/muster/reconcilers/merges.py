"""Makes merges true, one at a time in a project: sees whether one fits, writes it path by path, takes one back.

Each step is found in the rows again after a crash. What is to be written stands there whole before the first file is
touched, and a path that is written already is only noted.
"""

import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any  # a coroutine's own affairs

import anyio.to_thread
from anyio import from_thread

from muster.checkpoints import checkpoint
from muster.commands import merges as merge_commands
from muster.engine import Engine
from muster.errors import GitFailed, Stale, UnknownSetting
from muster.git.landing import Landed, Outcome, land, undo
from muster.git.project import in_progress, open_project
from muster.git.run import Checkout
from muster.model.actor import SYSTEM
from muster.model.change import PathChange
from muster.model.event import Entry
from muster.model.merge import LandAs, Merge, MergeFacts, MergeState, PathNote, PathState
from muster.model.worktree import Occasion, Worktree, WorktreeState
from muster.reconcilers.checks import Checks
from muster.reconcilers.committing import advance, retreat
from muster.reconcilers.fitting import AGAIN, IN_THE_MIDST, Against, Fits, Nothing, fit, has_nothing_new, unkept
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.snapshots import Snapshots
from muster.views import merges as merge_views
from muster.views import worktrees as worktree_views
from muster.views.merges import MergeWork

Steps = Generator[Landed, None, None]
Note = Callable[[Sequence[str]], Coroutine[Any, Any, None]]

PIECE_SECONDS = 0.5  # of writing, between two reports; a hub that is to end waits for no more
WANTED = frozenset({"merge.requested", "merge.undo_asked"})


class MergesReconciler(Reconciler):
    """Its keys are projects."""

    workers = 4
    follows = WANTED

    def __init__(self, engine: Engine, snapshots: Snapshots, checks: Checks) -> None:
        super().__init__(engine)
        self._snapshots = snapshots
        self._checks = checks

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(merge_views.projects, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.body["project"]]

    async def reconcile(self, key: str) -> float | None:
        work = await self.engine.query(merge_views.next_, SYSTEM, project=key)
        if work is None:
            return None
        with suppress(Stale):  # it was withdrawn meanwhile
            if work.merge.state is MergeState.COMPUTED:
                await self._land(work)
            elif work.merge.undo_wanted:
                await self._undo(work)
            else:
                await self._compute(work)
        return 0.0

    # ── does it fit ──────────────────────────────────────────────────────────────────────────────

    async def _compute(self, work: MergeWork) -> None:
        merge = work.merge.id
        answer: Fits | Against | Nothing | None
        try:
            answer = await self._answer(work)
            if isinstance(answer, Fits):
                answer = await self._checked(work, answer)
        except (GitFailed, UnknownSetting, OSError) as error:
            why = str(error) if isinstance(error, OSError) else error.message
            answer = Against(facts=MergeFacts(why=why, next=AGAIN.format(agent=work.merge.agent)))
        match answer:
            case Fits():
                checkpoint("merge.compute:kept")
                await self.engine.execute(
                    merge_commands.compute, SYSTEM, merge=merge, plan=answer.plan, changes=answer.changes
                )
            case Against(is_conflict=True):
                await self.engine.execute(merge_commands.conflict, SYSTEM, merge=merge, facts=answer.facts)
            case Against():
                await self.engine.execute(merge_commands.refuse, SYSTEM, merge=merge, facts=answer.facts)
            case Nothing():
                await self.engine.execute(merge_commands.find_nothing, SYSTEM, merge=merge)

    async def _checked(self, work: MergeWork, fits: Fits) -> Fits | None:
        """None: it is not its turn to be written yet, or never; that is reported."""
        command = await self._checks.command_of(work)
        if not command:
            return fits
        if work.merge.checked == fits.plan.tree:
            return replace(fits, plan=replace(fits.plan, check=command))
        if work.merge.checked is not None:
            await self.engine.execute(merge_commands.put_back, SYSTEM, merge=work.merge.id)
        else:
            await self._checks.judge(work, fits, command, self._snapshotted)
        return None

    async def _answer(self, work: MergeWork) -> Fits | Against | Nothing:
        worktree = await self._snapshotted(work)
        if worktree.snapshot_error is not None:
            return unkept(work, worktree.snapshot_error)
        is_plain = work.merge.land_as is LandAs.WORKING_TREE
        if is_plain and await anyio.to_thread.run_sync(has_nothing_new, work, worktree):
            return Nothing()
        return await anyio.to_thread.run_sync(fit, work, worktree)

    async def _snapshotted(self, work: MergeWork) -> Worktree:
        """With its newest snapshot. For what lands by itself that is the one that the fleet's quiet waited for."""
        worktree = work.worktree
        is_new = worktree.snapshot is not None and worktree.owed_since is None and worktree.snapshot_error is None
        if worktree.state is WorktreeState.REMOVED or (work.merge.by_itself and is_new):
            return worktree
        await self._snapshots.take(worktree, Occasion.MERGE)
        return (await self.engine.query(worktree_views.house, SYSTEM, worktree=worktree.id)).worktree

    # ── the user's files ─────────────────────────────────────────────────────────────────────────

    async def _land(self, work: MergeWork) -> None:
        planned = [path.change for path in work.paths if path.state is PathState.PLANNED]
        project = await anyio.to_thread.run_sync(open_project, Path(work.merge.project))
        why = await anyio.to_thread.run_sync(_barred, project, work.merge, planned)
        if why is not None:
            obstacle = PathNote(path=work.merge.ref or planned[0].path, why=why)
            await self.engine.execute(merge_commands.stop, SYSTEM, merge=work.merge.id, obstacle=obstacle)
            return
        if work.merge.ref is not None:
            checkpoint("merge.advance:moved")
        if not planned:
            await self.engine.execute(merge_commands.write, SYSTEM, merge=work.merge.id, paths=())
            return
        try:
            stuck = await self._walk(land(project, planned), partial(self._note_written, work), past_obstacles=False)
        except GitFailed as error:  # before anything was written: the contents could not be made
            stuck = [PathNote(path=planned[0].path, why=error.message)]
        if stuck:
            await self.engine.execute(merge_commands.stop, SYSTEM, merge=work.merge.id, obstacle=stuck[0])

    async def _note_written(self, work: MergeWork, paths: Sequence[str]) -> None:
        checkpoint("merge.write:written")
        await self.engine.execute(merge_commands.write, SYSTEM, merge=work.merge.id, paths=paths)

    async def _undo(self, work: MergeWork) -> None:
        try:
            answer = await self._take_back(work)
        except GitFailed as error:
            answer = error.message
        if isinstance(answer, str):
            await self.engine.execute(merge_commands.keep, SYSTEM, merge=work.merge.id, why=answer)
        else:
            await self.engine.execute(merge_commands.end_undo, SYSTEM, merge=work.merge.id, kept=answer)

    async def _take_back(self, work: MergeWork) -> str | list[PathNote]:
        """Why it cannot be done now; or the paths that stay as they are."""
        project = await anyio.to_thread.run_sync(open_project, Path(work.merge.project))
        if (what := await anyio.to_thread.run_sync(in_progress, project)) is not None:
            return IN_THE_MIDST.format(what=what, project=work.merge.project)
        standing = [path.change for path in work.paths if path.state is PathState.WRITTEN]
        if work.merge.ref is not None:
            why = await anyio.to_thread.run_sync(retreat, project, work.merge, work.name, standing)
            if why is not None:
                return why
        return await self._walk(undo(project, standing), partial(self._note_undone, work), past_obstacles=True)

    async def _note_undone(self, work: MergeWork, paths: Sequence[str]) -> None:
        checkpoint("merge.take_back:undone")
        await self.engine.execute(merge_commands.take_back, SYSTEM, merge=work.merge.id, paths=paths)

    async def _walk(self, steps: Steps, note: Note, *, past_obstacles: bool) -> list[PathNote]:
        """Path by path, in a thread; what is done is noted in pieces. Returns what could not be, the first or all."""

        def told(paths: Sequence[str]) -> None:
            from_thread.run(note, paths)

        return await anyio.to_thread.run_sync(partial(_stepped, steps, told, past_obstacles=past_obstacles))


def _barred(project: Checkout, merge: Merge, planned: Sequence[PathChange]) -> str | None:
    """What has come up since it was computed, and the ref's move where it lands by one. The user may merge by now."""
    if (planned or merge.ref) and (what := in_progress(project)) is not None:
        return IN_THE_MIDST.format(what=what, project=merge.project)
    return None if merge.ref is None else advance(project, merge, planned)


def _stepped(steps: Steps, note: Callable[[Sequence[str]], None], *, past_obstacles: bool) -> list[PathNote]:
    blocked: list[PathNote] = []
    with closing(steps):
        while piece := _piece(steps, past_obstacles=past_obstacles):
            if done := [step.change.path for step in piece if step.outcome is not Outcome.BLOCKED]:
                note(done)
            blocked += [_why(step) for step in piece if step.outcome is Outcome.BLOCKED]
            if blocked and not past_obstacles:
                break
            from_thread.check_cancelled()
    return blocked


def _piece(steps: Steps, *, past_obstacles: bool) -> list[Landed]:
    deadline = time.monotonic() + PIECE_SECONDS
    piece = []
    for step in steps:
        piece.append(step)
        if time.monotonic() > deadline or (step.outcome is Outcome.BLOCKED and not past_obstacles):
            break
    return piece


def _why(step: Landed) -> PathNote:
    return PathNote(path=step.change.path, why=step.why)

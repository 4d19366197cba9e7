"""Folders among the worktrees that no row knows, of a database that was lost or set back: kept, then removed."""

from functools import partial
from pathlib import Path

import anyio.to_thread

from muster.commands import worktrees as worktree_commands
from muster.engine import Engine
from muster.errors import GitFailed
from muster.git import snapshots, worktrees
from muster.git.beside import read
from muster.git.run import Checkout
from muster.model.actor import SYSTEM
from muster.reconcilers.snapshots import Snapshots
from muster.views import worktrees as worktree_views

SAYS = "A worktree that no row knew"


class Strays:
    """`root` is the folder of all worktrees."""

    def __init__(self, engine: Engine, kept: Snapshots, root: Path) -> None:
        self._engine = engine
        self._kept = kept
        self._root = root

    async def look(self) -> None:
        """Folders are looked for before the rows, so that none is taken for a stray that was just asked for."""
        found = await anyio.to_thread.run_sync(_found, self._root)
        rows = await self._engine.query(worktree_views.all_, SYSTEM)
        known = {row.folder for row in rows}
        for project, folder in found:
            if str(folder) not in known:
                await self._put_away(project, folder)

    async def _put_away(self, project: Checkout, folder: Path) -> None:
        work = partial(_put_away, project, folder, self._kept.keep(project))
        try:
            ref = await anyio.to_thread.run_sync(work)
        except (GitFailed, OSError) as error:
            await self._engine.execute(worktree_commands.find, SYSTEM, folder=str(folder), error=str(error))
            return
        await self._engine.execute(worktree_commands.find, SYSTEM, folder=str(folder), ref=ref)


def _found(root: Path) -> list[tuple[Checkout, Path]]:
    """By the notes beside them, each with the repository that it is of; named as rows name them."""
    notes = [read(place.parent.parent / place.parent.name[1:]) for place in root.glob("*/.*/worktree.json")]
    commons = {Path(note.common) for note in notes if note is not None}
    projects = [Checkout(common=one, git_dir=one, work_tree=one) for one in sorted(commons) if one.is_dir()]
    owned = ((project, folder) for project in projects for folder in worktrees.owned(project, root))
    return [(project, root / folder.relative_to(root.resolve())) for project, folder in owned]


def _put_away(project: Checkout, folder: Path, keep: Path) -> str | None:
    """The ref under which all that was in it is kept; None where nobody has ever worked there. Raises GitFailed."""
    note, ref = read(folder), None
    if note is not None and note.is_ready:
        ref = f"refs/muster/snapshots/{folder.parent.name}/{folder.name}"
        snapshots.take(worktrees.checkout_of(project, folder), ref, keep, SAYS)
    worktrees.remove(Checkout(common=project.common, git_dir=project.git_dir, work_tree=folder))
    return ref

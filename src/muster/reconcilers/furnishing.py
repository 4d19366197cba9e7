"""Makes a new worktree a place to work in: files of the user's that git does not hold, and the commands of its setup.

Done again it changes nothing that is there.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from muster.model.worktree import Worktree
from muster.reconcilers.shell import run

SETUP_SECONDS = 600.0
OURS = ("MUSTER_", "OPENCODE_", "GIT_")
FAILED = "worktree setup: `{command}` {how}.\n{output}"


async def furnish(worktree: Worktree, place: Path, environment: Mapping[str, str]) -> str | None:
    """Files first, then the commands, in order. Returns what went wrong, with what the command printed.

    `place` is a folder of ours beside the worktree.
    """
    try:
        await anyio.to_thread.run_sync(bring, worktree)
        return await _set_up(worktree, place, environment) if worktree.setup else None
    except OSError as error:
        return f"worktree setup: {error}"


def bring(worktree: Worktree) -> None:
    """Files of the project's own that it gets a copy of, or a link to. Raises OSError."""
    for path in worktree.copy:
        if pair := _pair(worktree, path):
            _copy(*pair)
    for path in worktree.link:
        if pair := _pair(worktree, path):
            _link(*pair)


def _pair(worktree: Worktree, path: str) -> tuple[Path, Path] | None:
    """From where to where; None where there is nothing to bring, or something stands there.

    Both lie where they seem to: a folder on the way may be a link out of the repository.
    """
    source, target = Path(worktree.project) / path, Path(worktree.folder) / path
    if not os.path.lexists(source) or os.path.lexists(target):
        return None
    for inner, top in ((source, worktree.project), (target, worktree.folder)):
        if not inner.parent.resolve().is_relative_to(Path(top).resolve()):
            raise OSError(f"{inner} lies outside of {top}")
    target.parent.mkdir(parents=True, exist_ok=True)
    return source, target


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all."""
    draft = target.with_name(f".{target.name}.muster")
    shutil.rmtree(draft, ignore_errors=True)
    draft.unlink(missing_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, draft, symlinks=True)
    else:
        shutil.copy2(source, draft, follow_symlinks=False)
    draft.rename(target)


def _link(source: Path, target: Path) -> None:
    """A folder becomes one of links: a link in its place is a file to git, and `node_modules/` does not ignore that."""
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            (target / entry.name).symlink_to(entry)
    else:
        target.symlink_to(source)


async def _set_up(worktree: Worktree, place: Path, environment: Mapping[str, str]) -> str | None:
    kept = {name: value for name, value in environment.items() if not name.startswith(OURS)}
    variables = kept | {"MUSTER_BRANCH": worktree.branch}
    for command in worktree.setup:
        verdict = await run(command, Path(worktree.folder), variables, place=place, seconds=SETUP_SECONDS)
        if verdict.how is not None:
            return FAILED.format(command=command, how=verdict.how, output=verdict.output).strip()
    return None

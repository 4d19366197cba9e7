"""Snapshots of an agent's worktree: every commit and all tracked or unignored content, under one ref.

The ref is a chain of commits. Each has the tree of what stood in the folder, and as parents the tip of HEAD, the
snapshot before, and commits of what else there was: the index where that holds something else, the files inside
submodules, and what only the worktree's own records still knew. Above it: the reconciler that knows when. It knows no
agents and no rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from muster.errors import GitFailed
from muster.git.beside import Note, read, working_on
from muster.git.capture import Captured, capture, forget
from muster.git.commits import DURABLE, commit_named, commit_of, temporary_index, tree_named, unlock
from muster.git.keeping import forget_ref, keep_ref
from muster.git.records import recorded
from muster.git.run import Checkout, git

TRAILER = re.compile(r"^Muster-(\w+): ([0-9a-f]+)$", re.MULTILINE)
COMMITTED = re.compile(r"^committer .* (\d+) [+-]\d+$", re.MULTILINE)
HISTORY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The newest of a worktree. `tip` is the commit of its HEAD, None before the first one.

    `left_out` names what could not be read or what git has no way to hold, as `model.filename` tells names.
    """

    commit: str
    tree: str
    tip: str | None
    is_new: bool
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One snapshot of the past. `files` counts those that differ from the one before, at first from its tip."""

    commit: str
    tree: str
    tip: str | None
    taken_at: datetime
    says: str
    files: int


def take(checkout: Checkout, ref: str, keep: Path, says: str) -> Snapshot:
    """On the disk, here and in `keep`, before it returns; the same as before where nothing is new.

    Raises GitFailed: then there is no new snapshot, and nothing may be removed. A folder that is gone has to be
    created again first, which brings back what its index knew.
    """
    if checkout.work_tree.is_symlink() or not checkout.work_tree.is_dir():
        raise GitFailed(what="snapshot", why=f"{checkout.work_tree} is gone; it has to be created again")
    with working_on(checkout.work_tree) as place:
        note = read(checkout.work_tree) or Note(common=str(checkout.common), branch="", base="")
        try:
            return _take(checkout, ref, keep, says, capture(checkout, place, note), note)
        except GitFailed:  # an object that our index takes for known may have been pruned: all is written anew
            forget(place)
            return _take(checkout, ref, keep, says, capture(checkout, place, note), note)


def history(checkout: Checkout, ref: str) -> list[Kept]:
    """Newest first, at most 200. `keeping.kept` reads that of a repository that is gone."""
    return list(islice(_walk(checkout, commit_named(checkout, ref)), HISTORY))


def restore(checkout: Checkout, commit: str, *, folder: Path | None = None, branch: str | None = None) -> None:
    """A snapshot as files in a new folder, or as a new branch: its tip, and what was not committed as one commit."""
    if folder is not None:
        _restore_folder(checkout, commit, folder)
    if branch is not None:
        _restore_branch(checkout, commit, branch)


def refill(checkout: Checkout, commit: str) -> None:
    """The files of a worktree that was made anew become those of a snapshot; HEAD and index stay."""
    with temporary_index() as index:
        git(checkout, "read-tree", "HEAD", index=index)
        git(checkout, "read-tree", "--reset", "-u", commit, index=index)


def drop(checkout: Checkout, ref: str, keep: Path) -> None:
    """The agent's snapshots are let go, here and in `keep`. Only ever the user's wish."""
    git(checkout, "update-ref", "-d", ref)
    forget_ref(keep, ref)


def _take(checkout: Checkout, ref: str, keep: Path, says: str, now: Captured, note: Note) -> Snapshot:
    previous = commit_named(checkout, ref)
    others = recorded(checkout, note.branch, [commit for commit in (now.tip, previous) if commit])
    parts = _present({"Tip": now.tip, "Index": now.staged, "Modules": now.modules})
    commit = None if others or previous is None or _told(checkout, previous) != (now.tree, parts) else previous
    if is_new := commit is None:
        named = parts | _present({"Previous": previous})
        commit = commit_of(checkout, now.tree, _parents(named, others), _message(says, named))
        unlock(checkout, ref)
        git(checkout, *DURABLE, "update-ref", ref, commit, previous or "0" * len(commit))
    keep_ref(checkout, keep, ref, commit)
    return Snapshot(commit=commit, tree=now.tree, tip=now.tip, is_new=is_new, left_out=now.left_out)


def _parents(named: dict[str, str], others: tuple[str, ...]) -> tuple[str, ...]:
    inner = [named[name] for name in ("Tip", "Previous", "Index", "Modules") if name in named]
    return tuple(dict.fromkeys([*inner, *others]))


def _message(says: str, named: dict[str, str]) -> str:
    return "\n".join([" ".join(says.split()), "", *(f"Muster-{name}: {commit}" for name, commit in named.items())])


def _present(parts: dict[str, str | None]) -> dict[str, str]:
    return {name: commit for name, commit in parts.items() if commit}


def _told(checkout: Checkout, snapshot: str) -> tuple[str, dict[str, str]]:
    """Tree and parts of a snapshot, the one before it left out."""
    raw = git(checkout, "cat-file", "commit", snapshot).decode(errors="replace")
    parts = dict(TRAILER.findall(raw))
    parts.pop("Previous", None)
    return raw.partition("\n")[0].removeprefix("tree "), parts


def _walk(checkout: Checkout, commit: str | None) -> Iterator[Kept]:
    while commit is not None:
        raw = git(checkout, "cat-file", "commit", commit).decode(errors="replace")
        head, _, message = raw.partition("\n\n")
        told = dict(TRAILER.findall(message))
        tree = head.partition("\n")[0].removeprefix("tree ")
        yield Kept(
            commit=commit,
            tree=tree,
            tip=told.get("Tip"),
            taken_at=datetime.fromtimestamp(int(COMMITTED.findall(head)[0]), UTC),
            says=message.partition("\n")[0],
            files=_count(checkout, told.get("Previous") or told.get("Tip"), tree),
        )
        commit = told.get("Previous")


def _count(checkout: Checkout, before: str | None, tree: str) -> int:
    if before is None:
        return git(checkout, "ls-tree", "-r", "-z", "--name-only", tree).count(b"\0")
    earlier = tree_named(checkout, before)
    return git(
        checkout, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", earlier, tree
    ).count(b"\0")


def _restore_folder(checkout: Checkout, commit: str, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise GitFailed(what="restore", why=f"{folder} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_index() as index:
        git(replace(checkout, work_tree=folder), "read-tree", "--reset", "-u", commit, index=index)


def _restore_branch(checkout: Checkout, commit: str, branch: str) -> None:
    git(checkout, "check-ref-format", "--branch", branch)
    snapshot = next(_walk(checkout, commit))
    tip = snapshot.tip
    if tip is None or tree_named(checkout, tip) != snapshot.tree:
        tip = commit_of(checkout, snapshot.tree, (tip,) if tip else (), snapshot.says)
    git(checkout, "update-ref", f"refs/heads/{branch}", tip, "0" * len(tip))

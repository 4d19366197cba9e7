"""Snapshots of an agent's worktree: every commit and all tracked or unignored content, under one ref.

The ref is a chain of commits. Each has the tree of what stood in the folder, and as parents the tip of HEAD, the
snapshot before, a commit of the index where that holds something else, and commits that only the worktree's own
records still knew. Above it: the reconciler that knows when. It knows no agents and no rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from muster.errors import GitFailed
from muster.git.beside import delete, working_on
from muster.git.commits import DURABLE, commit_named, commit_of, temporary_index, tree_named
from muster.git.contents import fill, follow, write_tree
from muster.git.keeping import forget_ref, keep_ref
from muster.git.run import Checkout, ask, git
from muster.model import filename

TRAILER = re.compile(r"^Muster-(Tip|Previous|Index): ([0-9a-f]+)$", re.MULTILINE)
COMMIT = re.compile(rb"\b(?!0+\b)(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
HEADS = (  # what git writes into a worktree's folder, each naming commits that may be nowhere else
    "logs/HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "BISECT_HEAD",
    "MERGE_AUTOSTASH", "rebase-merge/autostash", "rebase-apply/autostash", "rebase-merge/orig-head",
    "rebase-apply/orig-head", "rebase-merge/stopped-sha", "rebase-merge/rewritten-list",
)  # fmt: skip
HISTORY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The newest of a worktree. `tip` is the commit of its HEAD, None before the first one.

    `left_out` names what could not be read or what git has no way to hold.
    """

    commit: str
    tree: str
    tip: str | None
    is_new: bool
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One snapshot of the past. `files` counts those that differ from the one before, or from its tip."""

    commit: str
    tree: str
    tip: str | None
    taken_at: datetime
    says: str
    files: int


def take(checkout: Checkout, ref: str, keep: Path, says: str) -> Snapshot:
    """On the disk, here and in `keep`, before it returns; the same as before where nothing is new.

    Raises GitFailed: then there is no new snapshot, and nothing may be removed.
    """
    if not checkout.work_tree.is_dir():
        raise GitFailed(what="snapshot", why=f"{checkout.work_tree} is gone")
    with working_on(checkout.work_tree) as place:
        previous = commit_named(checkout, ref)
        tree, left_out = _tree(checkout, place)
        tip = commit_named(checkout, "HEAD")
        staged = _staged(checkout, place, {tree, *([tree_named(checkout, tip)] if tip else [])})
        others = _others(checkout, [commit for commit in (tip, previous) if commit])
        if previous and not others and _says_the_same(checkout, previous, tree, tip, staged):
            keep_ref(checkout, keep, ref, previous)
            return Snapshot(commit=previous, tree=tree, tip=tip, is_new=False, left_out=left_out)
        parts = {"Tip": tip, "Previous": previous, "Index": staged}
        parents = (*(part for part in parts.values() if part), *others)
        commit = commit_of(checkout, tree, tuple(dict.fromkeys(parents)), _message(says, parts))
        git(checkout, *DURABLE, "update-ref", ref, commit, previous or "0" * len(commit))
        keep_ref(checkout, keep, ref, commit)
    return Snapshot(commit=commit, tree=tree, tip=tip, is_new=True, left_out=left_out)


def history(checkout: Checkout, ref: str) -> list[Kept]:
    """Newest first, at most 200."""
    return list(_walk(checkout, commit_named(checkout, ref)))


def restore(checkout: Checkout, commit: str, *, folder: Path | None = None, branch: str | None = None) -> None:
    """A snapshot as files in a new folder, or as a new branch: its tip, and what was not committed as one commit."""
    if folder is not None:
        _restore_folder(checkout, commit, folder)
    if branch is not None:
        _restore_branch(checkout, commit, branch)


def drop(checkout: Checkout, ref: str, keep: Path) -> None:
    """The agent's snapshots are let go, here and in `keep`. Only ever the user's wish."""
    git(checkout, "update-ref", "-d", ref)
    forget_ref(keep, ref)


def _tree(checkout: Checkout, place: Path) -> tuple[str, tuple[str, ...]]:
    """Of what stands in the folder; the index that it is compared with carries its tree in its name."""
    theirs = checkout.git_dir / "index"
    tracked = _copy(theirs, place / "theirs")
    before = max(place.glob("index-*"), key=lambda file: file.stat().st_mtime_ns, default=None)
    draft = place / "index.new"
    if before is None:
        fill(checkout, draft, tracked)
    else:
        draft.write_bytes(before.read_bytes())
    left_out = follow(checkout, draft, tracked)
    tree = write_tree(checkout, draft)
    after = place / f"index-{tree}"
    draft.replace(after)
    for old in place.glob("index-*"):
        if old != after:
            delete(old)
    return tree, tuple(map(filename.told, left_out))


def _copy(file: Path, to: Path) -> Path | None:
    """The agent may replace or lock its index while it is read."""
    try:
        to.write_bytes(file.read_bytes())
    except FileNotFoundError:
        return None
    return to


def _staged(checkout: Checkout, place: Path, known: set[str]) -> str | None:
    """A commit of the agent's index, where it holds what neither its HEAD nor the folder does."""
    theirs = place / "theirs"
    if not theirs.exists():
        return None
    code, out, _ = ask(checkout, "write-tree", index=theirs)
    if code:
        return None
    tree = out.decode().strip()
    return None if tree in known else commit_of(checkout, tree, (), "The index", timeless=True)


def _others(checkout: Checkout, known: list[str]) -> tuple[str, ...]:
    """Commits that the worktree's records name and `known` does not reach, without those that others of them reach."""
    told: dict[str, None] = {}
    for name in HEADS:
        try:
            told |= dict.fromkeys(oid.decode() for oid in COMMIT.findall((checkout.git_dir / name).read_bytes()))
        except OSError:
            continue
    if not told:
        return ()
    asked = "".join(f"{commit}\n" for commit in [*told, *(f"^{commit}" for commit in known)])
    out = git(checkout, "rev-list", "--parents", "--ignore-missing", "--stdin", stdin=asked.encode())
    rows = [line.split() for line in out.decode().splitlines()]
    below = {parent for row in rows for parent in row[1:]}
    return tuple(row[0] for row in rows if row[0] not in below)


def _says_the_same(checkout: Checkout, previous: str, tree: str, tip: str | None, staged: str | None) -> bool:
    raw = git(checkout, "cat-file", "commit", previous).decode(errors="replace")
    told = dict(TRAILER.findall(raw))
    return raw.startswith(f"tree {tree}\n") and (told.get("Tip"), told.get("Index")) == (tip, staged)


def _message(says: str, parts: dict[str, str | None]) -> str:
    return f"{says}\n\n" + "".join(f"Muster-{name}: {commit}\n" for name, commit in parts.items() if commit)


def _walk(checkout: Checkout, commit: str | None) -> Iterator[Kept]:
    for _ in range(HISTORY):
        if commit is None:
            return
        raw = git(checkout, "cat-file", "commit", commit).decode(errors="replace")
        head, _, message = raw.partition("\n\n")
        told = dict(TRAILER.findall(message))
        seconds = int(re.findall(r"^committer .* (\d+) [+-]\d+$", head, re.MULTILINE)[0])
        tree, before = head.partition("\n")[0].removeprefix("tree "), told.get("Previous") or told.get("Tip")
        yield Kept(
            commit=commit,
            tree=tree,
            tip=told.get("Tip"),
            taken_at=datetime.fromtimestamp(seconds, UTC),
            says=message.partition("\n")[0],
            files=_count(checkout, before, tree),
        )
        commit = told.get("Previous")


def _count(checkout: Checkout, before: str | None, tree: str) -> int:
    if before is None:
        return len(git(checkout, "ls-tree", "-r", "-z", "--name-only", tree).split(b"\0")) - 1
    out = git(checkout, "diff-tree", "-r", "-z", "--name-only", "--no-renames", tree_named(checkout, before), tree)
    return out.count(b"\0")


def _restore_folder(checkout: Checkout, commit: str, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise GitFailed(what="restore", why=f"{folder} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_index() as index:
        place = Checkout(common=checkout.common, git_dir=checkout.git_dir, work_tree=folder)
        git(place, "read-tree", "--reset", "-u", commit, index=index)


def _restore_branch(checkout: Checkout, commit: str, branch: str) -> None:
    git(checkout, "check-ref-format", "--branch", branch)
    (kept,) = list(_walk(checkout, commit))[:1]
    tree = kept.tree
    tip = kept.tip
    at = (
        tip
        if tip and tree_named(checkout, tip) == tree
        else commit_of(checkout, tree, (tip,) if tip else (), kept.says)
    )
    git(checkout, "update-ref", f"refs/heads/{branch}", at, "0" * len(at))

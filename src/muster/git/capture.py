"""All that stands in an agent's worktree at a moment: its files, its index, the files inside its submodules."""

import hashlib
import os
import time
from dataclasses import dataclass, replace
from filecmp import cmp
from pathlib import Path

from muster.errors import GitFailed
from muster.git.beside import Note, delete
from muster.git.commits import DURABLE, TIMELESS, commit_named, commit_of, temporary_index, tree_named
from muster.git.contents import UPDATE, Rules, copy_index, fill, follow, refresh, write_tree
from muster.git.run import Checkout, ask, git
from muster.git.within import links, populated, submodules
from muster.model import filename

OWN = "index"  # our index of the worktree's files is `index-<its tree>`
YOUNG = "-young"  # and so while files may be as old as it, which git then reads again each time
YOUNG_SECONDS = 2
THEIRS = "theirs"
DEPTH = 8  # of submodules within submodules


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """Trees and commits that no ref names yet. `left_out` is what could not be read or held."""

    tree: str
    tip: str | None
    staged: str | None
    modules: str | None
    left_out: tuple[str, ...]


def capture(checkout: Checkout, place: Path, note: Note) -> Captured:
    """`place` holds our indexes between two captures, so that one with nothing new is cheap."""
    theirs = _their_index(checkout, place)
    known = submodules(checkout) | frozenset(map(filename.raw, note.links))
    unchanged = theirs is not None and (place / THEIRS).exists() and cmp(theirs, place / THEIRS, shallow=False)
    rules = Rules(theirs=theirs, modules=known, tracks_the_same=unchanged)
    tree, left_out = _tree(checkout, place, OWN, rules)
    tip = commit_named(checkout, "HEAD")
    modules = _modules(checkout, place, known) if known else {}
    if theirs is not None:
        theirs.replace(place / THEIRS)
    return Captured(
        tree=tree,
        tip=tip,
        staged=_staged(checkout, place / THEIRS, {tree, tree_named(checkout, tip) if tip else ""}),
        modules=_together(checkout, modules) if modules else None,
        left_out=tuple(map(filename.told, left_out)),
    )


def begin(checkout: Checkout, place: Path) -> frozenset[bytes]:
    """Right after a checkout git's own notes of the files are true, unless they are of some files only.

    Returns the paths at which the project has other repositories.
    """
    theirs, index = checkout.git_dir / "index", place / f"{OWN}.new"
    flagged = any(entry.startswith(b"S ") for entry in git(checkout, "ls-files", "-t", "-z").split(b"\0"))
    if flagged or copy_index(theirs, index) is None:
        fill(checkout, index, theirs if theirs.exists() else None)
    _keep_index(index, place, OWN, write_tree(checkout, index) + YOUNG)
    return links(checkout, None)


def forget(place: Path) -> None:
    """Nothing is taken for known any more: all is read and written anew at the next capture."""
    for file in (*place.glob(f"{OWN}*"), *place.glob("module-*"), place / THEIRS):
        delete(file)


def _their_index(checkout: Checkout, place: Path) -> Path | None:
    """A copy, for the agent may replace or lock its own at any time; None where it has none that git can read."""
    copy = copy_index(checkout.git_dir / "index", place / f"{THEIRS}.new")
    if copy is None or ask(checkout, "ls-files", "-z", "--unmerged", index=copy)[0]:
        return None
    return copy


def _tree(checkout: Checkout, place: Path, name: str, rules: Rules) -> tuple[str, list[bytes]]:
    before = max(place.glob(f"{name}-*"), key=lambda file: file.stat().st_mtime_ns, default=None)
    if before is not None:
        try:
            return _follow(checkout, place, name, rules, before)
        except GitFailed:  # damaged, or it knows of objects that somebody has pruned since
            for index in place.glob(f"{name}-*"):
                delete(index)
    return _follow(checkout, place, name, rules, None)


def _follow(checkout: Checkout, place: Path, name: str, rules: Rules, before: Path | None) -> tuple[str, list[bytes]]:
    draft = place / f"{name}.new"
    delete(draft.with_name(f"{draft.name}.lock"))
    if before is None or copy_index(before, draft) is None:
        fill(checkout, draft, rules.theirs)
    left_out = follow(checkout, draft, rules)
    young = before is not None and before.name.endswith(YOUNG)
    if young and time.time() - draft.stat().st_mtime > YOUNG_SECONDS:
        refresh(checkout, draft)
        young = False
    tree = write_tree(checkout, draft)
    _keep_index(draft, place, name, tree + (YOUNG if young else ""))
    return tree, left_out


def _keep_index(draft: Path, place: Path, name: str, tree: str) -> None:
    kept = place / f"{name}-{tree}"
    draft.replace(kept)
    for old in place.glob(f"{name}-*"):
        if old != kept:
            delete(old)


def _staged(checkout: Checkout, theirs: Path, known: set[str]) -> str | None:
    """A commit of the agent's index, where it holds what neither its HEAD nor the folder does."""
    with temporary_index() as index:
        if copy_index(theirs, index) is None:
            return None
        code, out, _ = ask(checkout, *DURABLE, "write-tree", index=index)
        tree = _stages(checkout, index) if code else out.decode().strip()
    return None if tree is None or tree in known else commit_of(checkout, tree, (), "The index", TIMELESS)


def _stages(checkout: Checkout, index: Path) -> str | None:
    """An index in the midst of a merge, as a tree with a folder for each of its stages."""
    entries = [entry for entry in git(checkout, "ls-files", "-s", "-z", index=index).split(b"\0") if entry]
    told = (entry.partition(b"\t") for entry in entries)
    lines = [head[:-1] + b"0\t" + head[-1:] + b"/" + path + b"\0" for head, _, path in told]
    with temporary_index() as staged:
        git(checkout, *UPDATE, "--index-info", stdin=b"".join(lines), index=staged)
        code, out, _ = ask(checkout, *DURABLE, "write-tree", index=staged)
    return None if code else out.decode().strip()


def _modules(checkout: Checkout, place: Path, known: frozenset[bytes], depth: int = DEPTH) -> dict[bytes, str]:
    """Trees of the files inside submodules, in which an agent may have worked, by their paths."""
    index = next(place.glob(f"{_name(checkout, place)}-*"))
    found: dict[bytes, str] = {}
    for path in populated(checkout, links(checkout, index)) if depth else ():
        inner = replace(checkout, work_tree=checkout.work_tree / os.fsdecode(path))
        inside = submodules(inner)
        tree, _ = _tree(inner, place, _name(inner, place), Rules(theirs=None, modules=inside))
        found[path] = tree
        if inside:
            found |= {path + b"/" + below: tree for below, tree in _modules(inner, place, inside, depth - 1).items()}
    return found


def _name(checkout: Checkout, place: Path) -> str:
    """Of our index for a worktree, or for a submodule in it."""
    inside = os.fsencode(checkout.work_tree.relative_to(place.parent))
    return f"module-{hashlib.sha256(inside).hexdigest()[:16]}" if b"/" in inside else OWN


def _together(checkout: Checkout, trees: dict[bytes, str]) -> str:
    named = {filename.told(path).replace("/", "%").encode(): tree.encode() for path, tree in trees.items()}
    lines = b"".join(b"040000 tree " + tree + b"\t" + name + b"\0" for name, tree in named.items())
    tree = git(checkout, *DURABLE, "mktree", "-z", stdin=lines).decode().strip()
    return commit_of(checkout, tree, (), "Inside the submodules", TIMELESS)

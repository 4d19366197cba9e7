"""What stands in a working tree, as a tree of git's: all that is tracked or not ignored, whatever the index says.

The index that is compared with is one of ours. So the checkout's own is only read, and its flags hide nothing.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muster.errors import GitFailed
from muster.git.commits import DURABLE
from muster.git.run import Checkout, ask, git
from muster.git.within import files_inside, links, populated

REFUSALS = 64  # so many single files git may refuse before the fault is not in the files
LENIENT = ("-c", "core.protectNTFS=false", "-c", "core.protectHFS=false")  # names that only other systems mistake
UPDATE = (*DURABLE, *LENIENT, "update-index", "-z")
ADD = (*UPDATE, "--add", "--remove", "--replace", "--stdin")
PASSED_OVER = b"Ignoring path "
SPARSE = (b"S ", b"s ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts.

    `theirs` is the checkout's own index, which knows what is tracked; `tracks_the_same` says that it is as it was when
    ours last followed. `modules` are paths that stand for a commit of another repository, and stay that. Of other
    repositories the files are taken, if wanted.
    """

    theirs: Path | None
    tracks_the_same: bool = False
    modules: frozenset[bytes] = frozenset()
    takes_repositories: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a working tree differs from an index: paths as git has them, relative to the top."""

    changed: list[bytes]
    deleted: list[bytes]
    added: list[bytes]
    repositories: list[bytes]  # folders with a repository of their own, which the index does not know
    unread: bool  # whether a folder could not be listed

    def __bool__(self) -> bool:
        return bool(self.changed or self.deleted or self.added or self.repositories or self.unread)


def copy_index(index: Path, to: Path) -> Path | None:
    """Another one with the same age: to git it tells which files may have been changed since without a trace."""
    try:
        with index.open("rb") as file:
            told = os.fstat(file.fileno())
            to.write_bytes(file.read())
    except FileNotFoundError:
        return None
    os.utime(to, ns=(told.st_atime_ns, told.st_mtime_ns))
    return to


def fill(checkout: Checkout, index: Path, like: Path | None) -> None:
    """A new index with the entries of another and none of its flags, so that every file is looked at once."""
    index.unlink(missing_ok=True)
    entries = git(checkout, "ls-files", "-s", "-z", index=like).split(b"\0") if like is not None else []
    merged = [entry for entry in entries if entry.partition(b"\t")[0].endswith(b" 0")]
    git(checkout, "read-tree", "--empty", index=index)
    git(checkout, *UPDATE, "--index-info", stdin=_lines(merged), index=index)


def difference(checkout: Checkout, index: Path) -> Difference:
    """Compares by the index's notes on each file, so a tree with nothing new costs a look at each name."""
    out = git(checkout, "diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=dirty", index=index)
    words = out.split(b"\0")
    told = list(zip(words[::2], words[1::2], strict=False))
    code, out, err = ask(checkout, "ls-files", "-z", "--others", "--exclude-standard", index=index)
    if code:
        raise GitFailed(what="ls-files", why=err.decode(errors="replace").strip())
    others = [path for path in out.split(b"\0") if path]
    return Difference(
        changed=[path for status, path in told if status != b"D"],
        deleted=[path for status, path in told if status == b"D"],
        added=[path for path in others if not path.endswith(b"/")],
        repositories=[path for path in others if path.endswith(b"/")],
        unread=b"could not open directory" in err,
    )


def follow(checkout: Checkout, index: Path, rules: Rules) -> list[bytes]:
    """Brings our index to what stands in the tree.

    Returns the paths that could not be read: what git holds of them stays as it was.
    """
    found = difference(checkout, index)
    if not found and rules.tracks_the_same:
        return []
    strangers = links(checkout, index) - rules.modules
    mine, ignored = _ignored(checkout, index), _ignored(checkout, rules.theirs)
    absent_by_wish = _skipped(checkout, rules.theirs) if found.deleted else frozenset()
    repositories = [*found.repositories, *(path + b"/" for path in populated(checkout, strangers))]
    present = {*found.changed, *found.added, *_taken(checkout, repositories, rules), *(ignored - mine)}
    special = {path for path in present if _is_special(checkout, path)}
    gone = (set(found.deleted) - absent_by_wish) | special | strangers | (mine - ignored)
    _forget(checkout, index, sorted(gone))
    left_out = _add(checkout, index, sorted(present - gone))
    return [*left_out, *([b"."] if found.unread else [])]


def refresh(checkout: Checkout, index: Path) -> None:
    """Git looks again at the files that are as old as the index, and from then on need not."""
    ask(checkout, "update-index", "-q", "--refresh", "--force-write-index", index=index)


def write_tree(checkout: Checkout, index: Path) -> str:
    return git(checkout, *DURABLE, *LENIENT, "write-tree", index=index).decode().strip()


def _taken(checkout: Checkout, repositories: Sequence[bytes], rules: Rules) -> list[bytes]:
    """Of the repositories in the tree: those that are submodules as what they are, of others the files."""
    modules = [path.rstrip(b"/") for path in repositories if path.rstrip(b"/") in rules.modules]
    others = [path for path in repositories if path.rstrip(b"/") not in rules.modules]
    return modules + (files_inside(checkout, others) if rules.takes_repositories else [])


def _skipped(checkout: Checkout, index: Path | None) -> frozenset[bytes]:
    """What a sparse checkout leaves out: tracked, and not deleted."""
    if index is None:
        return frozenset()
    entries = git(checkout, "ls-files", "-t", "-z", index=index).split(b"\0")
    return frozenset(entry[2:] for entry in entries if entry.startswith(SPARSE))


def _ignored(checkout: Checkout, index: Path | None) -> frozenset[bytes]:
    """What is tracked although it is ignored."""
    if index is None:
        return frozenset()
    out = git(checkout, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard", index=index)
    return frozenset(path for path in out.split(b"\0") if path)


def _is_special(checkout: Checkout, path: bytes) -> bool:
    """Neither a file nor a link nor a folder: a pipe, a socket, a device. It has no content to keep."""
    try:
        mode = (checkout.work_tree / os.fsdecode(path)).lstat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def _forget(checkout: Checkout, index: Path, paths: Sequence[bytes]) -> None:
    if paths:
        git(checkout, *UPDATE, "--force-remove", "--stdin", stdin=_lines(paths), index=index)


def _add(checkout: Checkout, index: Path, paths: Sequence[bytes]) -> list[bytes]:
    """Returns those that git refuses by themselves."""
    refused: list[bytes] = []
    pending = [paths] if paths else []
    while pending:
        part = pending.pop()
        code, _, err = ask(checkout, *ADD, stdin=_lines(part), index=index)
        if code and len(part) > 1:
            pending += [part[len(part) // 2 :], part[: len(part) // 2]]
        elif code:
            refused += part
        elif PASSED_OVER in err:
            refused += [path for path in part if PASSED_OVER + path + b"\n" in err]
        if code and (len(refused) > REFUSALS or b"No space left" in err):
            raise GitFailed(what="update-index", why=err.decode(errors="replace").strip())
    return refused


def _lines(paths: Sequence[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)

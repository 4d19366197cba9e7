"""What stands in a working tree, as a tree of git's: all that is tracked or not ignored, whatever the index says.

The index that is compared with is one of ours. So the checkout's own is only read, and its flags hide nothing.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from muster.errors import GitFailed
from muster.git.commits import DURABLE
from muster.git.run import Checkout, ask, git

GITLINK = b"160000"
REFUSALS = 64  # so many single files git may refuse before the fault is not in the files
LENIENT = ("-c", "core.protectNTFS=false", "-c", "core.protectHFS=false")  # names that only other systems mistake
SAFE = (*DURABLE, *LENIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a working tree differs from an index: paths as git has them, relative to the top."""

    changed: tuple[bytes, ...]
    deleted: tuple[bytes, ...]
    added: tuple[bytes, ...]
    repositories: tuple[bytes, ...]  # folders with a repository of their own, which the index does not know
    unread: bool  # whether a folder could not be listed

    def __bool__(self) -> bool:
        return bool(self.changed or self.deleted or self.added or self.repositories)


def difference(checkout: Checkout, index: Path) -> Difference:
    """Compares by the index's notes on each file, so a tree with nothing new costs a look at each name."""
    out = git(checkout, "diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=dirty", index=index)
    words = out.split(b"\0")
    told = list(zip(words[::2], words[1::2], strict=False))
    others, unread = _others(checkout, index)
    return Difference(
        changed=tuple(path for status, path in told if status != b"D"),
        deleted=tuple(path for status, path in told if status == b"D"),
        added=tuple(path for path in others if not path.endswith(b"/")),
        repositories=tuple(path for path in others if path.endswith(b"/")),
        unread=unread,
    )


def fill(checkout: Checkout, index: Path, like: Path | None) -> None:
    """A new index with the entries of another and none of its flags, so that every file is looked at once."""
    index.unlink(missing_ok=True)
    entries = git(checkout, "ls-files", "-s", "-z", index=like) if like is not None and like.exists() else b""
    first_stages = [entry for entry in entries.split(b"\0") if entry.partition(b"\t")[0].endswith(b" 0")]
    git(checkout, "read-tree", "--empty", index=index)
    git(checkout, *LENIENT, "update-index", "-z", "--index-info", stdin=_lines(first_stages), index=index)


def follow(checkout: Checkout, index: Path, theirs: Path | None) -> tuple[bytes, ...]:
    """Brings our index to what stands in the tree; `theirs` is the checkout's own, which knows what is tracked.

    Returns the paths that could not be read: what git holds of them stays as it was.
    """
    _unlink_links(checkout, index)
    found = difference(checkout, index)
    absent_by_wish = _skipped(checkout, theirs) if found.deleted else frozenset()
    deleted = [path for path in found.deleted if path not in absent_by_wish]
    present = [*found.changed, *found.added, *_inside(checkout, found.repositories)]
    ignored = _ignored(checkout, theirs) if theirs is not None else frozenset()
    mine = _ignored(checkout, index)
    special = [path for path in present if _is_special(checkout, path)]
    _forget(checkout, index, [*deleted, *special, *(mine - ignored)])
    left_out = _add(checkout, index, [*dict.fromkeys([*present, *(ignored - mine)])], set(special))
    return (*left_out, *((b".",) if found.unread else ()))


def write_tree(checkout: Checkout, index: Path) -> str:
    return git(checkout, *SAFE, "write-tree", index=index).decode().strip()


def links(checkout: Checkout, index: Path | None) -> list[bytes]:
    """Paths at which the index has a commit of another repository."""
    entries = git(checkout, "ls-files", "-s", "-z", index=index).split(b"\0")
    return [entry.partition(b"\t")[2] for entry in entries if entry.startswith(GITLINK)]


def submodules(checkout: Checkout) -> frozenset[bytes]:
    """Paths that the tree's own `.gitmodules` names."""
    file = checkout.work_tree / ".gitmodules"
    if file.is_symlink() or not file.is_file():
        return frozenset()
    asked = ("--file", str(file), "--no-includes", "-z", "--get-regexp", r"^submodule\..*\.path$")
    code, out, _ = ask(checkout, "config", *asked)
    return frozenset(entry.partition(b"\n")[2] for entry in out.split(b"\0") if entry) if code == 0 else frozenset()


def repositories(checkout: Checkout, index: Path) -> tuple[bytes, ...]:
    """Folders in the tree that are repositories of their own, and not ignored."""
    found = []
    for folder, folders, files in os.walk(os.fsencode(checkout.work_tree)):
        inside = os.path.relpath(folder, os.fsencode(checkout.work_tree))
        if b".git" in folders or b".git" in files:
            found.append(inside)
        folders[:] = [name for name in folders if name != b".git"]
    inner = [path for path in found if path != b"."]
    _, out, _ = (
        ask(checkout, "check-ignore", "-z", "--stdin", stdin=_lines(inner), index=index) if inner else (0, b"", b"")
    )
    ignored = set(out.split(b"\0"))
    return tuple(path for path in inner if path not in ignored)


def _unlink_links(checkout: Checkout, index: Path) -> None:
    """A commit of a repository that is no submodule names content which is nowhere: its files are taken instead."""
    _forget(checkout, index, sorted(set(links(checkout, index)) - submodules(checkout)))


def _others(checkout: Checkout, index: Path) -> tuple[list[bytes], bool]:
    code, out, err = ask(checkout, "ls-files", "-z", "--others", "--exclude-standard", index=index)
    if code:
        raise GitFailed(what="ls-files", why=err.decode(errors="replace").strip())
    return [path for path in out.split(b"\0") if path], b"could not open directory" in err


def _inside(checkout: Checkout, folders: Sequence[bytes]) -> Iterator[bytes]:
    """Files of the repositories inside this one; a submodule stays what it is."""
    modules = submodules(checkout) if folders else frozenset()
    for folder in folders:
        if folder.rstrip(b"/") in modules:
            yield folder.rstrip(b"/")
            continue
        inner = replace(checkout, work_tree=checkout.work_tree / os.fsdecode(folder))
        found, _ = _others(inner, checkout.git_dir / "no-index")
        yield from (folder + path for path in found if not path.endswith(b"/"))
        yield from _inside(checkout, [folder + path for path in found if path.endswith(b"/")])


def _skipped(checkout: Checkout, index: Path | None) -> frozenset[bytes]:
    """What a sparse checkout leaves out: tracked, and not deleted."""
    if index is None:
        return frozenset()
    entries = git(checkout, "ls-files", "-t", "-z", index=index).split(b"\0")
    return frozenset(entry[2:] for entry in entries if entry.startswith((b"S ", b"s ")))


def _ignored(checkout: Checkout, index: Path) -> frozenset[bytes]:
    """What is tracked although it is ignored."""
    out = git(checkout, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard", index=index)
    return frozenset(path for path in out.split(b"\0") if path)


def _is_special(checkout: Checkout, path: bytes) -> bool:
    """Neither a file nor a link nor a folder: a pipe, a socket, a device. It has no content to keep."""
    try:
        mode = os.lstat(os.path.join(os.fsencode(checkout.work_tree), path)).st_mode  # noqa: PTH118  # bytes
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def _forget(checkout: Checkout, index: Path, paths: Sequence[bytes]) -> None:
    if paths:
        git(checkout, *LENIENT, "update-index", "-z", "--force-remove", "--stdin", stdin=_lines(paths), index=index)


def _add(checkout: Checkout, index: Path, paths: Sequence[bytes], without: set[bytes]) -> tuple[bytes, ...]:
    wanted = [path for path in paths if path not in without]
    refused: list[bytes] = []
    pending = [wanted] if wanted else []
    while pending:
        part = pending.pop()
        why = _try_to_add(checkout, index, part)
        if not why:
            continue
        if len(part) > 1:
            pending += [part[len(part) // 2 :], part[: len(part) // 2]]
            continue
        refused += part
        if len(refused) > REFUSALS or b"No space left" in why:
            raise GitFailed(what="update-index", why=why.decode(errors="replace").strip())
    return tuple(refused)


def _try_to_add(checkout: Checkout, index: Path, paths: Sequence[bytes]) -> bytes:
    """Git's words where it refuses; the index is then as it was."""
    command = (*SAFE, "update-index", "-z", "--add", "--remove", "--replace", "--stdin")
    code, _, err = ask(checkout, *command, stdin=_lines(paths), index=index)
    return (err or b"refused") if code else b""


def _lines(paths: Sequence[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)

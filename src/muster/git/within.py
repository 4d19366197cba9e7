"""Repositories within a worktree: submodules, and those that an agent made or cloned there.

They may be anybody's work, so none of their own configuration is trusted, and git is never left to walk into them.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from muster.errors import GitFailed
from muster.git.run import Checkout, ask, git

LINK = b"160000 "
HERE = b"./"  # before a name that might begin as one of git's patterns does
DEPTH = 16  # of repositories within repositories


def links(checkout: Checkout, index: Path | None) -> frozenset[bytes]:
    """Paths at which the index has a commit of another repository."""
    entries = git(checkout, "ls-files", "-s", "-z", index=index).split(b"\0")
    return frozenset(entry.partition(b"\t")[2] for entry in entries if entry.startswith(LINK))


def submodules(checkout: Checkout) -> frozenset[bytes]:
    """Paths that the tree's own `.gitmodules` names."""
    file = checkout.work_tree / ".gitmodules"
    if file.is_symlink() or not file.is_file():
        return frozenset()
    asked = ("--file", str(file), "--no-includes", "-z", "--get-regexp", r"^submodule\..*\.path$")
    code, out, _ = ask(checkout, "config", *asked)
    return frozenset(entry.partition(b"\n")[2] for entry in out.split(b"\0") if entry) if code == 0 else frozenset()


def files_inside(checkout: Checkout, folders: Iterable[bytes], depth: int = DEPTH) -> list[bytes]:
    """What is ignored neither by the rules of these repositories, and of those inside them, nor by the worktree's."""
    return not_ignored(checkout, list(_files_inside(checkout, folders, depth)), _no_index(checkout))


def populated(checkout: Checkout, modules: Iterable[bytes]) -> list[bytes]:
    """Those of the submodules whose folder holds anything."""
    return [path for path in sorted(modules) if _holds_something(checkout.work_tree, os.fsdecode(path))]


def repositories(checkout: Checkout) -> list[bytes]:
    """Folders below the top that are repositories of their own and not ignored; submodules are among them."""
    top = os.fsencode(checkout.work_tree)
    found = []
    for folder, folders, files in os.walk(top):
        if folder != top and b".git" in (*folders, *files):
            found.append(folder[len(top) + 1 :])
        folders[:] = [name for name in folders if name != b".git"]
    return sorted(not_ignored(checkout, found, _no_index(checkout)))


def has_own_commits(checkout: Checkout, module: bytes) -> bool:
    """Whether a submodule holds commits that no remote of it had, or is no submodule as git makes it."""
    folder = checkout.work_tree / os.fsdecode(module)
    git_dir = _git_dir(folder)
    if git_dir is None or not git_dir.is_relative_to(checkout.git_dir / "modules"):
        return True
    inner = Checkout(common=git_dir, git_dir=git_dir, work_tree=folder)
    code, out, _ = ask(inner, "rev-list", "--max-count=1", "HEAD", "--all", "--reflog", "--not", "--remotes")
    return bool(code or out)


def _files_inside(checkout: Checkout, folders: Iterable[bytes], depth: int) -> Iterator[bytes]:
    for folder in folders if depth else ():
        inner = replace(checkout, work_tree=checkout.work_tree / os.fsdecode(folder))
        out = git(inner, "ls-files", "-z", "--others", "--exclude-standard", index=_no_index(checkout))
        found = [folder + path for path in out.split(b"\0") if path]
        yield from (path for path in found if not path.endswith(b"/"))
        yield from _files_inside(checkout, [path for path in found if path.endswith(b"/")], depth - 1)


def not_ignored(checkout: Checkout, paths: list[bytes], index: Path | None = None) -> list[bytes]:
    """Those that git does not ignore; what the index tracks it never does."""
    if not paths:
        return []
    asked = b"".join(HERE + path + b"\0" for path in paths)
    plain = {"GIT_LITERAL_PATHSPECS": "0"}  # it knows names only, and refuses to be told so
    command = ("check-ignore", "-z", "--stdin")
    code, out, err = ask(checkout, *command, stdin=asked, index=index, environment=plain)
    if code not in (0, 1):  # 1: none is
        raise GitFailed(what="check-ignore", why=err.decode(errors="replace").strip())
    ignored = {path.removeprefix(HERE) for path in out.split(b"\0")}
    return [path for path in paths if path not in ignored]


def _no_index(checkout: Checkout) -> Path:
    """The name of an index that is not there: to it no file is tracked and no folder a submodule."""
    return checkout.git_dir / "no-index"


def _holds_something(top: Path, inside: str) -> bool:
    """A path through a link leads elsewhere."""
    folder = top / inside
    return folder.is_dir() and folder.resolve() == top.resolve() / inside and any(folder.iterdir())


def _git_dir(folder: Path) -> Path | None:
    """Where a submodule's `.git` file points, which is only compared with where it ought to."""
    dot_git = folder / ".git"
    try:
        told = os.fsdecode(dot_git.read_bytes()).removesuffix("\n")
    except OSError:
        return None
    return Path(os.path.normpath(folder / told.removeprefix("gitdir: ")))

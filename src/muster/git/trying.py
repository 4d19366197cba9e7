"""The result of a merge as files, before anybody lands it: in a worktree on no branch, for a command to look at.

A folder holds one at a time. Whatever an earlier try left there is taken away first.
"""

import os
from dataclasses import replace
from pathlib import Path

from muster.git import worktrees
from muster.git.beside import delete, whole
from muster.git.run import Checkout, git


def lay_out(project: Checkout, commit: str, folder: Path) -> Checkout:
    """The files of a commit. Raises GitFailed."""
    clear(project, folder)
    folder = whole(folder)
    reason = ("--lock", "--reason", "a check of muster")
    git(project, "worktree", "add", "--quiet", "--detach", "--no-checkout", *reason, str(folder), commit)
    told = (folder / ".git").read_bytes().removeprefix(b"gitdir: ").removesuffix(b"\n")  # git's own, of this moment
    checkout = Checkout(common=project.common, git_dir=Path(os.fsdecode(told)), work_tree=folder)
    git(checkout, "read-tree", "--reset", "-u", "HEAD")
    return checkout


def clear(project: Checkout, folder: Path) -> None:
    """Nothing is left of it, neither the folder nor what git knows of it. Raises GitFailed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    worktrees.remove(replace(project, work_tree=whole(folder)))
    delete(whole(folder))

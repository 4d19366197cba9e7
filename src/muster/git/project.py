"""Where a repository begins, and what its user is in the middle of."""

import os
from pathlib import Path

from muster.errors import GitFailed
from muster.git.run import Checkout, discover

UNDER_WAY = {  # what git leaves in a checkout's folder while a command waits for the user
    "rebase-merge": "rebase",
    "rebase-apply/applying": "am",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "sequencer": "sequencer",
    "BISECT_LOG": "bisect",
}


def top_level(directory: Path) -> Path | None:
    """The directory at or above this one that holds `.git` (a folder, or a worktree's file); None outside of git."""
    return next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)


def open_project(directory: Path) -> Checkout:
    """The checkout that a folder of the user's stands in: the main one, a linked worktree or a submodule's.

    Its `.git` is believed, so this is not for an agent's worktree: that one is named by `worktrees.checkout_of`.
    Raises GitFailed outside of git, in a bare repository, and where git refuses somebody else's folder.
    """
    asked = ("--path-format=absolute", "--git-common-dir", "--git-dir", "--show-toplevel")
    folders = os.fsdecode(discover(directory, "rev-parse", *asked)).removesuffix("\n").split("\n")
    if len(folders) != len(asked) - 1:
        raise GitFailed(what="rev-parse", why=f"the name of {directory} has a line break")
    common, git_dir, work_tree = map(Path, folders)
    top = top_level(directory.resolve())
    if top is None or top != work_tree.resolve():  # an agent's shell can write the repository's settings
        raise GitFailed(what="rev-parse", why=f"core.worktree makes {work_tree} the place of the files of {common}")
    return Checkout(common=common, git_dir=git_dir, work_tree=work_tree)


def in_progress(checkout: Checkout) -> str | None:
    """What the user is in the middle of here, in git's own word: nothing of ours may move under it."""
    return next((word for mark, word in UNDER_WAY.items() if (checkout.git_dir / mark).exists()), None)

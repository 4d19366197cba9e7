"""Where a repository begins."""

from pathlib import Path


def top_level(directory: Path) -> Path | None:
    """The directory at or above this one that holds `.git` (a folder, or a worktree's file); None outside of git."""
    return next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)

"""What of the user's is in the way of a merge. It is asked before anything is written, and the merge refused whole."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from muster.git.commits import empty_commit, temporary_index
from muster.git.merging import head_of, raw_changes
from muster.git.run import Checkout, ask, git
from muster.git.scratch import enter
from muster.git.standing import place_of, standing
from muster.model import filename
from muster.model.change import Content, PathChange

GITLINK = "160000"
MOST_NAMED = 1_000  # paths in one command; beyond that an ignored file is called an untracked one
SPARE = ".muster-landing-"  # what a file that is being landed is called until it is whole


class Why(StrEnum):
    CHANGED = "you changed it, and did not commit that"
    STAGED = "you staged a change of it"
    UNMERGED = "it has a conflict that you have not resolved"
    UNTRACKED = "a file that git does not track is there"
    IGNORED = "a file that git ignores is there"
    FOLDER = "a folder with files in it is there"
    FILE_ABOVE = "a file is where it needs a folder"
    SYMLINK_ABOVE = "one of its folders is a symlink"
    REPOSITORY_ABOVE = "it lies in another repository"
    SUBMODULE = "it is a submodule, and its commit is set with git, not by writing files"
    CASE = "on this disk its name is that of another file"
    SPARSE = "it is outside of your sparse checkout"
    CLOSED = "its permissions, or those of its folder, do not let it be replaced"
    NAME = "git does not check out a path of this name"


@dataclass(frozen=True, slots=True)
class Obstacle:
    path: str
    why: Why


def obstacles(project: Checkout, changes: Sequence[PathChange]) -> list[Obstacle]:
    """Each path that cannot be landed, once, with the first reason against it."""
    found = dict(_misplaced(project, changes))
    sound = [change for change in changes if change.path not in found]
    found |= dict(_of_the_users(project, sound))
    return [Obstacle(change.path, found[change.path]) for change in changes if change.path in found]


# ── the place ────────────────────────────────────────────────────────────────────────────────────


def _misplaced(project: Checkout, changes: Sequence[PathChange]) -> Iterator[tuple[str, Why]]:
    """Paths that cannot be written where they are, whatever they hold."""
    leaving = {change.path for change in changes if change.new is None}
    switched_on = _switched_on(project)
    outside = _outside_sparse_checkout(project, changes) if "core.sparsecheckout" in switched_on else set()
    clashing = _clashing(project, changes, leaving) if "core.ignorecase" in switched_on else set()
    for change in changes:
        if (why := _misplaced_by(project, change, leaving)) is not None:
            yield change.path, why
        elif change.path in outside:
            yield change.path, Why.SPARSE
        elif change.path in clashing:
            yield change.path, Why.CASE


def _misplaced_by(project: Checkout, change: PathChange, leaving: set[str]) -> Why | None:
    if GITLINK in (change.old_mode, change.new_mode):
        return Why.SUBMODULE
    if _is_unsafe(change.path):
        return Why.NAME
    for folder in _folders(change.path):
        place = place_of(project, folder)
        if place.is_symlink() or (os.path.lexists(place) and not place.is_dir()):
            above = Why.SYMLINK_ABOVE if place.is_symlink() else Why.FILE_ABOVE
            return None if folder in leaving else above
        if os.path.lexists(place / ".git"):
            return Why.REPOSITORY_ABOVE
    return _closed_or_folder(project, change, leaving)


def _closed_or_folder(project: Checkout, change: PathChange, leaving: set[str]) -> Why | None:
    place = place_of(project, change.path)
    if place.is_dir() and not place.is_symlink():
        return Why.FOLDER if _holds_more(project, place, leaving) else None
    above = next((folder for folder in place.parents if os.path.lexists(folder)), place.parent)
    if above.is_dir() and not os.access(above, os.W_OK | os.X_OK, effective_ids=_effective()):
        return Why.CLOSED
    if place.is_file() and not place.is_symlink() and not os.access(place, os.R_OK, effective_ids=_effective()):
        return Why.CLOSED
    return None


def _effective() -> bool:
    return os.access in os.supports_effective_ids


def _is_unsafe(path: str) -> bool:
    """Such a path can stand in a tree that was made by hand. Git's own check, over all disks that git knows."""
    for part in filename.raw(path).split(b"/"):
        shown = "".join(letter for letter in part.decode(errors="replace") if unicodedata.category(letter) != "Cf")
        plain = shown.lower().partition(":")[0].rstrip(" .")
        if part in (b"", b".", b"..") or plain in (".git", "git~1") or part.startswith(SPARE.encode()):
            return True
    return False


def _folders(path: str) -> list[str]:
    """From the top."""
    return [str(folder) for folder in reversed(PurePosixPath(path).parents) if folder.parts]


def _told(project: Checkout, place: Path) -> str:
    return filename.told(os.fsencode(place.relative_to(project.work_tree)))


def _holds_more(project: Checkout, folder: Path, leaving: set[str]) -> bool:
    """Something beside what leaves with this merge; folders that hold nothing do not count."""
    return any(
        place.name == ".git" or _holds_more(project, place, leaving)
        if place.is_dir() and not place.is_symlink()
        else _told(project, place) not in leaving
        for place in list(folder.iterdir())
    )


def _clashing(project: Checkout, changes: Sequence[PathChange], leaving: set[str]) -> set[str]:
    """New files with the name of another in other letters, one that is there or one that arrives with them."""
    arriving = Counter(_folded(change.path) for change in changes if change.new is not None)
    new = [change.path for change in changes if change.old is None]
    return {path for path in new if arriving[_folded(path)] > 1 or _has_twin(project, path, leaving)}


def _has_twin(project: Checkout, path: str, leaving: set[str]) -> bool:
    for part in [*_folders(path), path]:
        place = place_of(project, part)
        beside = place.parent.iterdir() if place.parent.is_dir() else ()
        twins = [other for other in beside if other != place and _folded(other.name) == _folded(place.name)]
        if any(_told(project, twin) not in leaving for twin in twins):
            return True
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _switched_on(project: Checkout) -> set[str]:
    """Of the two settings that matter here, in git's spelling: without capitals."""
    out = ask(project, "config", "--null", "--type=bool", "--get-regexp", r"^core\.(ignorecase|sparsecheckout)$")[1]
    told = dict(entry.partition("\n")[::2] for entry in out.decode().split("\0"))
    return {name for name, value in told.items() if value == "true"}


def _outside_sparse_checkout(project: Checkout, changes: Sequence[PathChange]) -> set[str]:
    patterns = project.git_dir / "info" / "sparse-checkout"
    if not patterns.is_file():
        return set()
    with temporary_index() as index:
        entries = {change.path: change.new or change.old for change in changes if not _is_unsafe(change.path)}
        enter(project, index, entries)
        inside = git(project, "ls-files", "--cached", "--ignored", "-z", f"--exclude-from={patterns}", index=index)
    return set(entries) - {filename.told(path) for path in inside.split(b"\0")}


# ── what is there ────────────────────────────────────────────────────────────────────────────────


def _of_the_users(project: Checkout, changes: Sequence[PathChange]) -> Iterator[tuple[str, Why]]:
    found = standing(project, {change.path: [change.old] for change in changes})
    staged, unmerged = _staged(project)
    absent = [change.path for change in changes if change.old is None and change.path not in found]
    ignored = _ignored(project, absent)
    for change in changes:
        if change.path in staged and staged[change.path] != change.old:
            yield change.path, Why.STAGED
        elif change.path in unmerged:
            yield change.path, Why.UNMERGED
        elif change.path in found:
            continue
        elif change.old is not None:
            yield change.path, Why.CHANGED
        else:
            yield change.path, Why.IGNORED if change.path in ignored else Why.UNTRACKED


def _staged(project: Checkout) -> tuple[dict[str, Content | None], set[str]]:
    """What the index holds where it differs from HEAD, and the paths of which it holds several sides."""
    command = ("diff-index", "--cached", "-z", "--no-renames", "--ignore-submodules=none", "--ita-invisible-in-index")
    told = raw_changes(git(project, *command, head_of(project) or empty_commit(project)))
    unmerged = {change.path for letter, change in told if letter == "U"}
    return {change.path: change.new for _, change in told if change.path not in unmerged}, unmerged


def _ignored(project: Checkout, paths: Sequence[str]) -> set[str]:
    if not paths:
        return set()
    names = [os.fsdecode(filename.raw(path)) for path in paths[:MOST_NAMED]]
    out = git(project, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *names)
    return {filename.told(path) for path in out.split(b"\0") if path}

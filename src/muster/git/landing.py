"""Landing: the user's files become what a merge made of them, one path at a time, and back.

What stands at a path must be what the merge was computed from; else the path is left alone. A file is made whole beside
its place and renamed into it, so that a crash leaves the old one or the new one, and whoever runs it again finishes it.
Neither the index, nor HEAD, nor the stash, nor a ref is touched.
"""

import hashlib
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from muster.git.obstacles import GITLINK, SPARE
from muster.git.placing import Blocked, Nowhere, folder_of, gives_way, is_same, put, remove, remove_empty_folders
from muster.git.run import Checkout, git
from muster.git.scratch import alone_for, enter
from muster.git.standing import Standing, place_of, standing
from muster.model import filename
from muster.model.change import PathChange

ATTRIBUTES = ".gitattributes"
PURPOSE = "landing"
OTHER = "what stands there is not what was to be replaced"


class Outcome(StrEnum):
    WRITTEN = "written"
    ALREADY = "already"  # it was so before
    BLOCKED = "blocked"  # it is left as it is


@dataclass(frozen=True, slots=True)
class Landed:
    change: PathChange
    outcome: Outcome
    why: str = ""


def land(project: Checkout, changes: Sequence[PathChange]) -> Generator[Landed, None, None]:
    """Each path in turn, on disk when it is told. Safe to run again, whole or in part, after a crash on any line.

    One landing at a time in a checkout. Raises GitFailed where git cannot make the contents (a filter that fails);
    nothing is written then.
    """
    with alone_for(project, PURPOSE) as folder:
        made = _make(project, folder, changes)
        found = standing(project, {change.path: [change.old, change.new] for change in changes})
        for change in sorted(changes, key=_order):
            yield _land(project, change, found.get(change.path), made)


def undo(project: Checkout, changes: Sequence[PathChange]) -> Generator[Landed, None, None]:
    """The same backwards: a path goes back only where what was landed still stands."""
    for landed in land(project, [change.backwards() for change in changes]):
        yield replace(landed, change=landed.change.backwards())


def land_path(project: Checkout, change: PathChange) -> Landed:
    return next(land(project, [change]))


def undo_path(project: Checkout, change: PathChange) -> Landed:
    return next(undo(project, [change]))


def _order(change: PathChange) -> tuple[bool, bool, str]:
    """Deletions make room. Attributes come last: until then they say how the files that stand are to be read."""
    return change.path.rpartition("/")[2] == ATTRIBUTES, change.new is not None, change.path


# ── what is to be written ────────────────────────────────────────────────────────────────────────


def _make(project: Checkout, folder: Path, changes: Sequence[PathChange]) -> Path:
    """Check the new contents out into a folder, under the attributes that hold once all of them are landed."""
    made = folder / "files"
    made.mkdir()
    entries = {change.path: change.new for change in changes if change.new is not None}
    if not entries:
        return made
    _copy_attributes(project, made, changes)
    enter(project, folder / "index", entries)
    checkout = replace(project, work_tree=made)
    git(checkout, "checkout-index", "--all", "--quiet", index=folder / "index")
    return made


def _copy_attributes(project: Checkout, made: Path, changes: Sequence[PathChange]) -> None:
    changed = {change.path for change in changes}
    for folder in {parent for change in changes for parent in Path(change.path).parents}:
        path = str(folder / ATTRIBUTES)
        place = place_of(project, path)
        if path not in changed and place.is_file() and not place.is_symlink():
            copy = place_of(replace(project, work_tree=made), path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, copy)


# ── one path ─────────────────────────────────────────────────────────────────────────────────────


def _land(project: Checkout, change: PathChange, found: Standing | None, made: Path) -> Landed:
    path = filename.raw(change.path)
    source = place_of(replace(project, work_tree=made), change.path)
    try:
        with folder_of(project.work_tree, path, make=change.new is not None and found is not None) as folder:
            outcome = _land_in(folder, change, found, source)
            os.fsync(folder)
    except Nowhere:
        if change.new is not None:
            return Landed(change, Outcome.BLOCKED, OTHER)
        outcome = Outcome.ALREADY
    except Blocked as blocked:
        return Landed(change, Outcome.BLOCKED, str(blocked))
    except OSError as error:
        return Landed(change, Outcome.BLOCKED, error.strerror or str(error))
    if change.new is None:
        remove_empty_folders(project.work_tree, path)
    return Landed(change, outcome)


def _land_in(folder: int, change: PathChange, found: Standing | None, source: Path) -> Outcome:
    name, spare = _name(change.path), _spare(change.path)
    with suppress(FileNotFoundError):
        os.unlink(spare, dir_fd=folder)  # of one that died before the rename
    if GITLINK in (change.old_mode, change.new_mode):
        raise Blocked("it is a submodule")
    if found is None:
        found = _looked_at_again(folder, name, change, source)
    if found.content == change.new:
        return Outcome.ALREADY
    if change.new is None:
        remove(folder, name, found.stamp)
    elif found.stamp is None and not gives_way(folder, name):
        raise Blocked("something is there by now")
    else:
        put(folder, name, spare, source, found.stamp)
    return Outcome.WRITTEN


def _looked_at_again(folder: int, name: bytes, change: PathChange, source: Path) -> Standing:
    """Git found neither what was to be replaced nor what replaces it. Raises Blocked where that is so."""
    if change.new is not None and is_same(folder, name, source):
        return Standing(change.new, None)  # written under attributes that do not hold yet
    raise Blocked(OTHER)


def _name(path: str) -> bytes:
    return filename.raw(path).rpartition(b"/")[2]


def _spare(path: str) -> bytes:
    """Known by its path: so what was left of it is found, and nothing of the user's is taken for it."""
    return f"{SPARE}{hashlib.sha256(filename.raw(path)).hexdigest()[:16]}".encode()

"""What stands in the user's files, as git would keep it: filters, line ends, modes and symlinks applied.

Only the paths asked about are read. Nothing is written to the repository's objects or to the user's index.
"""

import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muster.git.commits import temporary_index
from muster.git.run import Checkout, git
from muster.git.scratch import enter
from muster.model import filename
from muster.model.change import Content


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a file; with another stamp it may be another file."""

    device: int
    inode: int
    mode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One of the contents that were asked about, and the stamp that the file had before it was compared."""

    content: Content | None
    stamp: Stamp | None


def standing(project: Checkout, candidates: Mapping[str, Sequence[Content | None]]) -> dict[str, Standing]:
    """For each path the first of its candidates that stands there; a path with none of them is left out.

    None is a candidate too: that nothing stands there.
    """
    stamps = {path: stamp_at(project, path) for path in candidates}
    found = {}
    for path, contents in candidates.items():
        if stamps[path] is None and None in contents and not _is_occupied(project, path):
            found[path] = Standing(None, None)
    left = {path: _contents(contents) for path, contents in candidates.items() if stamps[path] is not None}
    while left := {path: contents for path, contents in left.items() if contents and path not in found}:
        equal = _equal(project, {path: contents.pop(0) for path, contents in left.items()})
        found |= {path: Standing(content, stamps[path]) for path, content in equal.items()}
    return found


def stamp_at(project: Checkout, path: str) -> Stamp | None:
    """None where no file or symlink stands, or only one that is reached through a symlink."""
    place = place_of(project, path)
    if first_symlink(project, path) is not None:
        return None
    try:
        told = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stamp_of(told)


def stamp_of(told: os.stat_result) -> Stamp | None:
    if not (stat.S_ISREG(told.st_mode) or stat.S_ISLNK(told.st_mode)):
        return None
    return Stamp(told.st_dev, told.st_ino, told.st_mode, told.st_size, told.st_mtime_ns, told.st_ctime_ns)


def place_of(project: Checkout, path: str) -> Path:
    return project.work_tree / os.fsdecode(filename.raw(path))


def first_symlink(project: Checkout, path: str) -> Path | None:
    """The first of the path's parents, from the top, that is a symlink."""
    place = project.work_tree
    for part in Path(os.fsdecode(filename.raw(path))).parts[:-1]:
        place /= part
        if place.is_symlink():
            return place
    return None


def _is_occupied(project: Checkout, path: str) -> bool:
    """By what git does not keep, such as a socket. A folder is no file, nor is what a symlink leads to."""
    place = place_of(project, path)
    return first_symlink(project, path) is None and os.path.lexists(place) and not place.is_dir()


def _contents(candidates: Sequence[Content | None]) -> list[Content]:
    return [content for content in candidates if content is not None]


def _equal(project: Checkout, entries: Mapping[str, Content]) -> dict[str, Content]:
    """Those that stand in the work tree. Git compares, with an index that holds nothing else.

    It lists what it holds, and once more what of it differs.
    """
    with temporary_index() as index:
        enter(project, index, entries)
        listed = git(project, "ls-files", "-z", "--cached", "--modified", index=index)
    times = Counter(listed.split(b"\0"))
    return {path: content for path, content in entries.items() if times[filename.raw(path)] == 1}

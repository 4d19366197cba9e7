"""Landing: the user's files become what a merge made of them, one path at a time, and back.

What stands at a path must be what the merge was computed from; else the path is left alone. A file is made whole beside
its place and renamed into it, so that a crash leaves the old one or the new one, and whoever runs it again finishes it.
Neither the index, nor HEAD, nor the stash, nor a ref is touched.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from muster.git.obstacles import GITLINK, SPARE
from muster.git.run import Checkout, git
from muster.git.scratch import enter, remove_leftovers, scratch
from muster.git.standing import Stamp, Standing, place_of, stamp_of, standing
from muster.model import filename
from muster.model.change import PathChange

ATTRIBUTES = ".gitattributes"
PURPOSE = "landing"
CHUNK = 1 << 20
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outcome(StrEnum):
    WRITTEN = "written"
    ALREADY = "already"  # it was so before
    BLOCKED = "blocked"  # it is left as it is


@dataclass(frozen=True, slots=True)
class Landed:
    change: PathChange
    outcome: Outcome
    why: str = ""


def land(project: Checkout, changes: Sequence[PathChange]) -> Iterator[Landed]:
    """Each path in turn, on disk when it is told. Safe to run again, whole or in part, after a crash on any line.

    One landing at a time in a checkout. Raises GitFailed where git cannot make the contents (a filter that fails);
    nothing is written then.
    """
    remove_leftovers(project, PURPOSE)
    with scratch(project, PURPOSE) as folder:
        made = _make(project, folder, changes)
        found = standing(project, {change.path: [change.old, change.new] for change in changes})
        for change in sorted(changes, key=_order):
            yield _land(project, change, found.get(change.path), made)


def undo(project: Checkout, changes: Sequence[PathChange]) -> Iterator[Landed]:
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
    source = place_of(replace(project, work_tree=made), change.path)
    try:
        with _folder_of(project, change.path, make=change.new is not None) as folder:
            outcome = _land_in(folder, change, found, source)
            os.fsync(folder)
    except _Nowhere:
        outcome = Outcome.ALREADY
    except _Blocked as blocked:
        return Landed(change, Outcome.BLOCKED, str(blocked))
    except OSError as error:
        return Landed(change, Outcome.BLOCKED, error.strerror or str(error))
    if change.new is None:
        _remove_empty_folders(project, change.path)
    return Landed(change, outcome)


def _land_in(folder: int, change: PathChange, found: Standing | None, source: Path) -> Outcome:
    name, spare = _name(change.path), _spare(change.path)
    with suppress(FileNotFoundError):
        os.unlink(spare, dir_fd=folder)  # of one that died before the rename
    if GITLINK in (change.old_mode, change.new_mode):
        raise _Blocked("it is a submodule")
    if found is None:
        found = _looked_at_again(folder, name, change, source)
    if found.content == change.new:
        return Outcome.ALREADY
    if change.new is None:
        _check(folder, name, found.stamp)
        os.unlink(name, dir_fd=folder)
    elif found.stamp is None:
        _put(folder, name, spare, source)
    else:
        _fill(folder, spare, source, instead_of=found.stamp)
        _replace(folder, name, spare, found.stamp)
    return Outcome.WRITTEN


def _looked_at_again(folder: int, name: bytes, change: PathChange, source: Path) -> Standing:
    """Git found neither what was to be replaced nor what replaces it. Raises _Blocked where that is so."""
    if change.old is None and _gives_way(folder, name):
        return Standing(None, None)
    if change.new is not None and _is_same(folder, name, source):
        return Standing(change.new, None)  # written under attributes that do not hold yet
    raise _Blocked("what stands there is not what was to be replaced")


def _check(folder: int, name: bytes, stamp: Stamp | None) -> None:
    if _stamp_in(folder, name) != stamp:
        raise _Blocked("it was changed at this very moment")


def _stamp_in(folder: int, name: bytes) -> Stamp | None:
    return stamp_of(os.stat(name, dir_fd=folder, follow_symlinks=False))


def _gives_way(folder: int, name: bytes) -> bool:
    """Nothing is there, or was but empty folders."""
    try:
        inner = os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not all(_gives_way(inner, os.fsencode(entry.name)) for entry in os.scandir(inner)):
            return False
        os.rmdir(name, dir_fd=folder)
    finally:
        os.close(inner)
    return True


def _is_same(folder: int, name: bytes, source: Path) -> bool:
    try:
        there, made = os.stat(name, dir_fd=folder, follow_symlinks=False), source.lstat()
        if stat.S_IFMT(there.st_mode) != stat.S_IFMT(made.st_mode):
            return False
        if stat.S_ISLNK(made.st_mode):
            return os.readlink(name, dir_fd=folder) == os.fsencode(source.readlink())
        with open(_opened(name, os.O_RDONLY, folder), "rb") as one, source.open("rb") as other:
            return _is_executable(there) == _is_executable(made) and _is_equal(one, other)
    except FileNotFoundError:
        return False


def _is_executable(told: os.stat_result) -> bool:
    return bool(told.st_mode & stat.S_IXUSR)


def _is_equal(one: BinaryIO, other: BinaryIO) -> bool:
    while (chunk := one.read(CHUNK)) == other.read(CHUNK):
        if not chunk:
            return True
    return False


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def _put(folder: int, name: bytes, spare: bytes, source: Path) -> None:
    """Where nothing stands. A file that somebody made there meanwhile stays."""
    try:
        if source.is_symlink():
            os.symlink(os.fsencode(source.readlink()), name, dir_fd=folder)
            return
        _fill(folder, spare, source, instead_of=None)
        try:
            os.link(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            _replace(folder, name, spare, None)
        else:
            os.unlink(spare, dir_fd=folder)
    except FileExistsError:
        raise _Blocked("a file was put there at this very moment") from None


def _fill(folder: int, spare: bytes, source: Path, *, instead_of: Stamp | None) -> None:
    """The whole file, on disk, under its passing name."""
    if source.is_symlink():
        os.symlink(os.fsencode(source.readlink()), spare, dir_fd=folder)
        return
    with open(_opened(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, folder), "wb") as copy, source.open("rb") as made:
        shutil.copyfileobj(made, copy)
        copy.flush()
        os.fchmod(copy.fileno(), _permissions(source.stat().st_mode, instead_of))
        os.fsync(copy.fileno())


def _permissions(made: int, instead_of: Stamp | None) -> int:
    """As git makes them; who may read a file that stood there stays as it was."""
    if instead_of is None or not stat.S_ISREG(instead_of.mode):
        return made & 0o777
    readers = instead_of.mode & 0o666
    return readers | (readers & 0o444) >> 2 if made & stat.S_IXUSR else readers


def _replace(folder: int, name: bytes, spare: bytes, stamp: Stamp | None) -> None:
    try:
        if stamp is not None:
            _check(folder, name, stamp)
        elif _is_there(folder, name):
            raise FileExistsError
        os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
    except (OSError, _Blocked):
        os.unlink(spare, dir_fd=folder)
        raise


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


# ── places ───────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _folder_of(project: Checkout, path: str, *, make: bool) -> Iterator[int]:
    """The folder that holds the path, reached through no symlink. Raises _Nowhere where it is not to be made."""
    with ExitStack() as opened:
        folder = os.open(project.work_tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, folder)
        for part in filename.raw(path).split(b"/")[:-1]:
            folder = _enter(folder, part, make=make)
            opened.callback(os.close, folder)
        yield folder


def _enter(folder: int, part: bytes, *, make: bool) -> int:
    try:
        return os.open(part, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise _Nowhere from None
    except (NotADirectoryError, OSError) as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        if not make:
            raise _Nowhere from None
        raise _Blocked("one of its folders is a file or a symlink") from None
    os.mkdir(part, dir_fd=folder)
    os.fsync(folder)
    return os.open(part, FOLDER, dir_fd=folder)


def _remove_empty_folders(project: Checkout, path: str) -> None:
    """As git does it when the last file of a folder goes. The work tree itself stays."""
    parts = filename.raw(path).split(b"/")[:-1]
    while parts:
        with suppress(_Nowhere), _folder_of(project, filename.told(b"/".join(parts)), make=False) as folder:
            try:
                os.rmdir(parts[-1], dir_fd=folder)
            except FileNotFoundError:
                pass
            except OSError:
                return
        parts.pop()


def _opened(name: bytes, flags: int, folder: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)


def _name(path: str) -> bytes:
    return filename.raw(path).rpartition(b"/")[2]


def _spare(path: str) -> bytes:
    """Known by its path: so what was left of it is found, and nothing of the user's is taken for it."""
    return f"{SPARE}{hashlib.sha256(filename.raw(path)).hexdigest()[:16]}".encode()


class _Blocked(Exception):
    """What stands there is not to be touched."""


class _Nowhere(Exception):
    """There is no such folder, so nothing is in it."""

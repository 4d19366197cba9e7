"""A file put into its place, or taken away, so that nothing of anybody else's is lost and a crash leaves no half.

It knows folders by descriptor, reached through no symlink, and files by name and stamp; what is put there and why, the
landing knows.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from muster.git.standing import Stamp, stamp_of

CHUNK = 1 << 20
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Blocked(Exception):
    """What stands there is not to be touched."""


class Nowhere(Exception):
    """There is no such folder, so nothing is in it."""


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def put(folder: int, name: bytes, spare: bytes, source: Path, stamp: Stamp | None) -> None:
    """Put a copy of `source` there instead of the file with this stamp; None: where nothing stands.

    It is made whole under the name `spare` first, which it has after a crash. Raises Blocked.
    """
    try:
        if stamp is None:
            _put_new(folder, name, spare, source)
        else:
            _fill(folder, spare, source, instead_of=stamp)
            _check(folder, name, stamp)
            os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        raise Blocked("a file was put there at this very moment") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(spare, dir_fd=folder)


def remove(folder: int, name: bytes, stamp: Stamp | None) -> None:
    """Raises Blocked where it is not the file with this stamp."""
    _check(folder, name, stamp)
    os.unlink(name, dir_fd=folder)


def gives_way(folder: int, name: bytes) -> bool:
    """Nothing is there, or was but empty folders."""
    try:
        inner = os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        with os.scandir(inner) as entries:
            if not all(gives_way(inner, os.fsencode(entry.name)) for entry in entries):
                return False
        os.rmdir(name, dir_fd=folder)
    finally:
        os.close(inner)
    return True


def is_same(folder: int, name: bytes, source: Path) -> bool:
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


def _put_new(folder: int, name: bytes, spare: bytes, source: Path) -> None:
    """Where nothing stands: a link and a symlink are refused where somebody made a file meanwhile."""
    if source.is_symlink():
        os.symlink(os.fsencode(source.readlink()), name, dir_fd=folder)
        return
    _fill(folder, spare, source, instead_of=None)
    try:
        os.link(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if _is_there(folder, name):
            raise FileExistsError from error
        os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)


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


def _is_there(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _check(folder: int, name: bytes, stamp: Stamp | None) -> None:
    if _stamp_in(folder, name) != stamp:
        raise Blocked("it was changed at this very moment")


def _stamp_in(folder: int, name: bytes) -> Stamp | None:
    return stamp_of(os.stat(name, dir_fd=folder, follow_symlinks=False))


# ── places ───────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def folder_of(top: Path, path: bytes, *, make: bool) -> Iterator[int]:
    """The folder that holds the path, reached through no symlink. Raises Nowhere where it is not to be made."""
    with ExitStack() as opened:
        folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, folder)
        for part in path.split(b"/")[:-1]:
            folder = _enter(folder, part, make=make)
            opened.callback(os.close, folder)
        yield folder


def _enter(folder: int, part: bytes, *, make: bool) -> int:
    try:
        return os.open(part, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise Nowhere from None
    except (NotADirectoryError, OSError) as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        if not make:
            raise Nowhere from None
        raise Blocked("one of its folders is a file or a symlink") from None
    os.mkdir(part, dir_fd=folder)
    os.fsync(folder)
    return os.open(part, FOLDER, dir_fd=folder)


def remove_empty_folders(top: Path, path: bytes) -> None:
    """As git does it when the last file of a folder goes. The work tree itself stays."""
    parts = path.split(b"/")[:-1]
    while parts:
        with suppress(Nowhere), folder_of(top, b"/".join(parts), make=False) as folder:
            try:
                os.rmdir(parts[-1], dir_fd=folder)
            except FileNotFoundError:
                pass
            except OSError:
                return
        parts.pop()


def _opened(name: bytes, flags: int, folder: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)

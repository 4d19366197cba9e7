"""What Muster notes of a worktree, in a folder beside it: an agent's own folder is not believed about itself.

`<parent>/.<name>/` stands beside `<parent>/<name>` and holds the note of how it was made, the index that snapshots
compare with, and the lock under which either is touched.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from muster.errors import GitFailed
from muster.git.run import alone

NOTE = "worktree.json"
OWNER = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """How a worktree was made. Until `is_ready` nobody has worked in its folder, so it may be made anew."""

    common: str
    branch: str
    base: str
    git_dir: str = ""
    links: tuple[str, ...] = ()  # where the project has other repositories, in names as `model.filename` tells them
    is_ready: bool = False


def beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}")


def whole(folder: Path) -> Path:
    """The folder by its one true name; a link at its end is not followed, for an agent may have put it there."""
    return folder.parent.resolve() / folder.name


@contextmanager
def working_on(folder: Path) -> Iterator[Path]:
    """The place beside a worktree, for us alone."""
    place = beside(folder)
    lock = place / "lock"
    while True:
        try:
            place.mkdir(mode=OWNER, parents=True, exist_ok=True)
            lock.touch(mode=0o600)
        except FileNotFoundError:
            continue  # whoever removed the worktree just took the place away
        except OSError as error:
            raise GitFailed(what="worktree", why=str(error)) from error
        with alone(lock) as is_there:
            if is_there:
                yield place
                return


def read(folder: Path) -> Note | None:
    """None where there is none, or not a whole one: then nothing was ever ready here."""
    try:
        told = json.loads((beside(folder) / NOTE).read_text(encoding="utf-8"))
        return Note(**told | {"links": tuple(told["links"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(folder: Path, note: Note) -> None:
    """Whole and on the disk, or not at all."""
    file = beside(folder) / NOTE
    draft = file.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as out:
        json.dump(asdict(note), out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    sync(file.parent)


def sync(path: Path) -> None:
    """A file's content; or names in a folder: a rename is on the disk once its folder is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(folder: Path, *, passing_over: str = "") -> None:
    """Every file below it too, for git writes some of its own without."""
    for at, folders, names in os.walk(folder):
        if passing_over in folders:
            folders.remove(passing_over)
        for name in names:
            sync(Path(at) / name)
        sync(Path(at))


def delete(path: Path) -> None:
    """A file, a link or a whole folder, also one whose folders forbid it; nothing where there is nothing."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        _permit(path)
        shutil.rmtree(path)
    except OSError as error:
        raise GitFailed(what="remove", why=str(error)) from error


def _permit(path: Path) -> None:
    """Some tools write-protect the folders of their caches."""
    for folder, _, _ in os.walk(path):
        mode = stat.S_IMODE(os.lstat(folder).st_mode)
        if mode & OWNER != OWNER:
            Path(folder).chmod(mode | OWNER)

"""A file's content replaced whole: whoever reads it finds the old or the new one, also after a power cut."""

import os
import stat
from pathlib import Path

from muster.errors import StateNotWritable

PRIVATE = 0o600
ORDINARY = 0o666


def replace_file(file: Path, content: bytes, *, like: Path | None = None) -> None:
    """Write it beside and rename it over. Private, or with mode and owner of `like`, or what the umask gives a new one.

    Raises StateNotWritable; the file is then as it was.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        try:
            _write(draft, content, like)
            draft.replace(file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(file.parent)
    except OSError as error:
        raise StateNotWritable(path=str(file), why=str(error)) from error


def _write(draft: Path, content: bytes, like: Path | None) -> None:
    mode = PRIVATE if like is None else ORDINARY
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as out:
        if like is not None and like.exists():
            model = like.stat()
            if os.geteuid() == 0:
                os.fchown(out.fileno(), model.st_uid, model.st_gid)
            os.fchmod(out.fileno(), stat.S_IMODE(model.st_mode))
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

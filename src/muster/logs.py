"""How large logs may grow. Whoever writes one has it open and inherited it, so it cannot be moved away under them.

Every log of Muster's is written by appending (O_APPEND). So what stands in a file that has grown too large is copied
to `<name>.1` (and that to `<name>.2`, …), and the file is cut to nothing: its writers go on at the new end. What is
written between the copy and the cut is lost, some lines at worst. The hub does it, and `muster up` before a start.
"""

import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

LOG_BYTES = 8 * 1024 * 1024
GENERATIONS = 3


def bound(file: Path) -> None:
    """Begin a file anew that has grown too large, and keep what it held for some generations."""
    if not file.exists() or file.stat().st_size <= LOG_BYTES:
        return
    for number in range(GENERATIONS - 1, 0, -1):
        if (older := _generation(file, number)).exists():
            older.replace(_generation(file, number + 1))
    newest = _generation(file, 1)
    try:
        shutil.copyfile(file, newest)
        newest.chmod(0o600)
    except OSError as error:  # a full disk for one: then the bound counts more than the past
        newest.unlink(missing_ok=True)
        log.warning("log.lost file=%s error=%s", file.name, error)
    os.truncate(file, 0)


def bound_all(folder: Path) -> None:
    """Every log of a folder."""
    for file in folder.glob("*.log"):
        try:
            bound(file)
        except OSError as error:
            log.warning("log.unbounded file=%s error=%s", file.name, error)


def _generation(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")

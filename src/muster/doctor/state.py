"""The state folder and what is in it."""

import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import psutil

from muster.doctor.finding import Case, Finding, broken, ok, warning
from muster.errors import KeyDamaged
from muster.store.database import check_database
from muster.surfaces.tokens import KEY_BYTES

MIB = 1024 * 1024
BROKEN_BELOW = 100 * MIB
WARNING_BELOW = 1024 * MIB
LOGS_LARGE = 500 * MIB
# SQLite's log needs memory that all of its users share: https://www.sqlite.org/wal.html
NETWORK = frozenset({"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "nfs", "nfs4", "smb3", "smbfs", "webdav"})
UNMADE = "not made yet; the first hub makes it"


def folder(case: Case) -> Finding:
    home = case.home.folder
    if not home.exists():
        return _will_be_made(home)
    if not home.is_dir():
        return broken(f"{home} is not a folder", "Move it away, or set MUSTER_HOME to another folder.")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return broken(f"{home} cannot be written", "Grant yourself access, or set MUSTER_HOME to another folder.")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode != 0o700:
        return warning(f"{home} is open to others ({mode:04o})", f"chmod 700 {home}", lambda: home.chmod(0o700))
    return ok(f"{home} (0700)")


def disk(case: Case) -> Finding:
    free = shutil.disk_usage(_nearest(case.home.folder)).free
    says = f"{_size(free)} free for {case.home.folder}"
    if free < BROKEN_BELOW:
        return broken(says, "Free space: nothing more can be accepted when the disk is full.")
    return warning(says, "Free space before it runs out.") if free < WARNING_BELOW else ok(says)


def file_system(case: Case) -> Finding:
    place = _nearest(case.home.folder).resolve()
    holding = [disk for disk in psutil.disk_partitions(all=True) if place.is_relative_to(disk.mountpoint)]
    kind = max(holding, key=lambda disk: len(disk.mountpoint)).fstype if holding else "unknown"
    if kind in NETWORK:
        return warning(
            f"{place} is on a file system of another machine ({kind}), where SQLite is not safe",
            "Set MUSTER_HOME to a folder on a local disk.",
        )
    return ok(kind)


def key(case: Case) -> Finding:
    file = case.home.key
    if not file.exists():
        return ok(UNMADE)
    if file.stat().st_size != KEY_BYTES:
        raise KeyDamaged(path=str(file), expected=KEY_BYTES)
    return _private(file)


def database(case: Case) -> Finding:
    """Raises what opening it would raise."""
    file = case.home.database
    if not file.exists() or file.stat().st_size == 0:
        return ok(UNMADE)
    check_database(file)
    if (other := _private(file)).mend is not None:
        return other
    return ok(f"{file} ({_size(file.stat().st_size)}, sound)")


def logs(case: Case) -> Finding:
    files = [file for file in case.home.logs.glob("*") if file.is_file()]
    total = sum(file.stat().st_size for file in files)
    if total > LOGS_LARGE:
        largest = max(files, key=lambda file: file.stat().st_size)
        return warning(f"{_size(total)} in {case.home.logs}", f"Remove what you do not need; the largest is {largest}.")
    bugs = case.home.logs / "bugs.log"
    if bugs.exists() and bugs.stat().st_size:
        at = datetime.fromtimestamp(bugs.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return warning(f"{bugs} holds errors of Muster's own, the last of {at}", "Report them, then remove the file.")
    return ok(f"{_size(total)} in {case.home.logs}")


def _will_be_made(home: Path) -> Finding:
    above = _nearest(home)
    if not os.access(above, os.W_OK | os.X_OK):
        return broken(f"{home} cannot be made: {above} cannot be written", "Set MUSTER_HOME to another folder.")
    return ok(f"{home}, {UNMADE}")


def _private(file: Path) -> Finding:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return broken(f"{file} can be read by others ({mode:04o})", f"chmod 600 {file}", lambda: file.chmod(0o600))
    return ok(f"{file} ({mode:04o})")


def _nearest(folder: Path) -> Path:
    """The folder, or what exists above it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _size(size: int) -> str:
    for unit, of in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", 1024)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} bytes"

"""The `opencode` program on this machine: where it is, and whether this adapter speaks its language."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from muster.errors import HostFailed, HostMissing, HostVersionUnknown

SPOKEN = "1.18 or later, below 2"
LEAST = (1, 18)
BELOW = (2,)
VERSION_SECONDS = 20


def locate(program: str | None, env: Mapping[str, str]) -> Path:
    """The program at a path, else the one on the PATH. Raises `HostMissing`."""
    if found := shutil.which(program or "opencode", path=env.get("PATH")):
        return Path(found).resolve()
    raise HostMissing(host="opencode", looked=program or "`opencode` on the PATH")


def require_spoken(version: str) -> None:
    """Raises `HostVersionUnknown`."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0]))
    if not LEAST <= numbers < BELOW:
        raise HostVersionUnknown(host="opencode", version=version, spoken=SPOKEN)


def ask_version(path: Path, env: Mapping[str, str]) -> str:
    """What the program says of itself: half a second, so only asked where a server could not be. Blocking."""
    try:
        done = subprocess.run(
            [path, "--version"],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise HostFailed(host="opencode", why=f"{path} --version did not work: {exc}") from exc
    return done.stdout.strip()

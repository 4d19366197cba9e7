"""The `opencode` program on this machine: where it is, and whether this adapter speaks its language."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muster.errors import HostFailed, HostMissing, HostVersionUnknown

SPOKEN = "1.18 or later, below 2"
LEAST = (1, 18)
BELOW = (2,)
VERSION_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An `opencode` whose version is spoken here."""

    path: Path
    version: str


class Programs:
    """Finds the program and remembers its version while the file stays as it is. Blocking."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._versions: dict[tuple[Path, int], str] = {}

    def find(self, env: Mapping[str, str]) -> Program:
        """Raises `HostMissing`, `HostVersionUnknown`, `HostFailed`."""
        path = self._locate(env)
        key = (path, path.stat().st_mtime_ns)
        if key not in self._versions:
            self._versions[key] = _ask_version(path, env)
        version = self._versions[key]
        if not is_spoken(version):
            raise HostVersionUnknown(host="opencode", version=version, spoken=SPOKEN)
        return Program(path=path, version=version)

    def _locate(self, env: Mapping[str, str]) -> Path:
        if found := shutil.which(self._path or "opencode", path=env.get("PATH")):
            return Path(found).resolve()
        looked = self._path or "`opencode` on the PATH"
        raise HostMissing(host="opencode", looked=looked)


def is_spoken(version: str) -> bool:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0]))
    return LEAST <= numbers < BELOW


def _ask_version(path: Path, env: Mapping[str, str]) -> str:
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

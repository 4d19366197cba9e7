"""`muster` as a person and an MCP client run it: real processes, a real hub, a home of its own. No OpenCode."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MUSTER = [sys.executable, "-m", "muster"]
WITHIN_SECONDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A user's home with a state folder in it."""

    folder: Path
    env: dict[str, str]

    @property
    def home(self) -> Path:
        return Path(self.env["MUSTER_HOME"])

    @property
    def hub_json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.home / "hub.json").read_text())
        return told

    def muster(self, *words: str, **environment: str) -> Ended:
        done = subprocess.run(
            [*MUSTER, *words],
            env=self.env | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
            check=False,
        )
        return Ended(code=done.returncode, out=done.stdout, err=done.stderr)

    @property
    def hub(self) -> psutil.Process:
        return psutil.Process(self.hub_json["pid"])

    @property
    def watcher(self) -> psutil.Process:
        return psutil.Process(json.loads((self.home / "watcher.json").read_text())["pid"])

    @property
    def log(self) -> str:
        return (self.home / "logs" / "hub.log").read_text()

    def kill_hub(self) -> None:
        """As a power cut would: the watcher dies too, and hub.json stays behind."""
        for process in (self.watcher, self.hub):
            process.kill()
            _wait(process)


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Whatever hub runs here at the end is ended by its pid."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "MUSTER_HOME": str(folder / "muster"),
        "MUSTER_CFG_PORT": "0",
        "MUSTER_CFG_OPENCODE": str(folder / "there-is-none"),
    }
    made = Machine(folder=folder, env=env)
    try:
        yield made
    finally:
        for file in (made.home / "watcher.json", made.home / "hub.json"):
            if file.exists():
                _end(json.loads(file.read_text()).get("pid"))


def until(true: Any, seconds: float = WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def _end(pid: int | None) -> None:
    if pid is not None and psutil.pid_exists(pid) and "muster" in " ".join(psutil.Process(pid).cmdline()):
        hub = psutil.Process(pid)
        hub.send_signal(signal.SIGTERM)
        _wait(hub)


def _wait(process: psutil.Process) -> None:
    gone, _ = psutil.wait_procs([process], timeout=10)
    assert gone or process.status() == psutil.STATUS_ZOMBIE

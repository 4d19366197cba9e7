"""The hub as a process, begun and ended: what `muster up` and `muster down` do.

`up` starts a watcher (`muster/watcher.py`) in a session of its own, and that starts the hub. Both locks of the state
folder are asked before anything is done, so that two who start at once start one hub.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from muster.errors import HubWillNotStart, MusterError, NoHub, Unavailable
from muster.home import Home
from muster.logs import bound
from muster.surfaces.client import Address, rebuilt

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.03
TAIL_BYTES = 64 * 1024  # of the log's end, where the reason for a failed start stands
WATCHER = str(Path(__file__).parents[2] / "watcher.py")
# -P: a folder called muster where the caller stands is not our package.
HUB = [sys.executable, "-P", "-m", "muster", "serve", "--json"]


def start(home: Home, options: list[str]) -> Address:
    """Start watcher and hub, and wait until the hub answers. Raises HubRunning, or the reason why it does not."""
    home.prepare()
    log = home.logs / "hub.log"
    with _claim(home) as lock:
        bound(log)
        with log.open("ab") as output:  # it outlives whoever reads it
            begun = output.tell()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", WATCHER, str(lock.fileno()), *HUB, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home.folder,
                env=_environment(home),
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
    address = _answering(home, process)
    if address is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        raise _reason(log, begun)
    return address


def stop(home: Home) -> int | None:
    """End the hub and its watcher, whatever they are at, and return the hub's pid; None where none ran."""
    deadline = time.monotonic() + STOP_SECONDS
    ended: int | None = None
    told: set[int] = set()
    while not _is_over(home, ended):
        if time.monotonic() > deadline:
            raise Unavailable(why=_why_it_stays(home, ended))
        watcher, hub = _watcher(home), _hub(home)
        ended = hub or ended
        for pid in filter(None, (watcher, hub)):
            if pid not in told:  # a second signal would cut short what the first began
                told.add(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        time.sleep(LOOK_SECONDS)
    return ended


# ── starting ─────────────────────────────────────────────────────────────────────────────────────


def _claim(home: Home) -> TextIO:
    """The watcher's lock, once neither a hub nor a watcher is here. Waits for one on its way out."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not home.is_free and not home.is_asleep:
            with home.locked():
                continue  # it has ended just now
        if home.is_free and (lock := home.watchers_lock()) is not None:
            return lock
        time.sleep(LOOK_SECONDS)
    raise Unavailable(why=f"The hub on {home.folder} has died, and its watcher tries to start it again.")


def _answering(home: Home, process: "subprocess.Popen[bytes]") -> Address | None:
    """Where the hub answers; None where it ended before, or is silent for too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        watcher = home.watcher()
        if watcher is not None and watcher.pid == process.pid:
            if watcher.ended is not None:
                return None
            with suppress(NoHub):
                address = Address.read(home.folder)  # written once the hub answers
                if address.pid == watcher.hub:
                    return address
        time.sleep(LOOK_SECONDS)
    return None


def _environment(home: Home) -> dict[str, str]:
    """The caller's, without who the caller is: a hub that carried an agent's run would end with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    settings = {name: value for name, value in os.environ.items() if name.startswith("MUSTER_CFG_")}
    return kept | settings | {"MUSTER_HOME": str(home.folder)}


def _reason(log: Path, begun: int) -> MusterError:
    """What the hub said last, as the error that it was."""
    with log.open("rb") as file:
        file.seek(max(begun, log.stat().st_size - TAIL_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        with suppress(ValueError, KeyError, TypeError):
            return rebuilt(json.loads(line)["error"])
    own = [line for line in lines if " watcher." not in line]
    said = own[-1] if own else f"it did not answer within {START_SECONDS:.0f} s"
    return HubWillNotStart(why=said, log=str(log))


# ── ending ───────────────────────────────────────────────────────────────────────────────────────


def _is_over(home: Home, hub: int | None) -> bool:
    return home.is_free and not home.is_watched and (hub is None or not _is_muster(hub, "serve"))


def _watcher(home: Home) -> int | None:
    told = home.watcher()
    return told.pid if told is not None and home.is_watched and _is_muster(told.pid, "watcher.py") else None


def _hub(home: Home) -> int | None:
    """The process that holds the state folder's lock; hub.json alone could name one of another life."""
    if home.is_free:
        return None
    with suppress(NoHub):
        pid = Address.read(home.folder).pid
        if _is_muster(pid, "serve"):
            return pid
    return None


def _why_it_stays(home: Home, hub: int | None) -> str:
    if hub is None:
        return f"A hub holds {home.folder}, but hub.json does not say which process it is."
    return f"The hub (pid {hub}) was told to end, and still runs after {STOP_SECONDS:.0f} s."


def _is_muster(pid: int, word: str) -> bool:
    """Whether that process lives and is ours by its command line; one that nobody has reaped yet has none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        words = told.stdout
    return "muster" in words and word in words

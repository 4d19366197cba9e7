"""The state folder: one hub at a time, readable by its user alone, and a file that says where the hub answers.

`hub.json` is there while a hub answers (`url`, `token`, `pid`, `version`), and when the last one went to sleep by
itself (`asleep`, `version`; no url, so that nobody takes it for one that runs). After `down` it is gone; after a crash
it is as the dead hub left it. `watcher.json` is the watcher's (`watcher.py`); it holds for as long as the lock is held.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO  # Any: the files are JSON

from muster import __version__
from muster.errors import HubRunning, StateNotWritable
from muster.replacing import replace_file

LOCK, WATCHERS_LOCK = "hub.lock", "watcher.lock"
UNWATCHED = " Nothing would restart it: `muster down`, then `muster up`, gives it a watcher."
TRIES, PAUSE_SECONDS = 10, 0.02  # whoever only looks whether a lock is held has it for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """What the watcher of `muster up` said last. `restarts`: since it was started; `ended`: how the hub ended last."""

    pid: int
    hub: int | None
    state: str
    restarts: int
    ended: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """hub.json of a hub that runs."""

    file: Path
    told: Mapping[str, object]

    def awake(self) -> None:
        """Say where it answers."""
        self._write(self.told)

    def asleep(self) -> None:
        """Say that whoever needs the hub is to start it again."""
        self._write({"asleep": True, "version": __version__})

    def _write(self, told: Mapping[str, object]) -> None:
        replace_file(self.file, json.dumps(told).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The paths in it. Nothing is made before `prepare`."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "muster.db"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def hub_file(self) -> Path:
        return self.folder / "hub.json"

    @property
    def watcher_file(self) -> Path:
        return self.folder / "watcher.json"

    @property
    def offer_file(self) -> Path:
        """What the person's own OpenCode may offer, left for its next start."""
        return self.folder / "offer.json"

    @property
    def roster_file(self) -> Path:
        """The personas that host servers offer beside the user's own."""
        return self.folder / "roster.json"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def servers(self) -> Path:
        return self.folder / "servers"

    def prepare(self) -> None:
        """Make the folders, closed to everybody else. Raises StateNotWritable."""
        try:
            for folder in (self.folder, self.logs, self.servers):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise StateNotWritable(path=str(self.folder), why=str(error)) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only hub here. Raises HubRunning, naming who is. The lock ends with the process, however it ends."""
        with self._lock_file(LOCK) as file:
            if not _taken(file, tries=TRIES):
                unwatched = "" if self.is_watched else UNWATCHED
                raise HubRunning(home=str(self.folder), unwatched=unwatched, **self._holder())
            yield

    @property
    def is_free(self) -> bool:
        """Whether no hub is here, starting or running."""
        return not self.folder.is_dir() or self._is_unlocked(LOCK)

    # ── where the hub answers ────────────────────────────────────────────────────────────────────

    @contextmanager
    def announced(self, *, url: str, token: str) -> Iterator["Announcement"]:
        """hub.json, whole or not there at all, for as long as the hub answers; what says that it sleeps, stays."""
        told = {"url": url, "token": token, "pid": os.getpid(), "version": __version__}
        announcement = Announcement(file=self.hub_file, told=told)
        announcement.awake()
        try:
            yield announcement
        finally:
            if not self.is_asleep:
                self.hub_file.unlink(missing_ok=True)

    def forget(self) -> None:
        """Nobody is to start the hub again by itself. Only under the lock: else the files may be a new hub's."""
        for file in (self.hub_file, self.watcher_file):
            file.unlink(missing_ok=True)

    @property
    def is_asleep(self) -> bool:
        return _read(self.hub_file).get("asleep") is True

    # ── who watches it ───────────────────────────────────────────────────────────────────────────

    def watchers_lock(self) -> TextIO | None:
        """The lock that a watcher holds as long as it lives, to be handed to it open; None where one lives."""
        file = self._lock_file(WATCHERS_LOCK)
        if _taken(file, tries=TRIES):
            return file
        file.close()
        return None

    @property
    def is_watched(self) -> bool:
        return self.folder.is_dir() and not self._is_unlocked(WATCHERS_LOCK)

    def watcher(self) -> Watcher | None:
        """What was said last by the watcher that lives, or by the last one; None where that ended as it was told to."""
        told = _read(self.watcher_file)
        try:
            return Watcher(**told)
        except TypeError:
            return None

    def _is_unlocked(self, name: str) -> bool:
        with self._lock_file(name) as file:
            return _taken(file)

    def _lock_file(self, name: str) -> TextIO:
        path = self.folder / name
        try:
            return path.open("a+")
        except OSError as error:
            raise StateNotWritable(path=str(path), why=str(error)) from error

    def _holder(self) -> dict[str, Any]:
        told = _read(self.hub_file)
        if "pid" in told and "url" in told:
            return {"pid": told["pid"], "url": told["url"]}
        return {"pid": "unknown", "url": "going to sleep" if self.is_asleep else "still starting"}


def _taken(file: TextIO, tries: int = 1) -> bool:
    for left in range(tries, 0, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS if left > 1 else 0)
        else:
            return True
    return False


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or not a whole one."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}

"""The state folder: one hub at a time, readable by its user alone, and a file that says where the hub answers."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from muster import __version__
from muster.errors import HubRunning, StateNotWritable


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
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HubRunning(home=str(self.folder), **self._holder()) from None
            yield

    @contextmanager
    def announced(self, *, port: int, token: str) -> Iterator[None]:
        """hub.json, whole or not there at all, for as long as the hub answers."""
        told = {"url": f"http://127.0.0.1:{port}", "token": token, "pid": os.getpid(), "version": __version__}
        draft = self.folder / "hub.json.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(told, file)
        draft.replace(self.hub_file)
        try:
            yield
        finally:
            self.hub_file.unlink(missing_ok=True)

    def _lock_file(self) -> TextIO:
        path = self.folder / "hub.lock"
        try:
            return path.open("a+")
        except OSError as error:
            raise StateNotWritable(path=str(path), why=str(error)) from error

    def _holder(self) -> dict[str, object]:
        try:
            told = json.loads(self.hub_file.read_text())
            return {"pid": told["pid"], "url": told["url"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {"pid": "unknown", "url": "still starting"}

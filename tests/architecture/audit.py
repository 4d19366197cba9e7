"""Imports modules and tells what that did. Run as a program: audit.py FOLDER NAME…, prints JSON.

FOLDER is the tree whose code is judged: what a library below it reads while it is imported is not our doing,
what it writes or starts is.
"""

import importlib
import json
import os
import sys
import threading
from types import FrameType
from typing import Any

CODE = (".py", ".pyc", ".so")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ACTS = {
    "os.exec", "os.fork", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.system", "socket.bind",
    "socket.connect", "sqlite3.connect", "subprocess.Popen", "thread",
}  # fmt: skip


class Witness:
    """Listens to the interpreter's own audit events."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.importing = ""
        self.seen: list[str] = []

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:  # Any: every event has its own details
        if not self.importing:
            return
        if event in ACTS:
            self.seen.append(f"{self.importing}: {event} {details[:1]}")
        if event == "open" and (self._writes(details) or (self._reads(details) and self._ours(sys._getframe(1)))):
            self.seen.append(f"{self.importing}: open {details[0]}")

    def _writes(self, details: tuple[Any, ...]) -> bool:
        return bool(details[2] & WRITES) and details[0] != os.devnull

    def _reads(self, details: tuple[Any, ...]) -> bool:
        return not str(details[0]).endswith(CODE)

    def _ours(self, frame: FrameType | None) -> bool:
        """Whether the innermost code that is not Python's own is below the folder."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self.folder):
                return True
            if "site-packages" in name:
                return False
            frame = frame.f_back
        return False


def announce_threads() -> None:
    """Python 3.11 has no audit event for them."""
    start = threading.Thread.start

    def announced(thread: threading.Thread) -> None:
        sys.audit("thread", thread.name)
        start(thread)

    threading.Thread.start = announced  # type: ignore[assignment, method-assign]  # a process of our own, which ends after this


def main(folder: str, names: list[str]) -> None:
    witness = Witness(folder)
    announce_threads()
    sys.addaudithook(witness)
    for name in names:
        witness.importing = name
        importlib.import_module(name)
        witness.importing = ""
    print("\n" + json.dumps({"did": witness.seen, "loaded": sorted(sys.modules)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

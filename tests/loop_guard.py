"""Notices library code that blocks the event loop.

Above it: one fixture in conftest. Below it: `asyncio.Handle`, through which the loop runs every callback, and a
thread that looks at the callback that has been running for too long. Time in which the kernel let the loop's
thread wait for a processor is taken off, so that a loaded machine blames nobody (on Linux; elsewhere it counts).
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

LIMIT_SECONDS = 0.5
LOOK_SECONDS = 0.05


@dataclass(slots=True, kw_only=True)
class Callback:
    """One callback that a loop is running now."""

    thread: int
    native: int
    began: float
    starved: float
    reported: bool = False

    def blocked(self) -> float:
        """Seconds it has had, without those in which its thread could not run."""
        return time.monotonic() - self.began - (starved(self.native) - self.starved)


@dataclass(slots=True)
class LoopGuard:
    """Collects the stacks of code below `library` that held a loop for longer than `limit` seconds."""

    library: Path
    limit: float = LIMIT_SECONDS
    stacks: list[str] = field(default_factory=list)
    _running: dict[int, Callback] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            thread, native = threading.get_ident(), threading.get_native_id()
            self._running[thread] = Callback(
                thread=thread, native=native, began=time.monotonic(), starved=starved(native)
            )
            try:
                run(handle)
            finally:
                self._running.pop(thread, None)

        watcher = threading.Thread(target=self._watch, name="loop-guard", daemon=True)
        watcher.start()
        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]  # the one place all callbacks pass
        try:
            yield
        finally:
            asyncio.Handle._run = run  # type: ignore[method-assign]
            self._done.set()
            watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            for callback in list(self._running.values()):
                if not callback.reported and callback.blocked() > self.limit:
                    self._look(callback)

    def _look(self, callback: Callback) -> None:
        frame = sys._current_frames().get(callback.thread)
        if self._running.get(callback.thread) is callback and frame is not None and self._is_library(frame):
            callback.reported = True
            self.stacks.append("".join(traceback.format_stack(frame)))

    def _is_library(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename.startswith(f"{self.library}/"):
                return True
            frame = frame.f_back
        return False


def starved(native: int) -> float:
    """Seconds that a thread of ours was ready to run and had no processor; zero where nobody counts them."""
    try:
        return int(_counts(native).split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _counts(native: int) -> bytes:
    """Read at each callback of a loop, so the file stays open: opening it takes fifty times as long as reading."""
    try:
        return os.pread(_files[native], 64, 0)
    except (KeyError, ProcessLookupError):  # a new thread, or one that has the number of another
        if native in _files:
            os.close(_files.pop(native))
        _files[native] = os.open(f"/proc/self/task/{native}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(_files[native], 64, 0)


_files: dict[int, int] = {}

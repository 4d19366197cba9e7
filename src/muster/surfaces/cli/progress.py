"""Signs of life: what takes longer than two seconds shows that it goes on, on a terminal and nowhere else."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from muster.surfaces.cli.text import duration

QUIET_SECONDS = 2.0
TICK_SECONDS = 0.2
WIDTH = 20


class Progress:
    """A line on standard error that is written over: a label, how much of how much, and how long it has taken."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._done: tuple[int, int] | None = None
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._is_shown = False

    def of(self, done: int, total: int) -> None:
        """So much is done; from now on the line has a bar."""
        self._done = (done, total)

    def draw(self) -> None:
        """Write it over and over until it is over."""
        if self._is_over.wait(QUIET_SECONDS):
            return
        self._is_shown = True
        while not self._is_over.wait(TICK_SECONDS):
            _over(self._line())

    def end(self) -> None:
        self._is_over.set()

    def wipe(self) -> None:
        if self._is_shown:
            _over("")

    def _line(self) -> str:
        took = duration((time.monotonic() - self._began) // 1 * 1000)
        if self._done is None:
            return f"{self._label}  {took}"
        done, total = self._done
        full = WIDTH * done // max(total, 1)
        return f"{self._label}  [{'#' * full}{'-' * (WIDTH - full)}] {done} of {total}  {took}"


def _over(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


@contextmanager
def progress(label: str, *, as_json: bool = False) -> Iterator[Progress]:
    """Show that something goes on, for as long as the block does; never to a program."""
    shown = Progress(label)
    if as_json or not sys.stderr.isatty():
        yield shown
        return
    drawing = threading.Thread(target=shown.draw, daemon=True)
    drawing.start()
    try:
        yield shown
    finally:
        shown.end()
        drawing.join()
        shown.wipe()

"""Lets what is called die at one of its lines, as the power would end it there."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from muster import git

LOCK = "alone"  # a process that dies leaves its lock; one that is only shown to die has to do so by itself
SOURCE = str(Path(git.__file__).parent)


class Died(BaseException):
    """Nothing that is tested may catch it."""


class Lines:
    """Counts the lines of the git layer that are run, and lets the last one die."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.seen = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "Lines | None":
        if not frame.f_code.co_filename.startswith(SOURCE) or frame.f_code.co_name == LOCK:
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.last:
                raise Died
        return self

    def run(self, call: Callable[[], object]) -> bool:
        """Whether it came to its end."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            call()
        except Died:
            return False
        finally:
            sys.settrace(before)
        return True


def deaths(call: Callable[[], object], *, first: int, every: int) -> Iterator[int]:
    """Dies at the first of these lines, then, in what that left, at the next one, until the call comes to its end."""
    line = first
    while not Lines(line).run(call):
        yield line
        line += every

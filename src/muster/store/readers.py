"""The readers: threads that own a read-only connection each, and look at one consistent snapshot at a time.

They answer into the event loop themselves: the library's way to a thread and back takes longer than most looks do.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Generic, TypeVar  # Any: looks find different things

from sqlalchemy import Connection

from muster.errors import Unavailable
from muster.store import dialects

T = TypeVar("T")


class _Look(Generic[T]):
    """One look, and who waits for what it finds."""

    def __init__(self, work: Callable[[Connection], T], future: "asyncio.Future[T]") -> None:
        self.future = future
        self._work = work

    def look_on(self, connection: Connection) -> Callable[[], None]:
        """Returns what tells it, in the caller's loop."""
        try:
            found = self._found(connection)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            refusal = dialects.refusal(error, verb="read")
            return lambda: None if self.future.done() else self.future.set_exception(refusal)
        return lambda: None if self.future.done() else self.future.set_result(found)

    def _found(self, connection: Connection) -> T:
        dialects.begin_reading(connection)
        try:
            return self._work(connection)
        finally:
            dialects.execute(connection, "ROLLBACK")


class Readers:
    """Threads with a read-only connection each. Made in the loop of those who look, and answers there."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._loop = asyncio.get_running_loop()
        self._looks: SimpleQueue[_Look[Any] | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(connection,), name="muster-reader", daemon=True)
            for connection in connections
        ]
        for thread in self._threads:
            thread.start()

    def run(self, look: Callable[[Connection], T]) -> "asyncio.Future[T]":
        """One consistent snapshot. A caller that is cancelled meanwhile leaves the look to end by itself.

        Raises Unavailable once closed.
        """
        if self._closed:
            raise Unavailable(why="The hub is shutting down.")
        wanted = _Look(look, self._loop.create_future())
        self._looks.put(wanted)
        return wanted.future

    def close(self) -> None:
        """Finish what was asked for, then end the threads."""
        self._closed = True
        for _ in self._threads:
            self._looks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: Connection) -> None:
        while (wanted := self._looks.get()) is not None:
            self._loop.call_soon_threadsafe(wanted.look_on(connection))

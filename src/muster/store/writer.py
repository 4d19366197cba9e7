"""The one writer: a thread that owns the write connection and commits in groups.

It takes every job that waits, runs each in a savepoint inside one transaction, commits once, and only then answers
all of them. A job that raises takes back its own savepoint and nobody else's. When the transaction itself is lost
(disk full, I/O error, failed COMMIT), every job of the group is answered `unavailable`: nothing is ever "ok" that
is not on the disk.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar  # Any: jobs of one group return different types

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from muster.errors import Unavailable
from muster.model.event import Fact
from muster.store import dialects, journal

T = TypeVar("T")
MAX_GROUP = 256
Work = Callable[[Connection], tuple[T, Sequence[Fact]]]
"""A job: its answer, and what it adds to the journal."""


class _Job(Generic[T]):
    """One job, and what came of it, held back until the commit."""

    def __init__(self, work: Work[T], future: "asyncio.Future[T]") -> None:
        self.future = future  # a caller that gives up ends it, and does not take the job back
        self.told: Sequence[Fact] = ()
        self._work = work
        self._answer: Callable[[], None] = lambda: None

    def run(self, connection: Connection) -> None:
        """Run in a savepoint. Raises only when the whole transaction is lost."""
        dialects.execute(connection, "SAVEPOINT job")
        try:
            result, told = self._work(connection)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            self._take_back(connection, error)
        else:
            dialects.execute(connection, "RELEASE job")
            self.told = told
            self._answer = lambda: self.future.set_result(result)

    def _take_back(self, connection: Connection, error: BaseException) -> None:
        if not dialects.in_transaction(connection):
            raise error
        dialects.execute(connection, "ROLLBACK TO job")
        dialects.execute(connection, "RELEASE job")
        refusal = dialects.refusal(error, verb="written")
        self._answer = lambda: self.future.set_exception(refusal)

    def refuse(self, error: BaseException) -> None:
        self._answer = lambda: self.future.set_exception(error)

    def answer(self) -> None:
        """In the caller's loop."""
        if not self.future.done():
            self._answer()


class Writer:
    """Runs jobs one after another. Made in the loop of those who submit them, and answers there.

    `committed` is called after each group, before those who wait for the group are answered, with the journal's head
    and the group's facts; with those of a group that failed at its COMMIT too, for it may have taken place.
    """

    def __init__(self, connection: Connection, committed: Callable[[int, Sequence[Fact]], None]) -> None:
        self._connection = connection
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="muster-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Work[T]) -> "asyncio.Future[T]":
        """The future answers after the commit. Raises Unavailable once the writer is closed."""
        job = _Job(work, self._loop.create_future())
        with self._closing:
            if self._closed:
                raise Unavailable(why="The hub is shutting down.")
            self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Finish what was submitted, then end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            group, ended = self._waiting(first)
            self._commit(group)
            if ended:
                return

    def _waiting(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: Sequence[_Job[Any]]) -> None:
        facts: list[Fact] = []
        try:
            dialects.begin(self._connection)
            for job in group:
                job.run(self._connection)
            facts += (fact for job in group for fact in job.told)
            journal.append(self._connection, facts)
            head = journal.head(self._connection)
            dialects.execute(self._connection, "COMMIT")
        except Exception as error:  # noqa: BLE001 - the whole group must hear of it, whatever it is
            dialects.abandon(self._connection)
            head = self._what_stands()
            refusal = dialects.refusal(error, verb="written")
            for job in group:
                job.refuse(refusal)
        self._loop.call_soon_threadsafe(self._tell, head, facts, group)  # once for all: each call wakes the loop

    def _tell(self, head: int, facts: Sequence[Fact], group: Sequence[_Job[Any]]) -> None:
        self._committed(head, facts)  # first: whoever hears "ok" finds the journal's head where it belongs
        for job in group:
            job.answer()

    def _what_stands(self) -> int:
        """A COMMIT that is reported as failed may have taken place: whoever waits for its facts must hear of them."""
        with suppress(DBAPIError):
            return journal.head(self._connection)
        return 0

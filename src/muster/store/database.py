"""The database file: refused untouched, or brought to the present schema and opened.

One writer, several readers; what a reader sees is one consistent snapshot.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from muster.errors import DatabaseDamaged, DatabaseForeign, DatabaseFromTheFuture, StateNotWritable
from muster.model.actor import SYSTEM, Actor
from muster.model.event import Entry, Fact
from muster.store import dialects, journal
from muster.store.migrations import HEAD, KNOWN, upgrade
from muster.store.readers import Readers
from muster.store.records import Reading, Transaction
from muster.store.writer import Writer

T = TypeVar("T")
READERS = 4
READ_WHOLE_BYTES = 64 * 1024 * 1024  # what is read in a fraction of a second; a million messages take ten


class Database:
    """An open store. `watch` wakes when something was committed; `clock` says what `now` is in every transaction."""

    def __init__(self, writer: Writer, readers: Readers, watch: journal.Watch, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._tail = journal.Tail(watch, self._page)
        self.watch = watch

    async def write(self, actor: Actor, work: Callable[[Transaction], T], facts: object = None) -> T:
        """Run a job in one transaction, in the writer's thread; returns once it is durable.

        A caller that is cancelled meanwhile leaves the job to finish: it may have been committed.
        """

        def job(connection: Connection) -> tuple[T, list[Fact]]:
            tx = Transaction(connection, actor, self._clock(), facts)
            return work(tx), tx.told

        return await self._writer.submit(job)

    async def read(self, actor: Actor, work: Callable[[Reading], T], facts: object = None) -> T:
        """Run a job on a read-only connection, off the event loop, in one consistent snapshot."""

        return await self._readers.run(lambda connection: work(Reading(connection, actor, self._clock(), facts)))

    async def facts_after(
        self, cursor: int, *, fleet: str | None = None, agent: str | None = None
    ) -> tuple[list[Entry], int]:
        """What happened after a cursor, oldest first, and the cursor up to which nothing is missing."""
        recent = await self._tail.after(cursor)
        if recent is None:
            head = self.watch.head
            entries = await self._page(cursor, fleet=fleet, agent=agent)
            return entries, entries[-1].cursor if len(entries) == journal.PAGE else head
        matching = [entry for entry in recent if fleet in (None, entry.fleet) and agent in (None, entry.agent)]
        return matching, recent[-1].cursor if recent else cursor

    async def _page(self, cursor: int, *, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
        page = partial(Reading.events, after=cursor, limit=journal.PAGE, fleet=fleet, agent=agent)
        return await self.read(SYSTEM, page)


@contextmanager
def open_database(path: Path, clock: Callable[[], datetime]) -> Iterator[Database]:
    """Open the store inside a running event loop.

    Raises DatabaseFromTheFuture, DatabaseDamaged, DatabaseForeign or StateNotWritable; the file is then untouched.
    """
    with ExitStack() as stack:
        try:
            _prepare(path)
            connection = stack.enter_context(dialects.open_for_writing(path).connect())
            _migrate(connection)
            head = journal.head(connection)
            reading = dialects.open_for_reading(path)
            connections = [stack.enter_context(reading.connect()) for _ in range(READERS)]
        except (DBAPIError, sqlite3.Error, OSError, UnicodeError) as error:
            raise _refusal(path, error) from error
        readers = Readers(connections)
        stack.callback(readers.close)
        watch = journal.Watch(head)
        writer = Writer(connection, watch.grow)
        writer.start()
        stack.callback(writer.close)
        yield Database(writer, readers, watch, clock)


def check_database(path: Path) -> None:
    """Read the whole of a store that exists, also while a hub has it. Raises as `open_database` does."""
    try:
        _refuse_unfit(path, whole=True)
    except (DBAPIError, sqlite3.Error, OSError, UnicodeError) as error:
        raise _refusal(path, error) from error


@contextmanager
def look_into(path: Path, clock: Callable[[], datetime]) -> Iterator[Reading]:
    """One look at a store that exists, also while a hub has it; nothing is written to it. Raises as `open_database`."""
    check_database(path)
    try:
        with dialects.open_for_checking(path).connect() as connection:
            if dialects.is_blank(connection):
                raise DatabaseForeign(path=str(path))
            dialects.begin_reading(connection)
            yield Reading(connection, SYSTEM, clock())
    except (DBAPIError, sqlite3.Error, OSError, UnicodeError) as error:
        raise _refusal(path, error) from error


def _prepare(path: Path) -> None:
    """Make the file if there is none; else refuse what is not ours, not sound, or not known."""
    if not path.exists() or path.stat().st_size == 0:
        path.unlink(missing_ok=True)
        dialects.create_file(path)
        return
    _refuse_unfit(path, whole=path.stat().st_size <= READ_WHOLE_BYTES)


def _refuse_unfit(path: Path, *, whole: bool) -> None:
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise DatabaseForeign(path=str(path))
    with dialects.open_for_checking(path).connect() as connection:
        if not dialects.is_blank(connection):
            _refuse_foreign(connection, path)
            _refuse_future(connection, path)
        if whole:
            _refuse_damage(connection, path)
        else:
            dialects.read_ends(connection)


def _refusal(path: Path, error: Exception) -> DatabaseDamaged | StateNotWritable:
    reason = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    kind = DatabaseDamaged if dialects.blames_the_file(reason) else StateNotWritable
    return kind(path=str(path), why=str(reason))


def _refuse_foreign(connection: Connection, path: Path) -> None:
    if not dialects.is_claimed(connection):
        raise DatabaseForeign(path=str(path))


def _refuse_future(connection: Connection, path: Path) -> None:
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    if len(found) != 1:
        raise DatabaseDamaged(path=str(path), why=f"it names {len(found)} schemas")
    if found[0] not in KNOWN:
        raise DatabaseFromTheFuture(path=str(path), found=found[0], known=HEAD)


def _refuse_damage(connection: Connection, path: Path) -> None:
    verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if verdict != "ok":
        raise DatabaseDamaged(path=str(path), why=verdict)


def _migrate(connection: Connection) -> None:
    dialects.begin(connection)
    try:
        dialects.claim_file(connection)
        upgrade(connection)
    except BaseException:
        dialects.execute(connection, "ROLLBACK")
        raise
    dialects.execute(connection, "COMMIT")

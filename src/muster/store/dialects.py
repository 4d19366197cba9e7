"""What SQLite wants in its own words: how a file is opened, what a transaction is, which errors mean what."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, Table, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from muster.errors import Unavailable

DIALECT = sqlite.dialect(paramstyle="qmark")
APPLICATION_ID = 0x4D535452  # "MSTR", in the file's header: https://www.sqlite.org/fileformat2.html#application_id
BUSY_MS = 5_000
WRITING = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}")
# https://www.sqlite.org/rescode.html: what has nothing to do with what the file holds.
PASSING = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
PRIMARY = 0xFF  # the last byte of an extended code is the code that it extends
READING = ("query_only=ON", f"busy_timeout={BUSY_MS}")


def open_for_writing(path: Path) -> Engine:
    """One connection that commits by explicit words only; the file must exist."""
    return _engine(path, "rw", WRITING)


def open_for_reading(path: Path) -> Engine:
    return _engine(path, "ro", READING)


def open_for_checking(path: Path) -> Engine:
    """For a file that may not be ours: where no log stands beside it, nothing is put there either, not even a lock."""
    alone = not path.with_name(f"{path.name}-wal").exists()
    return _engine(path, "ro&immutable=1" if alone else "ro", READING)


def create_file(path: Path) -> None:
    """Make an empty database file that nobody else may read."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def claim_file(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def is_blank(connection: Connection) -> bool:
    """True for a database without a table that nobody has claimed: a first start was cut short, or it is new."""
    tables: int = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    return _owner(connection) == 0 and tables == 0


def is_claimed(connection: Connection) -> bool:
    return _owner(connection) == APPLICATION_ID


def read_ends(connection: Connection) -> None:
    """Look at each table's oldest and newest row: a file that was cut off, or is another's, does not survive that."""
    for (table,) in execute(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        for end in ("ASC", "DESC"):
            execute(connection, f'SELECT * FROM "{table}" ORDER BY rowid {end} LIMIT 1').fetchall()


def last_given(connection: Connection, table: Table) -> int:
    """The greatest number that a table ever gave to a row, whatever became of the row."""
    found = execute(connection, "SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).fetchone()
    return int(found[0]) if found else 0


def blames_the_file(error: BaseException) -> bool:
    """Whether the bytes are wrong, rather than this moment, the rights or the disk."""
    if isinstance(error, UnicodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & PRIMARY not in PASSING


def refusal(error: BaseException, *, verb: str) -> BaseException:
    """What whoever waits for a piece of work hears of an error in it: the database's own become ours here.

    `verb`: what the store could not be.
    """
    if isinstance(error, DBAPIError):
        unavailable = Unavailable(why=f"The store could not be {verb}: {error.orig}.")
        unavailable.__cause__ = error
        return unavailable
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration was raised while the store was {verb}")  # which no future takes
    return error


def begin(connection: Connection) -> None:
    execute(connection, "BEGIN IMMEDIATE")


def begin_reading(connection: Connection) -> None:
    execute(connection, "BEGIN")


def execute(connection: Connection, text: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
    """By the driver itself: SQLAlchemy's result takes five times as long as the statement. Raises DBAPIError."""
    try:
        return _raw(connection).cursor().execute(text, values)
    except sqlite3.Error as error:
        raise DBAPIError(text, None, error) from error


def execute_all(connection: Connection, text: str, rows: Sequence[Sequence[object]]) -> None:
    """The same, once for each row. Raises DBAPIError."""
    try:
        _raw(connection).cursor().executemany(text, rows)
    except sqlite3.Error as error:
        raise DBAPIError(text, None, error) from error


def in_transaction(connection: Connection) -> bool:
    """False when SQLite has rolled back by itself, as it does when the disk is full."""
    return _raw(connection).in_transaction


def abandon(connection: Connection) -> None:
    """Be in no transaction, whatever it takes: where ROLLBACK fails, the connection is made anew at its next use."""
    try:
        if in_transaction(connection):
            execute(connection, "ROLLBACK")
    except DBAPIError as error:
        connection.invalidate(error)
        connection.rollback()  # lets SQLAlchemy reconnect; it reaches no database


def _raw(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)  # what _engine made


def _owner(connection: Connection) -> int:
    owner: int = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    return owner


def _engine(path: Path, mode: str, pragmas: tuple[str, ...]) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    # AUTOCOMMIT: SQLAlchemy begins nothing by itself, so that begin() above is the only way into a transaction.
    return create_engine("sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT")

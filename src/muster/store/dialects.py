"""What SQLite wants in its own words: how a file is opened, what a transaction is, which errors mean what."""

import os
import sqlite3
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

APPLICATION_ID = 0x4D535452  # "MSTR", in the file's header: https://www.sqlite.org/fileformat2.html#application_id
BUSY_MS = 5_000
WRITING = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}")
READING = ("query_only=ON", f"busy_timeout={BUSY_MS}")


def open_for_writing(path: Path) -> Engine:
    """One connection that commits by explicit words only; the file must exist."""
    return _engine(path, "rw", WRITING)


def open_for_reading(path: Path) -> Engine:
    return _engine(path, "ro", READING)


def create_file(path: Path) -> None:
    """Make an empty database file that nobody else may read."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def claim_file(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def in_transaction(connection: Connection) -> bool:
    """False when SQLite has rolled back by itself, as it does when the disk is full."""
    raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)  # what _engine made
    return raw.in_transaction


def abandon(connection: Connection) -> None:
    """Be in no transaction, whatever it takes: where ROLLBACK fails, the connection is made anew at its next use."""
    try:
        if in_transaction(connection):
            connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as error:
        connection.invalidate(error)
        connection.rollback()  # lets SQLAlchemy reconnect; it reaches no database


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

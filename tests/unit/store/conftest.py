"""A disk that can be broken, for the tests of the store."""

import sqlite3
from typing import Any

import pytest

from unit.store.faults import Disk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, connect = Disk(), sqlite3.connect

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *parameters: Any) -> Any:
            return disk.run(self, sql, lambda: super(Cursor, self).execute(sql, *parameters))

        def executemany(self, sql: str, rows: Any) -> Any:
            return disk.run(self, sql, lambda: super(Cursor, self).executemany(sql, rows))

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    def connected(target: Any, **rest: Any) -> sqlite3.Connection:
        if "mode=rw" not in str(target):
            return connect(target, **rest)
        disk.opened.append(connect(target, factory=Connection, **rest))
        return disk.opened[-1]

    monkeypatch.setattr(sqlite3, "connect", connected)
    return disk

"""A disk that fails when it is told to, below a real SQLite connection."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    BEFORE = "before"  # the statement fails and has done nothing
    AFTER = "after"  # it has done its work, and is reported as failed all the same
    ROLLED_BACK = "rolled_back"  # SQLite has given the whole transaction up by itself


@dataclass(slots=True)
class Disk:
    """Counts the statements of the write connection. `breaks` says of each whether, and how, it fails."""

    breaks: Callable[[int, str], Fault | None] = lambda number, sql: None
    count: int = 0
    opened: list[sqlite3.Connection] = field(default_factory=list)

    def mend(self) -> None:
        self.breaks = lambda number, sql: None

    def run(self, cursor: sqlite3.Cursor, sql: str, execute: Callable[[], Any]) -> Any:
        self.count += 1
        fault = self.breaks(self.count, sql)
        if fault is None:
            return execute()
        if fault is Fault.AFTER:
            execute()
        if fault is Fault.ROLLED_BACK:
            cursor.connection.rollback()
        raise sqlite3.OperationalError("disk I/O error")

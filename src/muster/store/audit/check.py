"""What a check is: one idea of what cannot be in a sound ledger, as a SELECT of whatever is.

    @error
    def run_without_agent() -> Wrong:
        \"\"\"Run {id} is of agent {agent}, of whom there is no row.\"\"\"
        return select(runs.c.id, runs.c.agent).where(absent(runs.c.agent, agents))

is the check `run.without_agent`. The first column is the subject, the docstring the sentence, with the columns in it.
Whoever adds one writes this function in a module that `CHECKS` collects (`__init__.py`), and a test that tampers so.

SQLite does the looking, in the snapshot of one transaction: no table is held in memory, and the interpreter is free
for others meanwhile.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any  # SQLAlchemy's SELECT of any columns, and the values of rows

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import DBAPIError

from muster.model.audit import Finding, Severity
from muster.store import dialects
from muster.store.columns import EPOCH, MICROSECOND, Moment

Drawn = Select[Any]
Wrong = Drawn | Iterator[Drawn]
"""What is wrong: one SELECT, or several that are the same idea for several tables."""

UNREADABLE = (DBAPIError, sqlite3.Error, UnicodeError)
SHOWN = 80  # letters of a value in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What one check found: the first of it, and how much there is."""

    severity: Severity
    findings: list[Finding]
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A SELECT as text, drawn once: drawing takes longer than asking. `columns`: which are moments."""

    text: str
    counting: str
    columns: Mapping[str, bool]


@dataclass(frozen=True, eq=False)
class Check:
    draw: Callable[[], Wrong]
    severity: Severity

    @property
    def name(self) -> str:
        return self.draw.__name__.replace("_", ".", 1)

    @property
    def says(self) -> str:
        return " ".join((self.draw.__doc__ or "").split())

    def look(self, connection: Connection, most: int) -> Bundle:
        """At most so many findings, and how many there are in all."""
        findings: list[Finding] = []
        number = 0
        for question in self._questions:
            try:
                rows = dialects.execute(connection, question.text, (most + 1,)).fetchall()
                number += len(rows) if len(rows) <= most else _only(connection, question.counting)
            except UNREADABLE as error:
                return Bundle(severity=Severity.ERROR, findings=[unable(self.name, error)], number=1)
            findings += [self._finding(question.columns, row) for row in rows]
        return Bundle(severity=self.severity, findings=findings[:most], number=number)

    @property
    def texts(self) -> list[str]:
        """What SQLite is asked."""
        return [question.text for question in self._questions]

    @cached_property
    def _questions(self) -> list[_Question]:
        drawn = self.draw()
        return [_question(one) for one in ([drawn] if isinstance(drawn, Select) else drawn)]

    def _finding(self, columns: Mapping[str, bool], row: Sequence[Any]) -> Finding:
        told = zip(columns.items(), row, strict=True)
        facts = {name: _shown(value, is_moment=is_moment) for (name, is_moment), value in told}
        subject = next(iter(facts.values()))
        return Finding(severity=self.severity, check=self.name, subject=subject, detail=self.says.format_map(facts))


def error(draw: Callable[[], Wrong]) -> Check:
    """Declare what cannot come about through Muster."""
    return Check(draw, Severity.ERROR)


def warning(draw: Callable[[], Wrong]) -> Check:
    """Declare what can, when something of the machine's is wrong."""
    return Check(draw, Severity.WARNING)


def unable(check: str, error: Exception) -> Finding:
    """What a check says that could not be made."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    detail = f"This could not be looked at, for the database cannot be read there: {reason}."
    return Finding(severity=Severity.ERROR, check=check, subject="database", detail=detail)


def _question(drawn: Drawn) -> _Question:
    return _Question(
        text=_text(drawn) + " LIMIT ?",
        counting=_text(select(func.count()).select_from(drawn.subquery())),
        columns={str(column.key): isinstance(column.type, Moment) for column in drawn.selected_columns},
    )


def _text(drawn: Drawn) -> str:
    return str(drawn.compile(dialect=dialects.DIALECT, compile_kwargs={"literal_binds": True}))


def _only(connection: Connection, text: str) -> int:
    number: int = dialects.execute(connection, text).fetchone()[0]
    return number


def _shown(value: object, *, is_moment: bool) -> str:
    if value is None:
        return "nothing"
    if is_moment and isinstance(value, int):
        return _moment(value)
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _moment(value: int) -> str:
    try:
        return (EPOCH + value * MICROSECOND).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return str(value)

"""What a check is: one idea of what cannot be in a sound ledger, as a SELECT of whatever is.

    @error
    def run_without_agent() -> Wrong:
        \"\"\"Run {id} is of agent {agent}, of whom there is no row.\"\"\"
        return select(runs.c.id, runs.c.agent).where(absent(runs.c.agent, agents))

is the check `run.without_agent`. The first column is the subject, the docstring the sentence, with the columns in it.
Whoever adds one writes this function in a module that `CHECKS` collects (`__init__.py`), and a test that tampers so.

SQLite does the looking, in the snapshot of one transaction: no table is held in memory, and the interpreter is free
for others meanwhile. What no SELECT can say is `@counted`: a function that reads, and yields the facts of the sentence.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any  # SQLAlchemy's SELECT of any columns, and the values of rows

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import DBAPIError

from muster.model.audit import Finding, Severity
from muster.store import dialects
from muster.store.columns import EPOCH, MICROSECOND, Moment
from muster.store.records import Reading

Drawn = Select[Any]
Wrong = Drawn | Iterator[Drawn]
"""What is wrong: one SELECT, or several that are the same idea for several tables."""

Facts = Mapping[str, object]
"""Of one finding; the first is its subject."""

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
    """A SELECT as text, drawn once: drawing takes longer than asking."""

    text: str
    counting: str
    columns: Sequence[str]
    moments: Collection[str]


class Check(ABC):
    """Named after its function, which says in its docstring what it found."""

    def __init__(self, function: Callable[..., object], severity: Severity) -> None:
        self.name = function.__name__.replace("_", ".", 1)
        self.severity = severity
        self._says = " ".join((function.__doc__ or "").split())

    @abstractmethod
    def look(self, reading: Reading, most: int) -> Bundle:
        """At most so many findings, and how many there are in all."""

    def finding(self, facts: Facts, moments: Collection[str] = ()) -> Finding:
        shown = {name: _shown(value, is_moment=name in moments) for name, value in facts.items()}
        subject = next(iter(shown.values()))
        return Finding(severity=self.severity, check=self.name, subject=subject, detail=self._says.format_map(shown))


class Sought(Check):
    """SQLite finds what is wrong."""

    def __init__(self, draw: Callable[[], Wrong], severity: Severity) -> None:
        super().__init__(draw, severity)
        self._draw = draw

    @property
    def texts(self) -> list[str]:
        """What SQLite is asked."""
        return [question.text for question in self._questions]

    def look(self, reading: Reading, most: int) -> Bundle:
        findings: list[Finding] = []
        number = 0
        for question in self._questions:
            try:
                rows = dialects.execute(reading.connection, question.text, (most + 1,)).fetchall()
                number += len(rows) if len(rows) <= most else _only(reading.connection, question.counting)
            except UNREADABLE as error:
                return Bundle(severity=Severity.ERROR, findings=[unable(self.name, error)], number=1)
            facts = [dict(zip(question.columns, row, strict=True)) for row in rows]
            findings += [self.finding(one, question.moments) for one in facts]
        return Bundle(severity=self.severity, findings=findings[:most], number=number)

    @cached_property
    def _questions(self) -> list[_Question]:
        drawn = self._draw()
        return [_question(one) for one in ([drawn] if isinstance(drawn, Select) else drawn)]


class Counted(Check):
    """The rules of the model find it, one row after another."""

    def __init__(self, count: Callable[[Reading], Iterator[Facts]], severity: Severity) -> None:
        super().__init__(count, severity)
        self._count = count

    def look(self, reading: Reading, most: int) -> Bundle:
        findings: list[Finding] = []
        number = 0
        try:
            for facts in self._count(reading):
                number += 1
                if number <= most:
                    findings.append(self.finding(facts))
        except UNREADABLE as error:
            return Bundle(severity=Severity.ERROR, findings=[unable(self.name, error)], number=1)
        return Bundle(severity=self.severity, findings=findings, number=number)


def error(draw: Callable[[], Wrong]) -> Sought:
    """Declare what cannot come about through Muster."""
    return Sought(draw, Severity.ERROR)


def warning(draw: Callable[[], Wrong]) -> Sought:
    """Declare what can, when something of the machine's is wrong."""
    return Sought(draw, Severity.WARNING)


def counted(count: Callable[[Reading], Iterator[Facts]]) -> Counted:
    """Declare what cannot come about, where it takes more than SQL to see that."""
    return Counted(count, Severity.ERROR)


def unable(check: str, error: Exception) -> Finding:
    """What a check says that could not be made."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    detail = f"This could not be looked at, for the database cannot be read there: {reason}."
    return Finding(severity=Severity.ERROR, check=check, subject="database", detail=detail)


def _question(drawn: Drawn) -> _Question:
    return _Question(
        text=_text(drawn) + " LIMIT ?",
        counting=_text(select(func.count()).select_from(drawn.subquery())),
        columns=[str(column.key) for column in drawn.selected_columns],
        moments={str(column.key) for column in drawn.selected_columns if isinstance(column.type, Moment)},
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

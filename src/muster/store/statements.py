"""SQL that SQLAlchemy draws once for each shape, and the driver runs ever after.

Drawing, hashing and running a statement through SQLAlchemy takes thirty times as long as SQLite takes for it, and
there is one writer. So the text is kept: a shape is a table, the columns that are asked for and how, never a value.
Above this module: records, journal and requests, which know what they look for. It knows no record.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final  # Any: values of columns, and SQLAlchemy's statements

from sqlalchemy import BindParameter, Connection, Table, bindparam, func, literal_column, select, text
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeEngine

from muster.store import dialects
from muster.store.columns import Stored

Where = Mapping[str, object]
Names = tuple[str, ...]
Shape = tuple[tuple[str, str, int], ...]
Converter = Callable[[Any], Any]
Converters = tuple[tuple[int, Converter], ...]  # each with the place of its value
WHICH = "which_id"
NONE_OF_THEM: Final[ColumnElement[bool]] = literal_column("1 = 0")  # with false() SQLAlchemy drops the other marks
ONE: Final[ColumnElement[int]] = literal_column("1")
SET: Final = object()
"""In a `Where`: anything but nothing."""


@dataclass(frozen=True, slots=True)
class Below:
    """In a `Where`: less than this."""

    limit: object


@dataclass(frozen=True, slots=True)
class Above:
    limit: object


@dataclass(frozen=True, slots=True)
class But:
    """In a `Where`: anything else than this, nothing included."""

    value: object


@dataclass(frozen=True, slots=True)
class Statement:
    """Text with marks; `names` says whose value each mark takes, `binders` how some of the values are stored."""

    text: str
    names: tuple[str, ...]
    binders: Converters

    def run(self, connection: Connection, values: Iterable[object]) -> sqlite3.Cursor:
        return dialects.execute(connection, self.text, _converted(values, self.binders))

    def followed_by(self, clause: str) -> "Statement":
        """With a clause at its end that takes one value. (SQLAlchemy's own LIMIT takes an OFFSET along.)"""
        return Statement(text=self.text + clause, names=(*self.names, clause), binders=self.binders)


def rows(
    connection: Connection,
    table: Table,
    where: Where,
    *,
    limit: int | None = None,
    newest_first: bool = False,
    words: Converters = (),
) -> list[list[Any]]:
    """Whole rows, in the order of the table's first column.

    In `where`, a tuple or list as value means "one of these", None means "not set", SET the opposite. `words` says what
    becomes of values beside what their columns make of them.
    """
    shape, values = _read(where)
    statement = _drawn_select(table, shape, newest_first=newest_first, limited=limit is not None)
    found = statement.run(connection, values if limit is None else [*values, limit]).fetchall()
    readers = _readers(table) + words
    return [_converted(row, readers) for row in found]


def count(connection: Connection, table: Table, where: Where) -> int:
    shape, values = _read(where)
    number: int = _drawn_sum(table, None, shape).run(connection, values).fetchone()[0]
    return number


def exists(connection: Connection, table: Table, where: Where) -> bool:
    """Whether there is one, without counting them."""
    shape, values = _read(where)
    return _drawn_exists(table, shape).run(connection, [*values, 1]).fetchone() is not None


def distinct(connection: Connection, table: Table, column: str, where: Where) -> list[Any]:
    """The different values of a column, in no order."""
    shape, values = _read(where)
    found = _drawn_distinct(table, column, shape).run(connection, values).fetchall()
    reader = _some([_reader(table.c[column].type)])
    return [value for row in found for value in _converted(row, reader)]


def each(connection: Connection, table: Table, column: str, where: Where) -> list[Any]:
    """The same of a text by which an index is ordered: a step for each of them, however many rows have it."""
    found: list[Any] = []
    while True:
        shape, values = _read({**where, column: Above(found[-1] if found else "")})
        step = _drawn_step(table, column, shape).run(connection, [*values, 1]).fetchone()
        if step is None:
            return found
        found.append(step[0])


def total(connection: Connection, table: Table, column: str, where: Where) -> int:
    """The sum of a column of whole numbers; 0 where there is no row."""
    shape, values = _read(where)
    number: int = _drawn_sum(table, column, shape).run(connection, values).fetchone()[0]
    return number


def latest(connection: Connection, table: Table, column: str, where: Where) -> Any:
    """The greatest value of a column; None where there is none."""
    shape, values = _read(where)
    found = _drawn_latest(table, column, shape).run(connection, values).fetchone()
    return _converted(found, _some([_reader(table.c[column].type)]))[0]


def newest(connection: Connection, table: Table, column: str) -> Any:
    """What a column holds in the last row, in the order of the table's first column; None where there is no row."""
    found = _drawn_newest(table, column).run(connection, (1,)).fetchone()
    return None if found is None else found[0]


def insert(connection: Connection, table: Table, names: Names, rows: Iterable[Sequence[object]]) -> None:
    """Rows, each with its values in the order of `names`, which is that of the columns."""
    statement = _drawn_insert(table, names)
    dialects.execute_all(connection, statement.text, [_converted(row, statement.binders) for row in rows])


def update(connection: Connection, table: Table, id: str, names: Names, row: Sequence[object]) -> int:
    """Write over the row with this id, in the order of `names`, which is that of the columns. Returns how many."""
    return _drawn_update(table, names).run(connection, [*row, id]).rowcount


def delete(connection: Connection, table: Table, where: Where) -> None:
    shape, values = _read(where)
    _drawn_delete(table, shape).run(connection, values)


@lru_cache
def _readers(table: Table) -> Converters:
    """What makes of a column's stored value the one that was given."""
    return _some(_reader(column.type) for column in table.columns)


def _reader(kind: TypeEngine[Any]) -> Converter | None:
    return kind.told if isinstance(kind, Stored) else kind.result_processor(dialects.DIALECT, None)


def _binder(kind: TypeEngine[Any]) -> Converter | None:
    return kind.kept if isinstance(kind, Stored) else kind.bind_processor(dialects.DIALECT)


def _some(converters: Iterable[Converter | None]) -> Converters:
    """Most values are stored as they are given."""
    return tuple((place, convert) for place, convert in enumerate(converters) if convert is not None)


def _converted(values: Iterable[Any], converters: Converters) -> list[Any]:
    """The same, with those that need it changed. Nothing stays nothing."""
    changed = list(values)
    for place, convert in converters:
        if changed[place] is not None:
            changed[place] = convert(changed[place])
    return changed


def _read(where: Where) -> tuple[Shape, list[object]]:
    """The shape, and the values that stand in it."""
    shape: list[tuple[str, str, int]] = []
    values: list[object] = []
    for name, value in where.items():
        match value:
            case None:
                shape.append((name, "none", 0))
            case _ if value is SET:
                shape.append((name, "set", 0))
            case bool():
                shape.append((name, str(value), 0))
            case tuple() | list():
                shape.append((name, "among", len(value)))
                values.extend(value)
            case Below(limit) | Above(limit) | But(limit):
                shape.append((name, type(value).__name__, 1))
                values.append(limit)
            case _:
                shape.append((name, "is", 1))
                values.append(value)
    return tuple(shape), values


def _conditions(table: Table, shape: Shape) -> list[ColumnElement[bool]]:
    return [
        _condition(table.c[name], how, [_mark(f"{name}_{place}_{n}", table.c[name]) for n in range(number)])
        for place, (name, how, number) in enumerate(shape)
    ]


def _condition(column: ColumnElement[Any], how: str, marks: list[BindParameter[Any]]) -> ColumnElement[bool]:
    match how:
        case "none":
            return column.is_(None)
        case "set":
            return column.is_not(None)
        case "True" | "False":  # in the text, so that an index of the rows with this value is found
            return column.is_(text(how.upper()))
        case "among":
            return column.in_(marks) if marks else NONE_OF_THEM
        case "Below":
            return column < marks[0]
        case "Above":
            return column > marks[0]
        case "But":
            return column.is_distinct_from(marks[0])
    return column == marks[0]


def _mark(name: str, column: ColumnElement[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=column.type)


@lru_cache(maxsize=1024)
def _drawn_select(table: Table, shape: Shape, *, newest_first: bool, limited: bool) -> Statement:
    key = table.columns[0]
    drawn = select(table).where(*_conditions(table, shape)).order_by(key.desc() if newest_first else key)
    return _compiled(drawn).followed_by(" LIMIT ?") if limited else _compiled(drawn)


@lru_cache(maxsize=1024)
def _drawn_sum(table: Table, column: str | None, shape: Shape) -> Statement:
    """Of a column, or how many rows there are."""
    what = func.count() if column is None else func.coalesce(func.sum(table.c[column]), text("0"))
    return _compiled(select(what).select_from(table).where(*_conditions(table, shape)))


@lru_cache(maxsize=1024)
def _drawn_exists(table: Table, shape: Shape) -> Statement:
    return _compiled(select(ONE).select_from(table).where(*_conditions(table, shape))).followed_by(" LIMIT ?")


@lru_cache(maxsize=1024)
def _drawn_distinct(table: Table, column: str, shape: Shape) -> Statement:
    return _compiled(select(table.c[column]).where(*_conditions(table, shape)).distinct())


@lru_cache(maxsize=1024)
def _drawn_step(table: Table, column: str, shape: Shape) -> Statement:
    drawn = select(table.c[column]).where(*_conditions(table, shape)).order_by(table.c[column])
    return _compiled(drawn).followed_by(" LIMIT ?")


@lru_cache(maxsize=1024)
def _drawn_latest(table: Table, column: str, shape: Shape) -> Statement:
    return _compiled(select(func.max(table.c[column])).where(*_conditions(table, shape)))


@lru_cache
def _drawn_newest(table: Table, column: str) -> Statement:
    """For columns that are read as they are stored."""
    return _compiled(select(table.c[column]).order_by(table.columns[0].desc())).followed_by(" LIMIT ?")


@lru_cache(maxsize=1024)
def _drawn_delete(table: Table, shape: Shape) -> Statement:
    return _compiled(table.delete().where(*_conditions(table, shape)))


@lru_cache
def _drawn_insert(table: Table, names: Names) -> Statement:
    return _taking(names, _compiled(table.insert(), names))


@lru_cache
def _drawn_update(table: Table, names: Names) -> Statement:
    return _taking((*names, WHICH), _compiled(table.update().where(table.c.id == bindparam(WHICH)), names))


def _taking(names: Names, statement: Statement) -> Statement:
    assert statement.names == names, f"{statement.text} takes its values in another order than {names}"
    return statement


def _compiled(drawn: Any, names: Names | None = None) -> Statement:
    compiled = drawn.compile(dialect=dialects.DIALECT, column_keys=names)
    places = tuple(compiled.positiontup)
    return Statement(
        text=str(compiled),
        names=places,
        binders=_some(_binder(compiled.binds[name].type) for name in places),
    )

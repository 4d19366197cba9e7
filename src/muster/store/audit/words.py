"""What checks are drawn with."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any  # SQLAlchemy's expressions

from sqlalchemy import CTE, Select, Table, Text, case, cast, func, literal, select
from sqlalchemy.sql import ColumnElement

from muster.model.event import Event, event_name
from muster.model.message import OPERATOR_NAME
from muster.model.receipt import HUB, PROVEN, SAID
from muster.store.schema import events

Expression = ColumnElement[Any]


def absent(column: Expression, table: Table) -> ColumnElement[bool]:
    """A row has a value in this column, and no row of the table has it as its id."""
    return column.is_not(None) & ~select(literal(1)).where(table.c.id == column).correlate_except(table).exists()


def told(field: str) -> Expression:
    """What an entry's body says under a name; nothing where it is no JSON."""
    return case((func.json_valid(events.c.body) == 1, func.json_extract(events.c.body, f"$.{field}")))


def named_in(field: str) -> Expression:
    """Whom an entry concerns: a column of its own for fleet and agent, a field of its body for most else.

    As text, for SQLite joins by an index only what is of one kind with the ids of rows.
    """
    match field:
        case "fleet" | "agent":
            return events.c[field]
        case "delivery":
            return cast(told("message").concat(":").concat(events.c.agent), Text)
        case "vote":
            whose = told("message").concat(":").concat(events.c.agent)
            return cast(whose.concat(":").concat(told("number")), Text)
        case "receipt":
            return cast(receipt_id(told("message"), events.c.agent, told("action"), told("by")), Text)
    return cast(told(field), Text)


def receipt_id(message: Expression, agent: Expression, action: Expression, by: Expression) -> Expression:
    """As `model/receipt.py` makes it."""
    said = case((action.in_(PROVEN) & (by != HUB), SAID), else_="")
    return message.concat(":").concat(func.coalesce(agent, OPERATOR_NAME)).concat(said).concat(":").concat(action)


def entries(*names: str, by: str, fields: Iterable[str] = (), name: str = "said") -> CTE:
    """The journal's entries of these names: cursor, at, agent, event, fields of bodies, `id` of whom they concern."""
    return _once(_entries(by, fields).where(events.c.name.in_(names)), name)


def last_entries(*names: str, by: str, fields: Iterable[str] = ()) -> CTE:
    """The same, only the newest of each id."""
    newest = select(func.max(events.c.cursor)).where(events.c.name.in_(names)).group_by(named_in(by))
    return _once(_entries(by, fields).where(events.c.cursor.in_(newest)))


def _once(drawn: Select[Any], name: str = "said") -> CTE:
    """Looked up once and indexed, where SQLite would read the journal anew for each row of a join."""
    return drawn.cte(name).prefix_with("MATERIALIZED")


def _entries(by: str, names: Iterable[str]) -> Select[Any]:
    columns = [told(name).label(name) for name in names]
    own = (events.c.cursor, events.c.at, events.c.agent, events.c.name.label("event"))
    return select(*own, named_in(by).label("id"), *columns)


def kind_of(table: Table) -> ColumnElement[str]:
    """What a table's rows are called, as a column: `Run` for one of `runs`."""
    name = str(table.name)
    singular = f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
    return literal(singular.capitalize()).label("kind")


def tellers_of(field: str) -> list[str]:
    """The names of all events whose body has such a field."""
    return [event_name(kind) for kind in Event.__subclasses__() if field in {one.name for one in fields(kind)}]


def event_names() -> list[str]:
    return [event_name(kind) for kind in Event.__subclasses__()]

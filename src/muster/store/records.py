"""Records from rows and rows from records.

A `Reading` looks things up; a `Transaction` also changes them. A record's fields are its table's columns, by name;
the field's annotation says what the column's value becomes.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_type_hints  # Any: a row's values, typed by the record they become

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.sql import ColumnElement

from muster.errors import Broken, NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.event import Entry, Event
from muster.model.fleet import Fleet
from muster.model.run import Run
from muster.model.server import Server
from muster.model.turn import Turn
from muster.store import journal, requests, schema

Record = Fleet | Agent | Run | Turn | Server
R = TypeVar("R", bound=Record)
F = TypeVar("F")

TABLES: Mapping[type, Table] = {
    Fleet: schema.fleets,
    Agent: schema.agents,
    Run: schema.runs,
    Turn: schema.turns,
    Server: schema.servers,
}
PREFIXES: Mapping[type, str] = {Fleet: "flt", Agent: "agt", Run: "run", Turn: "trn", Server: "srv"}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter that is mistaken for another


class Reading:
    """One consistent look at the store. `now` is the moment of the look; `facts` is what was read outside before it."""

    def __init__(self, connection: Connection, actor: Actor, now: datetime, facts: object = None) -> None:
        self._connection = connection
        self._facts = facts
        self.actor = actor
        self.now = now

    def facts(self, kind: type[F]) -> F:
        """What the verb's reader found; a verb that asks for facts it did not declare is a bug."""
        if not isinstance(self._facts, kind):
            raise Broken(why=f"no {kind.__name__} was read before this verb")
        return self._facts

    def get(self, kind: type[R], id: str) -> R:
        """Raises NotFound."""
        found = self.find(kind, id=id)
        if found is None:
            raise NotFound(kind=kind.__name__.lower(), id=id)
        return found

    def find(self, kind: type[R], **where: object) -> R | None:
        rows = self._rows(kind, self._conditions(kind, where), limit=1, newest_first=False)
        return rows[0][1] if rows else None

    def select(
        self, kind: type[R], *, limit: int | None = None, newest_first: bool = False, **where: object
    ) -> list[R]:
        """In order of insertion. A tuple or list as value means "one of these", None means "not set"."""
        return [
            record
            for _, record in self._rows(kind, self._conditions(kind, where), limit=limit, newest_first=newest_first)
        ]

    def page(self, kind: type[R], *, before: int | None, limit: int, **where: object) -> tuple[list[R], int | None]:
        """Newest first, with the cursor for the next page, or None where there is none."""
        conditions = self._conditions(kind, where)
        if before is not None:
            conditions.append(TABLES[kind].c.seq < before)
        rows = self._rows(kind, conditions, limit=limit + 1, newest_first=True)
        cursor = rows[limit - 1][0] if len(rows) > limit else None
        return [record for _, record in rows[:limit]], cursor

    def count(self, kind: type[R], **where: object) -> int:
        statement = select(func.count()).select_from(TABLES[kind]).where(*self._conditions(kind, where))
        return self._connection.execute(statement).scalar_one()

    def events(self, *, after: int, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
        return journal.read(self._connection, after=after, limit=limit, fleet=fleet, agent=agent)

    def last_events(self, *, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
        """The newest ones, oldest of them first."""
        return journal.read_last(self._connection, limit=limit, fleet=fleet, agent=agent)

    def journal_head(self) -> int:
        return journal.head(self._connection)

    def remembered(self, request_id: str) -> "requests.Remembered | None":
        return requests.find(self._connection, self.actor.label, request_id, at=self.now)

    def _conditions(self, kind: type, where: Mapping[str, object]) -> list[ColumnElement[bool]]:
        columns = TABLES[kind].c
        return [
            columns[name].in_(value) if isinstance(value, tuple | list) else columns[name] == value
            for name, value in where.items()
        ]

    def _rows(
        self, kind: type[R], conditions: Sequence[ColumnElement[bool]], *, limit: int | None, newest_first: bool
    ) -> list[tuple[int, R]]:
        table = TABLES[kind]
        order = table.c.seq.desc() if newest_first else table.c.seq
        statement = select(table).where(*conditions).order_by(order).limit(limit)
        return [(row["seq"], _record(kind, row)) for row in self._connection.execute(statement).mappings()]


class Transaction(Reading):
    """A reading that may change things; all of its changes become durable together, or none does."""

    def new_id(self, kind: type[R]) -> str:
        return f"{PREFIXES[kind]}_{''.join(secrets.choice(ALPHABET) for _ in range(12))}"

    def add(self, record: Record) -> None:
        self._connection.execute(TABLES[type(record)].insert().values(_values(record)))

    def save(self, record: Record) -> None:
        """Write a changed record over its row."""
        table = TABLES[type(record)]
        values = {name: value for name, value in _values(record).items() if name != "id"}
        changed = self._connection.execute(table.update().where(table.c.id == record.id).values(values))
        if changed.rowcount != 1:
            raise Broken(why=f"{type(record).__name__} {record.id} was saved before it was added")

    def record(self, event: Event) -> None:
        """Append what happened to the journal."""
        journal.append(self._connection, event, actor=self.actor.label, at=self.now)

    def remember(self, remembered: "requests.Remembered") -> None:
        requests.add(self._connection, self.actor.label, remembered, at=self.now)


def _values(record: Record) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _record(kind: type[R], row: Mapping[Any, Any]) -> R:
    words = WORDS[kind]
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(kind)}
    values |= {name: word(values[name]) for name, word in words.items() if values[name] is not None}
    return kind(**values)


def _closed_sets(kind: type) -> Mapping[str, type[StrEnum]]:
    """The fields whose text is one word of a closed set."""
    return {
        name: choice
        for name, hint in get_type_hints(kind).items()
        for choice in (get_args(hint) or (hint,))
        if isinstance(choice, type) and issubclass(choice, StrEnum)
    }


WORDS = {kind: _closed_sets(kind) for kind in TABLES}

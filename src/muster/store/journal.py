"""All facts in order, appended in the transaction that made them true; and the wake-up of whoever waits for one."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any  # SQLAlchemy's statements, whose row types it works out itself

import anyio
from sqlalchemy import Connection, func, select

from muster.errors import Unavailable
from muster.model.event import Entry, Event, event_name
from muster.store.schema import events


def append(connection: Connection, event: Event, *, actor: str, at: datetime) -> None:
    names = [field.name for field in fields(event) if field.name not in ("fleet", "agent")]
    body = json.dumps({name: getattr(event, name) for name in names}, ensure_ascii=False)
    connection.execute(
        events.insert().values(
            at=at, name=event_name(type(event)), actor=actor, fleet=event.fleet, agent=event.agent, body=body
        )
    )


def read(
    connection: Connection, *, after: int, limit: int, fleet: str | None = None, agent: str | None = None
) -> list[Entry]:
    """Entries after a cursor, oldest first."""
    statement = select(events).where(events.c.cursor > after, *_about(fleet, agent)).order_by(events.c.cursor)
    return _entries(connection, statement.limit(limit))


def read_last(connection: Connection, *, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
    statement = select(events).where(*_about(fleet, agent)).order_by(events.c.cursor.desc())
    return _entries(connection, statement.limit(limit))[::-1]


def head(connection: Connection) -> int:
    """The newest cursor; 0 where nothing has happened yet."""
    newest: int = connection.execute(select(func.coalesce(func.max(events.c.cursor), 0))).scalar_one()
    return newest


class Watch:
    """Wakes its waiters when the journal has grown. A wake-up is a hint: read the journal again."""

    def __init__(self, head: int) -> None:
        self._head = head
        self._grown = anyio.Event()
        self._closed = False

    @property
    def head(self) -> int:
        return self._head

    def grow(self, head: int) -> None:
        if head > self._head:
            self._head = head
            self._grown.set()
            self._grown = anyio.Event()

    def close(self) -> None:
        """Wake everybody who waits, for good."""
        self._closed = True
        self._grown.set()

    async def beyond(self, cursor: int) -> None:
        """Return once the journal reaches past a cursor. The caller bounds the wait. Raises Unavailable once closed."""
        while self._head <= cursor:
            if self._closed:
                raise Unavailable(why="The hub is shutting down.")
            await self._grown.wait()


def _about(fleet: str | None, agent: str | None) -> list[Any]:
    chosen = ((events.c.fleet, fleet), (events.c.agent, agent))
    return [column == value for column, value in chosen if value is not None]


def _entries(connection: Connection, statement: Any) -> list[Entry]:
    return [Entry(**{**row, "body": json.loads(row["body"])}) for row in connection.execute(statement).mappings()]

"""All facts in order, appended in the transaction that made them true; and the wake-up of whoever waits for one."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from itertools import takewhile
from math import inf
from typing import Any  # the values of rows

import anyio
from sqlalchemy import Connection

from muster.errors import Unavailable
from muster.model.event import Entry, Event, Fact, event_name
from muster.store import statements
from muster.store.chain import BEFORE_THE_FIRST, entry_hash
from muster.store.columns import microseconds, whole
from muster.store.schema import events

PAGE = 500
KEPT = 2000  # entries that stay at hand
PAUSE_SECONDS = 0.01  # between two wake-ups
Listener = Callable[[Sequence[Fact]], None]
COLUMNS = tuple(column.name for column in events.columns if column.name != "cursor")
_written = json.JSONEncoder(ensure_ascii=False).encode


def told(event: Event, *, actor: str, at: datetime) -> Fact:
    names = _told_in_body(type(event))  # type: ignore[arg-type]  # a class can be hashed, whatever its objects can
    body = whole(_written({name: getattr(event, name) for name in names}))
    return Fact(at=at, name=event_name(type(event)), actor=actor, fleet=event.fleet, agent=event.agent, body=body)


@lru_cache
def _told_in_body(kind: type[Event]) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in ("fleet", "agent")]


def append(connection: Connection, facts: Sequence[Fact]) -> None:
    """In order, each with its hash on the one before it."""
    if not facts:
        return
    hash = statements.newest(connection, events, "hash") or BEFORE_THE_FIRST
    rows = []
    for fact in facts:
        content = (microseconds(fact.at), fact.name, fact.actor, fact.fleet, fact.agent, fact.body)
        hash = entry_hash(hash, *content)
        rows.append((fact.at, *content[1:], hash))
    statements.insert(connection, events, COLUMNS, rows)


def read(
    connection: Connection, *, after: int, limit: int, fleet: str | None = None, agent: str | None = None
) -> list[Entry]:
    """Entries after a cursor, oldest first."""
    where = {"cursor": statements.Above(after)} | _about(fleet, agent)
    return _entries(statements.rows(connection, events, where, limit=limit))


def read_last(connection: Connection, *, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
    found = statements.rows(connection, events, _about(fleet, agent), limit=limit, newest_first=True)
    return _entries(found)[::-1]


def head(connection: Connection) -> int:
    """The newest cursor; 0 where nothing has happened yet."""
    newest: int | None = statements.newest(connection, events, "cursor")
    return newest or 0


class Watch:
    """Wakes its waiters when the journal has grown. A wake-up is a hint: read the journal again.

    The head moves with each commit; waiters are woken a little later, so that whoever was committed is answered first,
    and at most once in a while, so that facts in quick succession are read together.
    """

    def __init__(self, head: int) -> None:
        self._head = head
        self._told = head
        self._told_at = -inf
        self._telling = False
        self._grown = anyio.Event()
        self._closed = False
        self._listeners: list[Listener] = []

    @property
    def head(self) -> int:
        return self._head

    def hear(self, listener: Listener) -> None:
        """Have it called with the facts of each commit, before anybody is answered who caused or awaits them.

        With those of a commit that failed too, for it may have taken place.
        """
        self._listeners.append(listener)

    def grow(self, head: int, facts: Sequence[Fact]) -> None:
        grown = head > self._head
        self._head = max(head, self._head)
        for listener in self._listeners:
            listener(facts)
        if not grown:
            return
        if not self._telling:
            self._telling = True
            pause = self._told_at + PAUSE_SECONDS - time.monotonic()
            asyncio.get_running_loop().call_later(max(0.0, pause), self._tell)

    def close(self) -> None:
        """Wake everybody who waits, for good."""
        self._closed = True
        self._tell()

    async def beyond(self, cursor: int) -> None:
        """Return once the journal reaches past a cursor. The caller bounds the wait. Raises Unavailable once closed."""
        while self._told <= cursor:
            if self._closed:
                raise Unavailable(why="The hub is shutting down.")
            await self._grown.wait()

    def _tell(self) -> None:
        self._told, self._telling = self._head, False
        self._told_at = time.monotonic()
        self._grown.set()
        self._grown = anyio.Event()


class Tail:
    """The newest facts, kept as they are committed, once for all who follow the journal.

    What it has not heard, for a commit that was reported as failed took place, it reads from the store.
    """

    def __init__(self, watch: Watch, page: Callable[[int], Awaitable[list[Entry]]]) -> None:
        self._watch = watch
        self._page = page
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._start = self._end = watch.head
        self._reading = anyio.Lock()
        watch.hear(self._keep)

    async def after(self, cursor: int) -> list[Entry] | None:
        """All of the journal after a cursor; None where that goes further back than this remembers."""
        if self._end < self._watch.head:
            async with self._reading:
                while self._start <= cursor and self._end < self._watch.head:
                    await self._read_on()
        if cursor < self._start:
            return None
        return list(takewhile(lambda entry: entry.cursor > cursor, reversed(self._entries)))[::-1]

    async def _read_on(self) -> None:
        head, page = self._watch.head, await self._page(self._end)
        self._end = page[-1].cursor if page else head
        self._extend(page)

    def _keep(self, facts: Sequence[Fact]) -> None:
        if self._end + len(facts) == self._watch.head:  # they stand there, and right behind what is at hand
            self._extend([_entry(self._end + place, fact) for place, fact in enumerate(facts, 1)])
            self._end = self._watch.head

    def _extend(self, entries: Sequence[Entry]) -> None:
        self._entries.extend(entries)
        if len(self._entries) == KEPT:
            self._start = self._entries[0].cursor - 1


def _about(fleet: str | None, agent: str | None) -> dict[str, object]:
    return {name: value for name, value in (("fleet", fleet), ("agent", agent)) if value is not None}


def _entry(cursor: int, fact: Fact) -> Entry:
    return Entry(
        cursor=cursor,
        at=fact.at,
        name=fact.name,
        actor=fact.actor,
        fleet=fact.fleet,
        agent=fact.agent,
        body=json.loads(fact.body),
    )


def _entries(rows: Sequence[Sequence[Any]]) -> list[Entry]:
    """An entry's hash is of the chain, not of what it tells."""
    return [
        Entry(cursor=cursor, at=at, name=name, actor=actor, fleet=fleet, agent=agent, body=json.loads(body))
        for cursor, at, name, actor, fleet, agent, body, _ in rows
    ]

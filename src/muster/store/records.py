"""Records from rows and rows from records.

A `Reading` looks things up; a `Transaction` also changes them. A record's fields are its table's columns behind the
counter, by name, `id` first; the field's annotation says what the column's value becomes.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_type_hints  # Any: a row's values, typed by the record they become

from sqlalchemy import Connection, Table

from muster.errors import Broken, NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.ask import Ask
from muster.model.capability import Capability, Outcome
from muster.model.clash import Clash
from muster.model.cleanup import Cleanup
from muster.model.decision import Decision, Vote
from muster.model.delivery import Delivery
from muster.model.embedding import Embedding
from muster.model.errand import Errand
from muster.model.event import Entry, Event, Fact
from muster.model.fleet import Fleet
from muster.model.lead import Lead
from muster.model.merge import LandedPath, Merge
from muster.model.message import Message, Routing
from muster.model.notice import Notice
from muster.model.receipt import Receipt
from muster.model.run import Run
from muster.model.server import Server
from muster.model.template import Template
from muster.model.turn import Turn
from muster.model.wakeup import Wakeup
from muster.model.worktree import Snapshot, Worktree
from muster.store import journal, requests, schema, statements
from muster.store.columns import microseconds

Record = (
    Fleet
    | Agent
    | Run
    | Turn
    | Ask
    | Server
    | Lead
    | Notice
    | Message
    | Routing
    | Delivery
    | Receipt
    | Decision
    | Vote
    | Wakeup
    | Worktree
    | Snapshot
    | Errand
    | Cleanup
    | Merge
    | LandedPath
    | Clash
    | Capability
    | Outcome
    | Template
    | Embedding
)
R = TypeVar("R", bound=Record)
F = TypeVar("F")

TABLES: Mapping[type, Table] = {
    Fleet: schema.fleets,
    Agent: schema.agents,
    Run: schema.runs,
    Turn: schema.turns,
    Ask: schema.asks,
    Server: schema.servers,
    Lead: schema.leads,
    Notice: schema.notices,
    Message: schema.messages,
    Routing: schema.routings,
    Delivery: schema.deliveries,
    Receipt: schema.receipts,
    Decision: schema.decisions,
    Vote: schema.votes,
    Wakeup: schema.wakeups,
    Worktree: schema.worktrees,
    Snapshot: schema.snapshots,
    Errand: schema.errands,
    Cleanup: schema.cleanups,
    Merge: schema.merges,
    LandedPath: schema.landed_paths,
    Clash: schema.clashes,
    Capability: schema.capabilities,
    Outcome: schema.outcomes,
    Template: schema.templates,
    Embedding: schema.embeddings,
}
PREFIXES: Mapping[type, str] = {
    Fleet: "flt",
    Agent: "agt",
    Run: "run",
    Turn: "trn",
    Ask: "ask",
    Server: "srv",
    Notice: "ntc",
    Message: "msg",
    Wakeup: "wak",
    Worktree: "wkt",
    Snapshot: "snp",
    Errand: "ern",
    Cleanup: "cln",
    Merge: "mrg",
    Clash: "cls",
    Capability: "cap",
    Outcome: "out",
    Template: "tpl",
}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter that is mistaken for another
LETTERS = ALPHABET.encode() * 8  # the one that each byte stands for
SLOT = 600_000_000  # microseconds; there are as many slots as pairs of letters, a week of them


class Reading:
    """One consistent look at the store. `now` is the moment of the look; `facts` is what was read outside before it."""

    def __init__(self, connection: Connection, actor: Actor, now: datetime, facts: object = None) -> None:
        self._connection = connection
        self._facts = facts
        self.actor = actor
        self.now = now

    @property
    def connection(self) -> Connection:
        """For this package alone: a verb sees records."""
        return self._connection

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

    def find(self, kind: type[R], /, **where: object) -> R | None:
        rows = self._rows(kind, where, limit=1, newest_first=False)
        return rows[0][1] if rows else None

    def select(
        self, kind: type[R], /, *, limit: int | None = None, newest_first: bool = False, **where: object
    ) -> list[R]:
        """In order of insertion. As value a tuple or list means "one of these", None "not set", `SET` the opposite."""
        return [record for _, record in self._rows(kind, where, limit=limit, newest_first=newest_first)]

    def page(self, kind: type[R], /, *, before: int | None, limit: int, **where: object) -> tuple[list[R], int | None]:
        """Newest first, with the cursor for the next page, or None where there is none."""
        if before is not None:
            where["seq"] = statements.Below(before)
        rows = self._rows(kind, where, limit=limit + 1, newest_first=True)
        cursor = rows[limit - 1][0] if len(rows) > limit else None
        return [record for _, record in rows[:limit]], cursor

    def count(self, kind: type[R], /, **where: object) -> int:
        return statements.count(self._connection, TABLES[kind], where)

    def any(self, kind: type[R], /, **where: object) -> bool:
        return statements.exists(self._connection, TABLES[kind], where)

    def distinct(self, kind: type[R], column: str, /, **where: object) -> list[Any]:
        """The different values of a field, in no order."""
        return statements.distinct(self._connection, TABLES[kind], column, where)

    def each(self, kind: type[R], column: str, /, **where: object) -> list[Any]:
        """The different values of a text by which an index is ordered: quick, however many rows have each."""
        return statements.each(self._connection, TABLES[kind], column, where)

    def following(self, kind: type[R], /, *, after: int, limit: int, **where: object) -> list[tuple[int, R]]:
        """Oldest first, each with its cursor."""
        return self._rows(kind, where | {"seq": statements.Above(after)}, limit=limit, newest_first=False)

    def newest(self, kind: type[R]) -> int:
        """The cursor of the last row; 0 where there is none."""
        found: int | None = statements.newest(self._connection, TABLES[kind], "seq")
        return found or 0

    def last(self, kind: type[R], moment: str, **where: object) -> datetime | None:
        """The latest of a field that holds a moment."""
        found: datetime | None = statements.latest(self._connection, TABLES[kind], moment, where)
        return found

    def total(self, kind: type[R], column: str, **where: object) -> int:
        """The sum of a column of whole numbers."""
        return statements.total(self._connection, TABLES[kind], column, where)

    def events(self, *, after: int, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
        return journal.read(self._connection, after=after, limit=limit, fleet=fleet, agent=agent)

    def last_events(self, *, limit: int, fleet: str | None = None, agent: str | None = None) -> list[Entry]:
        """The newest ones, oldest of them first."""
        return journal.read_last(self._connection, limit=limit, fleet=fleet, agent=agent)

    def journal_head(self) -> int:
        return journal.head(self._connection)

    def remembered(self, request_id: str) -> "requests.Remembered | None":
        return requests.find(self._connection, self.actor.label, request_id, at=self.now)

    def _rows(
        self, kind: type[R], where: statements.Where, *, limit: int | None, newest_first: bool
    ) -> list[tuple[int, R]]:
        table, words = TABLES[kind], WORDS[kind]
        found = statements.rows(self._connection, table, where, limit=limit, newest_first=newest_first, words=words)
        return [(seq, _record(kind, values)) for seq, *values in found]


class Transaction(Reading):
    """A reading that may change things; all of its changes become durable together, or none does.

    `told` is what it adds to the journal.
    """

    def __init__(self, connection: Connection, actor: Actor, now: datetime, facts: object = None) -> None:
        super().__init__(connection, actor, now, facts)
        self.told: list[Fact] = []

    def new_id(self, kind: type[R]) -> str:
        """Those made at about the same time begin alike: side by side in an index, however large that has become."""
        slot = microseconds(self.now) // SLOT % len(ALPHABET) ** 2
        letters = bytes(divmod(slot, len(ALPHABET))) + secrets.token_bytes(10)  # 32 of them: all alike likely
        return f"{PREFIXES[kind]}_{letters.translate(LETTERS).decode()}"

    def add(self, *records: Record) -> None:
        """One, or several of one kind."""
        if records:
            kind = type(records[0])
            statements.insert(self._connection, TABLES[kind], FIELDS[kind], map(VALUES[kind], records))

    def save(self, record: Record) -> None:
        """Write a changed record over its row."""
        kind = type(record)
        values = VALUES[kind](record)[1:]
        if statements.update(self._connection, TABLES[kind], record.id, FIELDS[kind][1:], values) != 1:
            raise Broken(why=f"{kind.__name__} {record.id} was saved before it was added")

    def record(self, event: Event) -> None:
        """Tell what happened: it is in the journal with the transaction's commit, and not before."""
        self.told.append(journal.told(event, actor=self.actor.label, at=self.now))

    def remember(self, remembered: "requests.Remembered") -> None:
        requests.add(self._connection, self.actor.label, remembered, at=self.now)


def _record(kind: type[R], values: Sequence[Any]) -> R:
    """Field by field: a frozen class sets them by name in its `__init__`, which takes three times as long."""
    record = object.__new__(kind)
    for put, value in zip(SLOTS[kind], values, strict=True):
        put(record, value)
    return record


def _words(kind: type) -> tuple[tuple[int, type[StrEnum]], ...]:
    """Where in a row a word of a closed set stands, each with that set."""
    sets = {name: _closed_set(hint) for name, hint in get_type_hints(kind).items()}
    return tuple((place, words) for place, name in enumerate(FIELDS[kind], 1) if (words := sets[name]) is not None)


def _closed_set(hint: Any) -> type[StrEnum] | None:
    choices = get_args(hint) or (hint,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, StrEnum)), None)


FIELDS = {kind: tuple(column.name for column in table.columns)[1:] for kind, table in TABLES.items()}
VALUES = {kind: attrgetter(*FIELDS[kind]) for kind in TABLES}
SLOTS = {kind: [getattr(kind, name).__set__ for name in FIELDS[kind]] for kind in TABLES}
WORDS = {kind: _words(kind) for kind in TABLES}

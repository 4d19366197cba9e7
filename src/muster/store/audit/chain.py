"""Whether the journal is the one that was written: each entry's hash is computed again, in the order of the cursors.

What was changed without new hashes for all that follows shows by itself; what was changed with them shows against a
head that was noted elsewhere.
"""

import time
from collections.abc import Iterator
from typing import Any  # the values of rows, into which a stranger's hand may have written anything

from sqlalchemy import Connection

from muster.model.audit import Finding, Head, Severity
from muster.store import dialects
from muster.store.audit.check import UNREADABLE, unable
from muster.store.chain import BEFORE_THE_FIRST, entry_hash
from muster.store.schema import events

SLICE = 500
ENTRIES = "SELECT cursor, at, name, actor, fleet, agent, body, hash FROM events ORDER BY cursor"


def newest(connection: Connection) -> Head:
    row = dialects.execute(connection, f"{ENTRIES} DESC LIMIT 1").fetchone()
    return Head(cursor=row[0], hash=str(row[-1])) if row else Head(cursor=0, hash=BEFORE_THE_FIRST)


def walk(connection: Connection, noted: Head | None) -> Iterator[Finding]:
    """What is wrong with the chain; `noted` is a head of this journal that was kept elsewhere."""
    try:
        yield from _walk(connection, noted)
    except UNREADABLE as error:
        yield unable("chain.unreadable", error)


def _walk(connection: Connection, noted: Head | None) -> Iterator[Finding]:
    last, previous, met = 0, BEFORE_THE_FIRST, BEFORE_THE_FIRST
    for cursor, *content, hash in _entries(connection):
        if cursor != last + 1:
            yield _out_of_place(last, cursor)
        elif entry_hash(previous, *content) != hash:
            yield _found("changed", cursor, f"Entry {cursor} does not follow from the one before it: {CHANGED}")
        last, previous = cursor, hash
        if noted is not None and cursor == noted.cursor:
            met = hash
    reached = dialects.last_given(connection, events)
    if reached > last:
        yield _found("cut", reached, f"The journal ends at {last}, and had reached {reached}: its end is missing.")
    if noted is not None and met != noted.hash:
        yield _found("head", noted.cursor, _astray(noted, last))


CHANGED = "it was changed, or its hash was, or the hash before it."


def _entries(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """In slices, between which other threads come to their turn: one that computes holds the interpreter for 5 ms."""
    rows = dialects.execute(connection, ENTRIES)
    while entries := rows.fetchmany(SLICE):
        yield from entries
        time.sleep(0)


def _out_of_place(last: int, cursor: int) -> Finding:
    if cursor <= last:
        return _found("added", cursor, f"Entry {cursor} stands before the first, where none was ever written.")
    first, end = last + 1, cursor - 1
    missing = f"Entry {first} is" if first == end else f"Entries {first} to {end} are"
    return _found("missing", first, f"{missing} missing.")


def _astray(noted: Head, last: int) -> str:
    if noted.cursor > last:
        return f"The head that was noted is entry {noted.cursor}, and the journal ends at {last}."
    return f"Entry {noted.cursor} has not the hash that was noted: it, or what stands before it, was written anew."


def _found(check: str, subject: int, detail: str) -> Finding:
    return Finding(severity=Severity.ERROR, check=f"chain.{check}", subject=str(subject), detail=detail)

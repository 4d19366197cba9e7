"""A journal that was changed is known for it: by itself, or, where all later hashes were made anew, by a noted head."""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from muster.model.audit import Head
from unit.store.audit.ledgers import look, tamper

CONTENT = {"at": 1, "name": 2, "actor": 3, "fleet": 4, "agent": 5, "body": 6}
PLACES = st.integers(0, 10**6)
DEEDS = st.one_of(
    st.tuples(st.just("change"), PLACES, st.sampled_from(sorted(CONTENT))),
    st.tuples(st.just("remove"), PLACES, st.booleans()),
    st.tuples(st.just("swap"), PLACES, PLACES),
    st.tuples(st.just("add"), PLACES, st.booleans()),
)
Rows = list[list[Any]]


def changed(rows: Rows, place: int, column: str) -> Rows:
    row = rows[place % len(rows)]
    row[CONTENT[column]] = row[1] + 1 if column == "at" else f"{row[CONTENT[column]] or ''} "
    return rows


def removed(rows: Rows, place: int, closing_ranks: bool) -> Rows:
    del rows[place % len(rows)]
    return numbered(rows) if closing_ranks else rows


def swapped(rows: Rows, one: int, other: int) -> Rows:
    first, second = rows[one % len(rows)], rows[other % len(rows)]
    assume(first[1:7] != second[1:7])
    first[1:], second[1:] = second[1:], first[1:]
    return rows


def added(rows: Rows, place: int, before_all: bool) -> Rows:
    """Somewhere among the others, or under a number that none can have."""
    made = [0, rows[0][1], "fleet.spawned", "operator", None, None, "{}", "f" * 64]
    if before_all:
        return [made, *rows]
    at = place % len(rows)
    return numbered([*rows[:at], made, *rows[at:]])


ACTS = {"change": changed, "remove": removed, "swap": swapped, "add": added}


def numbered(rows: Rows) -> Rows:
    return [[cursor, *row[1:]] for cursor, row in enumerate(rows, start=1)]


def hashed_anew(rows: Rows) -> Rows:
    previous, chain = "", []
    for row in rows:
        text = json.dumps([previous, *row[1:7]], ensure_ascii=False, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        chain.append([*row[:7], previous])
    return chain


@pytest.mark.parametrize("is_thorough", [False, True])
def test_any_change_of_the_journal_is_found(lived, is_thorough):
    noted = look(lived).head

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(deed=DEEDS)
    def tampered(deed: tuple[Any, ...]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ledger = Path(shutil.copy(lived, Path(folder) / "copy.db"))
            do(ledger, deed, is_thorough=is_thorough)
            found = look(ledger, noted if is_thorough else None)
            assert any(finding.check.startswith("chain.") for finding in found.findings), (deed, found.findings)
            assert not found.ok

    tampered()


def do(ledger: Path, deed: tuple[Any, ...], *, is_thorough: bool) -> None:
    """Write the journal anew as the deed has it; who is thorough makes new hashes too."""
    with closing(sqlite3.connect(ledger)) as file:
        rows = [list(row) for row in file.execute("SELECT * FROM events ORDER BY cursor")]
        kind, *rest = deed
        rows = ACTS[kind](rows, *rest)
        if is_thorough:
            rows = hashed_anew(rows)
        file.execute("DELETE FROM events")
        file.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if is_thorough:
            file.execute("UPDATE sqlite_sequence SET seq = (SELECT max(cursor) FROM events) WHERE name = 'events'")
        file.commit()


def findings(ledger: Path, noted: Head | None = None) -> list[tuple[str, str]]:
    found = [(finding.check, finding.subject) for finding in look(ledger, noted).findings]
    return [(check, subject) for check, subject in found if check.startswith("chain.")]


def test_changed_entry_is_named_and_no_other(ledger):
    tamper(ledger, "UPDATE events SET body = '{}' WHERE cursor = 20")
    assert findings(ledger) == [("chain.changed", "20")]


def test_missing_entries_are_named_by_the_first(ledger):
    tamper(ledger, "DELETE FROM events WHERE cursor BETWEEN 20 AND 29")
    assert findings(ledger) == [("chain.missing", "20")]
    (missing,) = [one for one in look(ledger).findings if one.check == "chain.missing"]
    assert missing.detail == "Entries 20 to 29 are missing."


def test_end_that_was_cut_off_is_missed_and_against_a_noted_head_too(ledger):
    noted = look(ledger).head
    tamper(ledger, "DELETE FROM events WHERE cursor > 80")
    assert findings(ledger) == [("chain.cut", str(noted.cursor))]
    tamper(ledger, "UPDATE sqlite_sequence SET seq = 80 WHERE name = 'events'")
    assert findings(ledger) == []
    assert findings(ledger, noted) == [("chain.head", str(noted.cursor))]


def test_journal_that_has_grown_since_agrees_with_the_head_that_was_noted(lived):
    end = look(lived).head.cursor
    with closing(sqlite3.connect(f"file:{lived}?mode=ro", uri=True)) as file:
        heads = [Head(cursor=cursor, hash=hash) for cursor, hash in file.execute("SELECT cursor, hash FROM events")]
    assert all(findings(lived, head) == [] for head in (Head(cursor=0, hash=""), heads[0], heads[end // 2], heads[-1]))
    other = Head(cursor=heads[5].cursor, hash=heads[6].hash)
    assert findings(lived, other) == [("chain.head", str(other.cursor))]


def test_bytes_that_are_no_text_are_a_finding(ledger):
    tamper(ledger, "UPDATE events SET body = CAST(x'ff' AS TEXT) WHERE cursor = 20")
    found = look(ledger)
    assert ("chain.unreadable", "database") in {(one.check, one.subject) for one in found.findings}
    assert not found.ok

"""What is looked for is found, whatever its shape; what was stored comes back as it was given."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import Connection, create_engine

from muster.store import statements
from muster.store.schema import events, metadata
from muster.store.statements import SET, Above, Below

AT = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("at", "name", "actor", "fleet", "agent", "body", "hash")
FLEETS = ("flt_1", "flt_2", None)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Nine facts: cursors 1 to 9, three fleets (one is none), three names each."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        for place, (fleet, name) in enumerate(product(FLEETS, "abc")):
            told = (AT + timedelta(microseconds=place), name, "system", fleet, None, "{}", "")
            statements.insert(connection, events, COLUMNS, [told])
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("where", "cursors"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"fleet": "flt_1"}, [1, 2, 3]),
        ({"fleet": None}, [7, 8, 9]),
        ({"fleet": SET}, [1, 2, 3, 4, 5, 6]),
        ({"fleet": ("flt_1", "flt_2"), "name": "b"}, [2, 5]),
        ({"name": ["a"]}, [1, 4, 7]),
        ({"name": []}, []),
        ({"cursor": Above(7)}, [8, 9]),
        ({"cursor": Below(3), "name": "b"}, [2]),
        ({"at": Above(AT + timedelta(microseconds=6))}, [8, 9]),
    ],
)
def test_rows_are_those_that_were_asked_for(connection, where, cursors):
    assert [row[0] for row in statements.rows(connection, events, where)] == cursors
    assert [row[0] for row in statements.rows(connection, events, where, newest_first=True)] == cursors[::-1]
    assert [row[0] for row in statements.rows(connection, events, where, limit=2)] == cursors[:2]
    assert statements.count(connection, events, where) == len(cursors)
    assert statements.total(connection, events, "cursor", where) == sum(cursors)


def test_newest_is_what_the_last_row_holds(connection):
    assert statements.newest(connection, events, "cursor") == 9
    statements.delete(connection, events, {})
    assert statements.newest(connection, events, "cursor") is None


def test_latest_is_the_greatest_value_as_it_was_given(connection):
    assert statements.latest(connection, events, "at", {"fleet": "flt_1"}) == AT + timedelta(microseconds=2)
    assert statements.latest(connection, events, "at", {"fleet": "flt_3"}) is None


def test_different_values_are_given_once_and_nothing_is_one_of_them(connection):
    assert {*statements.distinct(connection, events, "fleet", {})} == {*FLEETS}
    two = {"cursor": [2, 3]}
    assert statements.distinct(connection, events, "at", two) == [AT + timedelta(microseconds=n) for n in (1, 2)]


def test_row_comes_back_as_it_was_given(connection):
    assert statements.rows(connection, events, {"cursor": 5}) == [
        [5, AT + timedelta(microseconds=4), "b", "system", "flt_2", None, "{}", ""]
    ]


def test_half_a_character_is_stored_as_a_whole_one(connection):
    statements.insert(connection, events, COLUMNS, [(AT, "a", "system", "flt_\ud800", None, "{}", "")])
    assert statements.count(connection, events, {"fleet": "flt_\ufffd"}) == 1


def test_what_is_deleted_is_what_was_meant(connection):
    statements.delete(connection, events, {"fleet": "flt_1", "at": Below(AT + timedelta(microseconds=2))})
    assert [row[0] for row in statements.rows(connection, events, {})] == [3, 4, 5, 6, 7, 8, 9]

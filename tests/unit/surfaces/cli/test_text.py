"""Figures, moments and tables as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.surfaces.cli import text

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (None, "-"),
        (0, "0 ms"),
        (999.4, "999 ms"),
        (1000, "1.0 s"),
        (59_940, "59.9 s"),
        (60_000, "1 min 00 s"),
        (3_599_000, "59 min 59 s"),
        (7_800_000, "2 h 10 min"),
    ],
)
def test_duration_is_said_in_units_that_fit(milliseconds, said):
    assert text.duration(milliseconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")]
)
def test_age_is_said_in_the_largest_unit(seconds, said):
    assert text.age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == said


def test_columns_are_aligned_whatever_their_letters_take():
    shown = text.table(["A", "B", "C"], [["日本", 5, "x"], ["e\u0301é", None, "y"]], right=frozenset({"B"}))
    assert shown == "A     B  C\n日本  5  x\ne\u0301é    -  y"


def test_cells_are_cut_and_safe_to_show():
    (_, row) = text.table(["A"], [["\x1b[1m" + "x" * 100]]).splitlines()
    assert row.startswith("\\x1b[1mx")
    assert row.endswith("x…")


def test_absent_figures_are_dashes():
    assert (text.money(0), text.count(0), text.counts({}), text.age(None)) == ("-", "-", "-", "-")
    assert (text.money(0.12345), text.count(12345), text.counts({"done": 2, "failed": 1})) == (
        "$0.1235",
        "12,345",
        "2 done, 1 failed",
    )

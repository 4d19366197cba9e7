"""Figures, moments and tables as people read them."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any  # rows of answers are JSON

from muster.visible import visible

GAP = "  "
CELL = 60  # a table's cell is cut behind this; the whole text is in --json
STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[str] = frozenset()) -> str:
    """Aligned columns; columns named in `right` are aligned to the right. Cells are made safe to show."""
    cells = [[visible("-" if cell is None else str(cell), limit=CELL) for cell in row] for row in rows]
    lines = [list(head), *cells]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(line, widths, [name in right for name in head]) for line in lines)


def duration(milliseconds: float | None) -> str:
    """`850 ms`, `14.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def age(moment: str | None, now: datetime | None = None) -> str:
    """How long ago a moment was: `12 s`, `5 min`, `3 h`, `2 d`."""
    if moment is None:
        return "-"
    seconds = max(0, round(((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()))
    for size, unit in STEPS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def clock(moment: str | None) -> str:
    """The time of day where the reader is."""
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S") if moment else "        "


def money(dollars: float) -> str:
    return f"${dollars:.4f}" if dollars else "-"


def spent(row: Mapping[str, Any]) -> list[str]:
    """Tokens and cost as words, where there are any."""
    return [f"{row['tokens']:,} tokens"] * bool(row["tokens"]) + [money(row["cost_usd"])] * bool(row["cost_usd"])


def count(number: int) -> str:
    return f"{number:,}" if number else "-"


def counts(statuses: Mapping[str, int]) -> str:
    """`2 done, 1 failed`."""
    return ", ".join(f"{number} {status}" for status, number in statuses.items()) or "-"


def _line(cells: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]) -> str:
    padded = [
        " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
        for cell, width, right in zip(cells, widths, to_the_right, strict=True)
    ]
    return GAP.join(padded).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: wide letters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )

"""Foreign text made safe to show: in a terminal, a log, a title, or one line of a prompt."""

import json
import unicodedata
from functools import lru_cache

HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # controls, bidi and other format marks, private use, line separators
WHOLE = "\n\t\u200c\u200d"  # what a text of several lines is made of; the joiners belong to scripts and emoji


def visible(text: str, limit: int | None = 200, *, keep: str = "") -> str:
    """One line: what could move a cursor, start an escape sequence or reverse the writing is shown as an escape.

    `keep=WHOLE, limit=None` leaves a whole text its lines.
    """
    shown = text[:limit]
    if not shown.isprintable():  # nearly every text is; none of its letters is hidden then
        shown = "".join(_escaped(letter) if _is_hidden(letter, keep) else letter for letter in shown)
    return shown if limit is None or len(text) <= limit else f"{shown}…"


def as_json(value: object, separators: tuple[str, str] | None = None) -> str:
    """JSON in which nothing hides: what `visible` shows as an escape is one of JSON's there, which means the same."""
    text = _encoder(separators).encode(value)
    if text.isprintable():
        return text
    return "".join(json.dumps(letter)[1:-1] if _is_hidden(letter, WHOLE) else letter for letter in text)


def in_quotes(text: str, limit: int = 200) -> str:
    """One line in quotation marks, which it cannot end."""
    return '"' + visible(text, limit).replace('"', "'") + '"'


@lru_cache
def _encoder(separators: tuple[str, str] | None) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, separators=separators)


def _is_hidden(letter: str, keep: str) -> bool:
    return unicodedata.category(letter) in HIDDEN and letter not in keep


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")

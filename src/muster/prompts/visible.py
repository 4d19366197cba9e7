"""Foreign text made safe to show: in a terminal, a log, a title, or one line of a prompt."""

import unicodedata

HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}  # controls, bidi and other format marks, private use, line separators


def visible(text: str, limit: int = 200) -> str:
    """One line: what could move a cursor, start an escape sequence or reverse the writing is shown as an escape."""
    shown = "".join(_escaped(letter) if unicodedata.category(letter) in HIDDEN else letter for letter in text[:limit])
    return shown if len(text) <= limit else f"{shown}…"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")

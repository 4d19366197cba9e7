"""A text in the pieces that a BERT model knows, and their numbers.

It does what the model's own tokenizer did while it learned (BertNormalizer, BertPreTokenizer and WordPiece of Hugging
Face's tokenizers), but for names of special pieces in a text: "[SEP]" of a stranger is read like any other word.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
INSIDE = "##"  # before a piece that does not begin a word
LONGEST_WORD = 100  # characters; a longer one is unknown
IDEOGRAPH = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f])"
)
SPACES = {"\t", "\n", "\r"}
CONTROL = {"Cc", "Cf", "Co", "Cs"}


class Pieces:
    """The pieces by their numbers, as `vocab.txt` has them: one a line."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._numbers: Mapping[str, int] = {piece: number for number, piece in enumerate(vocabulary)}
        self._unknown, self._first, self._last = (self._numbers[piece] for piece in (UNKNOWN, FIRST, LAST))

    def numbers(self, text: str, most: int) -> list[int]:
        """With the pieces that begin and end a text. What is beyond `most` is cut off."""
        found: list[int] = []
        for word in words(text):
            if len(found) >= most - 2:
                break
            found += self._word(word)
        return [self._first, *found[: most - 2], self._last]

    def _word(self, word: str) -> list[int]:
        """The longest piece that fits, again and again. A word with a part that no piece fits is unknown as a whole."""
        if len(word) > LONGEST_WORD:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            end = self._end(word, start)
            if end == start:
                return [self._unknown]
            found.append(self._numbers[_piece(word, start, end)])
            start = end
        return found

    def _end(self, word: str, start: int) -> int:
        fits = (end for end in range(len(word), start, -1) if _piece(word, start, end) in self._numbers)
        return next(fits, start)


def read(vocabulary: Path) -> Pieces:
    return Pieces(vocabulary.read_text(encoding="utf-8").split("\n"))


def words(text: str) -> Iterator[str]:
    """In lower case and without accents. Every mark and every ideograph is a word of its own."""
    spaced = IDEOGRAPH.sub(r" \1 ", "".join(map(_clean, text)))
    plain = "".join(letter for letter in unicodedata.normalize("NFD", spaced) if unicodedata.category(letter) != "Mn")
    for run in plain.lower().split():
        yield from filter(None, _apart(run))


def _apart(run: str) -> list[str]:
    return "".join(f" {letter} " if _is_mark(letter) else letter for letter in run).split(" ")


def _piece(word: str, start: int, end: int) -> str:
    return word[start:end] if start == 0 else INSIDE + word[start:end]


@lru_cache(1 << 10)
def _clean(letter: str) -> str:
    """Control characters go, every kind of space is one."""
    if letter in SPACES:
        return " "
    if letter == "\ufffd" or unicodedata.category(letter) in CONTROL:
        return ""
    return " " if letter.isspace() else letter


@lru_cache(1 << 10)
def _is_mark(letter: str) -> bool:
    return ("!" <= letter <= "~" and not letter.isalnum()) or unicodedata.category(letter).startswith("P")

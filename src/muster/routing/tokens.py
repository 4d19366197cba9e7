"""From text to words that can be compared: lower case, no accents, lightly stemmed, without what says nothing.

Whole words only: "ci" is in "fix ci" and not in "specialist".
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import snowballstemmer  # type: ignore[import-untyped]  # it brings no types

KNOWN_WORDS = 1 << 16
WORD = re.compile(r"[a-z0-9]+(?:\+\+|#)?|[^\W_]+")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
DOTTED = re.compile(r"\b(\w+)\.(js|net|io)\b")  # next.js is one word
CLAUSE = re.compile(
    r"[,;:!?()\[\]\n]|\.(?=\s|$)|\s[-–—]+\s|\b(?:but|sondern|mais|pero|sino|maar|ma|mas)\b", re.IGNORECASE
)

_stemmer = snowballstemmer.stemmer("english")


def _lists() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    name = ""
    for line in Path(__file__).with_name("little.txt").read_text(encoding="utf-8").splitlines():
        if line.endswith(":") and not line.startswith("#"):
            name = line[:-1]
        elif not line.startswith("#"):
            found.setdefault(name, set()).update(line.split())
    return {name: frozenset(words) for name, words in found.items()}


LISTS = _lists()
STOP, NEGATORS, AUXILIARIES, REFUSED_ACTS = (LISTS[name] for name in ("stop", "negators", "auxiliaries", "refused"))
INSTEAD = re.compile(
    r"\b(?:instead of|rather than|nothing to do with|anything but|other than|au lieu de|en lugar de|en vez de)\b",
    re.IGNORECASE,
)
REACH = 3  # words that a negation covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A request's words in order, stemmed, and those that it says it is not about."""

    wanted: tuple[str, ...]
    unwanted: frozenset[str]


def words_of(text: str) -> tuple[str, ...]:
    """Stemmed, in order, without stop words. A word in camel case stands there whole and in its parts."""
    return tuple(stem(word) for word in _split(text) if word not in STOP)


def read(text: str) -> Read:
    """A request. "not frontend" and "without CSS" say what is not wanted; "does not work" is part of the work."""
    wanted: list[str] = []
    unwanted: set[str] = set()
    for clause in CLAUSE.split(INSTEAD.sub(" not ", text)):
        covered = 0
        before = ""
        for word in _split(clause or ""):
            if word in NEGATORS and before not in AUXILIARIES:
                covered = REACH
            elif word in NEGATORS:
                covered = -1  # what follows decides
            elif covered == -1:
                covered = REACH if word in REFUSED_ACTS else 0
                if word not in STOP and not covered:
                    wanted.append(stem(word))
            elif word not in STOP and word not in REFUSED_ACTS:
                if covered:
                    unwanted.add(stem(word))
                    covered -= 1
                else:
                    wanted.append(stem(word))
            before = word
    return Read(wanted=tuple(wanted), unwanted=frozenset(unwanted - set(wanted)))


@lru_cache(KNOWN_WORDS)
def stem(word: str) -> str:
    return str(_stemmer.stemWord(word))


def _split(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKD", DOTTED.sub(r"\1\2", text.replace("’", "'")))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("ß", "ss")
    for piece in plain.split():
        yield from WORD.findall(piece.lower())
        if len(parts := CAMEL.sub(" ", piece).lower()) > len(piece):
            whole = set(WORD.findall(piece.lower()))
            yield from (part for part in WORD.findall(parts) if part not in whole)

"""From text to words that can be compared: lower case, no accents, lightly stemmed, without what says nothing.

Whole words only: "ci" is in "fix ci" and not in "specialist".
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import snowballstemmer  # type: ignore[import-untyped]  # it brings no types

KNOWN_WORDS = 1 << 16
CLAUSE = re.compile(
    r"[,;:!?()\[\]\n]|\.(?=\s|$)|\s[-–—]+\s|\b(?:but|sondern|mais|pero|sino|maar|ma|mas)\b", re.IGNORECASE
)
WORD = re.compile(r"[a-z0-9]+(?:\+\+|#)?|[^\W_]+")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
GO = "code|service|services|module|modules|program|routines?|channels?|package|binary|api|server|test|vet|mod"
JOINED = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"(?i)\b(\w+)\.(js|net|io)\b", r"\1\2"),  # next.js is one word
        (r"(?i)\.net\b", "dotnet"),
        (r"(?i)\b(front|back)[- ]end", r"\1end"),
        (r"(?i)\bend[- ]to[- ]end", "e2e"),
        (r"(?i)\b(full|open)[- ](stack|source)", r"\1\2"),
        (r"(?i)\b(?:log|sign|logging|signing|logged|signed)[- ]?(?:in|on|ins)\b", "login"),
        (r"(?i)\bread[- ]?me\b", "readme"),
        (r"(?i)\b(time|set|back|clean)[- ](out|up)s?\b", r"\1\2"),
        (r"(?i)\b(on)[- ](call)\b", r"\1\2"),
        (r"(?i)\bhow-to", "howto"),
        (rf"(?<=\w )Go\b(?! to)|\bgo(?=(?: |-)?(?:lang|{GO})\b)", "golang "),
    )
)
"""What is one word, or another than it looks, before words are told apart."""


_stemmer = snowballstemmer.stemmer("english")


@dataclass(frozen=True, slots=True, kw_only=True)
class Little:
    """The words that say little, by what they do (`little.txt`)."""

    stop: frozenset[str]
    negators: frozenset[str]
    auxiliaries: frozenset[str]
    refused: frozenset[str]
    kept: frozenset[str]


@cache
def little() -> Little:
    found: dict[str, set[str]] = {}
    name = ""
    for line in Path(__file__).with_name("little.txt").read_text(encoding="utf-8").splitlines():
        if line.endswith(":") and not line.startswith("#"):
            name = line[:-1]
        elif not line.startswith("#"):
            found.setdefault(name, set()).update(line.split())
    return Little(**{name: frozenset(found[name]) for name in Little.__slots__})


INSTEAD = re.compile(
    r"\b(?:instead of|rather than|nothing to do with|anything but|other than|au lieu de|en lugar de|en vez de)\b",
    re.IGNORECASE,
)
APOSTROPHE = re.compile(r"n['’]t\b|['’](?:s|re|ve|ll|d|m)?\b", re.IGNORECASE)
REACH = 3  # words that a negation covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A request's words in order, stemmed, and those that it says it is not about."""

    wanted: tuple[str, ...]
    unwanted: frozenset[str]


def words_of(text: str) -> tuple[str, ...]:
    """Stemmed, in order, without stop words. A word in camel case stands there whole and in its parts."""
    return tuple(stem(word) for word in _split(text) if _says_something(word))


def read(text: str) -> Read:
    """A request. "not frontend" and "without CSS" say what is not wanted; "does not work" is part of the work."""
    known = little()
    wanted: list[str] = []
    unwanted: set[str] = set()
    for clause in CLAUSE.split(INSTEAD.sub(" not ", text)):
        covered = 0
        before = ""
        for word in _split(clause or ""):
            if word in known.negators and before not in known.auxiliaries:
                covered = REACH
            elif word in known.negators:
                covered = -1  # what follows decides
            elif covered == -1:
                covered = REACH if word in known.refused else 0
                if _says_something(word) and not covered:
                    wanted.append(stem(word))
            elif _says_something(word) and word not in known.refused:
                if covered:
                    unwanted.add(stem(word))
                    covered -= 1
                else:
                    wanted.append(stem(word))
            before = word
    return Read(wanted=tuple(wanted), unwanted=frozenset(unwanted - set(wanted)))


def _says_something(word: str) -> bool:
    return word not in little().stop and not word.isdigit() and (len(word) > 1 or word == "c")


@lru_cache(KNOWN_WORDS)
def stem(word: str) -> str:
    return word if word in little().kept else str(_stemmer.stemWord(word))


def _opened(found: re.Match[str]) -> str:
    """`don't` is two words, of `parser's` only the first says something."""
    return " not" if found[0].lower().startswith("n") else " "


def _split(text: str) -> Iterator[str]:
    plain = APOSTROPHE.sub(_opened, text)
    for pattern, word in JOINED:
        plain = pattern.sub(word, plain)
    plain = unicodedata.normalize("NFKD", plain)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("ß", "ss")
    for piece in plain.split():
        yield from WORD.findall(piece.lower())
        if len(parts := CAMEL.sub(" ", piece).lower()) > len(piece):
            whole = set(WORD.findall(piece.lower()))
            yield from (part for part in WORD.findall(parts) if part not in whole)

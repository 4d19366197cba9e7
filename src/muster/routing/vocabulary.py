"""Which words stand for one another, and which are near: `synonyms.yaml` and `taxonomy.yaml`, and files of the user's.

Synonyms mean the same ("k8s", "kubernetes"). A taxonomy has three levels, field, area and term: the terms of an area
are near each other ("react", "nextjs"), and each is near its area's name. What is near counts less than what is alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any  # what a file of somebody's holds, before it is checked

import yaml

from muster.errors import BadValue
from muster.routing.tokens import words_of

Term = tuple[str, ...]
"""One word or a few, stemmed."""

LONGEST = 3  # words of a term
CRAFTS = frozenset(["testing", "design", "product", "writing", "review and research", "coordination"])
"""The fields of what is done, where the others are of what it is done to."""
HERE = Path(__file__)


class Kind(StrEnum):
    """How a word of a profile meets a word of a request, the closest first."""

    LITERAL = "literal"
    SYNONYM = "synonym"
    TAXONOMY = "taxonomy"


@dataclass(frozen=True, slots=True)
class Variant:
    """What may stand for a term, and how much that is worth (1 is the term itself)."""

    term: Term
    kind: Kind
    worth: float


SYNONYM_WORTH = 0.95
TERM_TO_AREA, SIBLING, AREA_TO_TERM = 0.5, 0.44, 0.44


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    synonyms: Mapping[Term, frozenset[Term]] = field(default_factory=dict)
    near: Mapping[Term, Mapping[Term, float]] = field(default_factory=dict)
    crafts: frozenset[Term] = frozenset()

    def variants(self, term: Term) -> Iterator[Variant]:
        """Each at most once, the most worth first."""
        told = {term}
        yield Variant(term, Kind.LITERAL, 1.0)
        same = self.synonyms.get(term, frozenset())
        for other in sorted(same - told):
            told.add(other)
            yield Variant(other, Kind.SYNONYM, SYNONYM_WORTH)
        neighbours: dict[Term, float] = {}
        for one in (term, *same):
            for other, worth in self.near.get(one, {}).items():
                neighbours[other] = max(worth, neighbours.get(other, 0.0))
        for other in sorted(neighbours.keys() - told, key=lambda one: (-neighbours[one], one)):
            yield Variant(other, Kind.TAXONOMY, neighbours[other])

    def terms(self, words: Sequence[str]) -> Iterator[Term]:
        """The words one by one, and every run of them that the vocabulary knows as one term."""
        for start, word in enumerate(words):
            yield (word,)
            for length in range(2, LONGEST + 1):
                run = tuple(words[start : start + length])
                if len(run) == length and (run in self.synonyms or run in self.near):
                    yield run


@cache
def shipped() -> Vocabulary:
    return vocabulary([_load(HERE.with_name("synonyms.yaml"))], [_load(HERE.with_name("taxonomy.yaml"))])


def extended(synonyms: Path | None, taxonomy: Path | None) -> Vocabulary:
    """The shipped one with the user's files beside it. Raises BadValue, naming the file."""
    if synonyms is None and taxonomy is None:
        return shipped()
    own_groups = [] if synonyms is None else [_load(synonyms)]
    own_fields = [] if taxonomy is None else [_load(taxonomy)]
    return vocabulary(
        [_load(HERE.with_name("synonyms.yaml")), *own_groups], [_load(HERE.with_name("taxonomy.yaml")), *own_fields]
    )


def vocabulary(groups: Iterable[object], taxonomies: Iterable[object]) -> Vocabulary:
    """From what the files hold: lists of words that mean the same; areas with their terms by field. Raises BadValue."""
    synonyms, areas = _synonyms(groups), list(_areas(taxonomies))
    crafts = {term for field_name, area, terms in areas if field_name in CRAFTS for term in (area, *terms)}
    same = {other for term in crafts for other in synonyms.get(term, ())}
    return Vocabulary(synonyms=synonyms, near=_near(areas), crafts=frozenset(crafts | same))


def _synonyms(files: Iterable[object]) -> dict[Term, frozenset[Term]]:
    same: dict[Term, set[Term]] = defaultdict(set)
    for file in files:
        if not isinstance(file, list):
            raise BadValue(field="synonyms", expected="a list of lists of words", got=_told(file))
        for group in file:
            terms = set(_terms(group, "synonyms"))
            for term in terms:
                same[term] |= terms - {term}
    return {term: frozenset(others) for term, others in same.items()}


def _near(areas: Iterable[tuple[str, Term, list[Term]]]) -> dict[Term, dict[Term, float]]:
    near: dict[Term, dict[Term, float]] = defaultdict(dict)

    def link(one: Term, other: Term, worth: float) -> None:
        if one and other and one != other:
            near[one][other] = max(worth, near[one].get(other, 0.0))

    for field_name, area, terms in areas:
        for term in terms:
            link(term, area, TERM_TO_AREA)
            link(area, term, AREA_TO_TERM)
            link(term, words_of(field_name), SIBLING / 2)
            for sibling in terms:
                link(term, sibling, SIBLING)
        link(area, words_of(field_name), SIBLING)
    return dict(near)


def _areas(files: Iterable[object]) -> Iterator[tuple[str, Term, list[Term]]]:
    for file in files:
        if not isinstance(file, dict) or not all(isinstance(areas, dict) for areas in file.values()):
            raise BadValue(field="taxonomy", expected="areas with their terms, by field", got=_told(file))
        for field_name, areas in file.items():
            for area, terms in areas.items():
                yield str(field_name), words_of(str(area)), _terms(terms, f"taxonomy.{field_name}.{area}")


def _terms(group: object, where: str) -> list[Term]:
    if not isinstance(group, list) or not all(isinstance(word, str | int | float) for word in group):
        raise BadValue(field=where, expected="a list of words", got=_told(group))
    terms = (words_of(str(word)) for word in group)
    return [term for term in terms if 0 < len(term) <= LONGEST]


def _load(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadValue(field=str(file), expected="a YAML file", got=str(error)[:200]) from error


def _told(value: object) -> str:
    return str(value)[:60]


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

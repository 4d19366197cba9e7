"""How well somebody's profile fits a request, from 0 to 1, and why.

A request is a handful of concepts: words, and terms of several words that the vocabulary knows. Each is met by a
profile literally, by a synonym or by a neighbour, and counts as much as it is rare. Words of a role, a name or a skill
say more than those of a text, of which BM25 takes care. What a profile scores depends on nobody else's: the rarity of
words is that of the corpus which the index was made with.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import log

from muster.routing.tokens import read, words_of
from muster.routing.vocabulary import Kind, Term, Variant, Vocabulary

ROLE, NAME, SKILL, ABOUT, TEXT = "role", "name", "skill", "description", "text"
BOOST: Mapping[str, float] = {ROLE: 30.0, NAME: 30.0, SKILL: 4.0, ABOUT: 1.2, TEXT: 1.0}
USUAL_LENGTH: Mapping[str, float] = {ROLE: 3.0, NAME: 2.0, SKILL: 16.0, ABOUT: 10.0, TEXT: 120.0}
LENGTH_COUNTS: Mapping[str, float] = {ROLE: 0.2, NAME: 0.2, SKILL: 0.2, ABOUT: 0.4, TEXT: 0.2}
SATURATION = 2.8
PHRASE = 0.7  # a term of several words that is met as such says more than its words
UNKNOWN = 0.8  # the rarity of a word that nobody in the corpus has: it may be anything
ORDINARY = 0.42  # what is left of a word that stands in prose alone
DESCRIBED = 1.0
CRAFT = 1.7  # what is to be done says more of who should do it than what it is to be done to
REFUSED = 0.15  # what is left of who is what the request does not want
FLOOR = 0.12  # below it nobody fits: a chance word or two were met
MEANING_COUNTS = 1.3  # beside words, which count 1
BOTH_FLOOR = 0.13  # the same of a score of both
MOST_REASONS = 4


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Somebody who could take work. `about` says it in a sentence, `text` at length."""

    id: str
    name: str = ""
    role: str = ""
    skills: tuple[str, ...] = ()
    about: str = ""
    text: str = ""

    def parts(self) -> Iterable[tuple[str, str]]:
        yield from ((ROLE, self.role), (NAME, self.name), (ABOUT, self.about), (TEXT, self.text))
        yield from ((SKILL, skill) for skill in self.skills)

    @cached_property
    def line(self) -> str:
        """What it says of itself, for a model that reads sentences."""
        return ". ".join(part for part in (self.name.replace("-", " "), self.role, self.about) if part)

    @cached_property
    def paragraphs(self) -> tuple[str, ...]:
        return tuple(" ".join(paragraph.split()) for paragraph in self.text.split("\n\n") if paragraph.strip())

    def nearness(self, near: Callable[[str], float]) -> float:
        """The mean of how near the line is, the nearest of the skills, and the paragraphs together."""
        parts = [near(self.line)]
        if self.skills:
            parts.append(max(map(near, self.skills)))
        if self.paragraphs:
            parts.append(sum(map(near, self.paragraphs)) / len(self.paragraphs))
        return sum(parts) / len(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A word of the request that was met: by which, how, and where."""

    asked: str
    met: str
    kind: Kind
    place: str

    def __str__(self) -> str:
        by = "" if self.kind is Kind.LITERAL else f" ({self.kind} of {self.asked})"
        return f"{self.place}: {self.met}{by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """`refused`: it is what the request does not want. `why` tells the reasons, which few are asked for."""

    id: str
    score: float
    refused: bool
    why: Callable[[], tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class _Met:
    """How much a profile has of a term, between 0 and 1, and where it stands foremost."""

    strength: float
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Concept:
    """A term of a request: what it weighs, and the terms of profiles by which it can be met."""

    term: Term
    weight: float
    variants: tuple[Variant, ...]


class Rarity:
    """How much a term says, by how few of a corpus have it: 0 to 1."""

    def __init__(self, profiles: Iterable[Profile], vocabulary: Vocabulary) -> None:
        numbers: dict[Term, int] = defaultdict(int)
        told: set[Term] = set()
        described: set[Term] = set()
        self._size = 0
        for profile in profiles:
            self._size += 1
            own: set[Term] = set()
            for place, text in profile.parts():
                terms = set(vocabulary.terms(words_of(text)))
                own |= terms
                if place in (ROLE, NAME, SKILL):
                    told |= terms
                elif place == ABOUT:
                    described |= terms
            for term in own:
                numbers[term] += 1
        self._numbers = dict(numbers)
        self._telling = frozenset(told)
        self._described = frozenset(described)
        self._vocabulary = vocabulary

    def of(self, term: Term) -> float:
        if not self._size:
            return 1.0
        most = log(1 + self._size)
        number = self._numbers.get(term, 0)
        if number == 0:
            rarity = UNKNOWN
        else:
            rarity = max(0.05, log(1 + (self._size - number + 0.5) / (number + 0.5)) / most)
        if term in self._vocabulary.crafts:
            return rarity * CRAFT
        if term in self._telling or term in self._vocabulary.synonyms or term in self._vocabulary.near:
            return rarity
        return rarity * (DESCRIBED if term in self._described else ORDINARY)


class Index:
    """Profiles by their terms. It can be asked for the best of all, or of some."""

    def __init__(self, vocabulary: Vocabulary, rarity: Rarity) -> None:
        self._vocabulary = vocabulary
        self._rarity = rarity
        self._postings: dict[Term, dict[str, _Met]] = defaultdict(dict)
        self._profiles: dict[str, Profile] = {}
        self._terms: dict[str, tuple[Term, ...]] = {}

    def __len__(self) -> int:
        return len(self._profiles)

    def __getitem__(self, id: str) -> Profile:
        return self._profiles[id]

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def put(self, profile: Profile) -> None:
        """Take it in, in place of an earlier one with its id."""
        if self._profiles.get(profile.id) == profile:
            return
        self.drop(profile.id)
        terms = _weighed(profile, self._vocabulary)
        for term, met in terms.items():
            self._postings[term][profile.id] = met
        self._profiles[profile.id] = profile
        self._terms[profile.id] = tuple(terms)

    def drop(self, id: str) -> None:
        if self._profiles.pop(id, None) is not None:
            for term in self._terms.pop(id):
                del self._postings[term][id]

    def fits(self, request: str, among: Collection[str] | None = None) -> list[Fit]:
        """Whoever has some of the words, best first; ties by id."""
        asked = read(request)
        concepts = [self._concept(term) for term in dict.fromkeys(self._vocabulary.terms(asked.wanted))]
        whole = sum(concept.weight for concept in concepts if len(concept.term) == 1)
        if not whole:
            return []
        scores: dict[str, float] = defaultdict(float)
        for concept in concepts:
            for id, gained in self._gains(concept).items():
                scores[id] += gained
        refused = self._refused(asked.unwanted)
        for id in refused:
            scores[id] = REFUSED * scores.get(id, 0.0)
        fitting = [(id, score) for id, score in scores.items() if among is None or id in among]
        fitting.sort(key=lambda one: (-one[1], one[0]))
        return [
            Fit(id=id, score=min(1.0, score / whole), refused=id in refused, why=partial(self._reasons, id, concepts))
            for id, score in fitting
        ]

    def _concept(self, term: Term) -> _Concept:
        rarity = self._rarity.of(term)
        weight = rarity if len(term) == 1 else PHRASE * rarity
        met = [variant for variant in self._vocabulary.variants(term) if variant.term in self._postings]
        return _Concept(term=term, weight=weight, variants=tuple(met))

    def _gains(self, concept: _Concept) -> dict[str, float]:
        """By whom the concept is met, and what that is worth: the closest way counts."""
        gains: dict[str, float] = {}
        for variant in concept.variants:
            most = concept.weight * variant.worth
            for id, met in self._postings[variant.term].items():
                gained = most * met.strength
                if gained > gains.get(id, 0.0):
                    gains[id] = gained
        return gains

    def _refused(self, unwanted: Collection[str]) -> set[str]:
        """Who is by role, name or skill what the request does not want."""
        refused: set[str] = set()
        for word in unwanted:
            for variant in self._vocabulary.variants((word,)):
                if variant.kind is not Kind.TAXONOMY:
                    own = self._postings.get(variant.term, {})
                    refused.update(id for id, met in own.items() if met.place != TEXT)
        return refused

    def _reasons(self, id: str, concepts: Sequence[_Concept]) -> tuple[Reason, ...]:
        """What told most."""
        found = [
            (concept.weight * variant.worth * met.strength, concept.term, variant, met.place)
            for concept in concepts
            for variant in concept.variants
            if (met := self._postings[variant.term].get(id)) is not None
        ]
        found.sort(key=lambda one: (-one[0], one[1]))
        best = {term: (variant, place) for _, term, variant, place in reversed(found)}
        ranked = dict.fromkeys(term for _, term, _, _ in found)
        return tuple(
            Reason(asked=" ".join(term), met=" ".join(best[term][0].term), kind=best[term][0].kind, place=best[term][1])
            for term in [*ranked][:MOST_REASONS]
        )


def _weighed(profile: Profile, vocabulary: Vocabulary) -> dict[Term, _Met]:
    """Every term of a profile, with how much it has of it: BM25 over its parts, each with a weight of its own."""
    counts: dict[Term, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    lengths: dict[str, int] = defaultdict(int)
    for place, text in profile.parts():
        words = words_of(text)
        lengths[place] += len(words)
        for term in vocabulary.terms(words):
            counts[term][place] += 1
    return {term: _met(places, lengths) for term, places in counts.items()}


def _met(places: Mapping[str, int], lengths: Mapping[str, int]) -> _Met:
    total = 0.0
    for place, number in places.items():
        counts = LENGTH_COUNTS[place]
        total += BOOST[place] * number / (1 - counts + counts * lengths[place] / USUAL_LENGTH[place])
    return _Met(total / (total + SATURATION), max(places, key=lambda place: (BOOST[place], place)))


def blended(fit: Fit | None, meaning: float | None) -> float:
    """One score of words and meaning, 0 where nobody should take it for a fit. Without a meaning words alone say it."""
    words, refused = (0.0, False) if fit is None else (fit.score, fit.refused)
    if meaning is None:
        return words if words >= FLOOR else 0.0
    score = (words + MEANING_COUNTS * max(0.0, meaning)) / (1 + MEANING_COUNTS)
    if refused:
        score *= REFUSED
    return score if score >= BOTH_FLOOR else 0.0

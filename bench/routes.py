"""How often each way of routing names the right persona first, on requests that people labelled by hand.

`build-*.yaml` is what the router was tuned on, `report-*.yaml` is only reported.
"""

import math
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from muster.roster import roster
from muster.routing import semantic
from muster.routing.scoring import Index, Profile, Rarity, blended
from muster.routing.semantic import Sentences, similarity
from muster.routing.tokens import words_of
from muster.routing.vocabulary import shipped

REQUESTS = Path(__file__).with_name("routing")
MEANS = {"build": "On what the router was built with", "report": "On what it has never seen"}
Router = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    text: str
    kind: str
    want: tuple[str, ...]


def requests(half: str) -> list[Labelled]:
    files = sorted(REQUESTS.glob(f"{half}-*.yaml"))
    told = [one for file in files for one in yaml.safe_load(file.read_text(encoding="utf-8"))]
    return [Labelled(text=one["text"], kind=one["kind"], want=tuple(one["want"])) for one in told]


@cache
def profiles() -> tuple[Profile, ...]:
    return tuple(
        Profile(id=one.name, name=one.name, skills=one.skills, about=one.description, text=one.prompt)
        for one in roster()
    )


def substring(known: Sequence[Profile]) -> Router:
    """Meshfleet's formula, without its taxonomy, which is empty as it ships (reference/meshfleet.md 1.4)."""

    def route(text: str) -> list[str]:
        keywords = {word for word in re.split(r"[\s,;.!?()/]+", text.lower()) if len(word) > 1}
        scores = {}
        for one in known:
            literal = sum((k in one.id) + any(k in skill for skill in one.skills) for k in keywords)
            if literal:
                scores[one.id] = 2 + literal / len(keywords)
        return sorted(scores, key=lambda id: (-scores[id], id))

    return route


def bm25(known: Sequence[Profile]) -> Router:
    documents = {one.id: words_of(f"{one.name} {' '.join(one.skills)} {one.about} {one.text}") for one in known}
    numbers: dict[str, int] = defaultdict(int)
    for words in documents.values():
        for word in set(words):
            numbers[word] += 1
    usual = sum(map(len, documents.values())) / len(documents)

    def route(text: str) -> list[str]:
        scores: dict[str, float] = defaultdict(float)
        for word in words_of(text):
            for id, words in documents.items():
                if count := words.count(word):
                    rarity = math.log(1 + (len(documents) - numbers[word] + 0.5) / (numbers[word] + 0.5))
                    scores[id] += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / usual))
        return sorted(scores, key=lambda id: (-scores[id], id))

    return route


def ours(known: Sequence[Profile], sentences: Sentences | None = None) -> Router:
    """As the hub routes; with `sentences` by meaning too."""
    vocabulary = shipped()
    index = Index(vocabulary, Rarity(known, vocabulary))
    for one in known:
        index.put(one)
    texts = list({text for one in known for text in (one.line, *one.skills, *one.paragraphs)})
    vectors = dict(zip(texts, sentences.embed(texts), strict=True)) if sentences else {}

    def route(text: str) -> list[str]:
        fits = {fit.id: fit for fit in index.fits(text)}
        meant: dict[str, float] = {}
        if sentences is not None:
            (asked,) = sentences.embed([text])
            near = {one: similarity(asked, vector) for one, vector in vectors.items()}
            meant = {one.id: one.nearness(near.__getitem__) for one in known}
        scores = {one.id: blended(fits.get(one.id), meant.get(one.id)) for one in known}
        return sorted((id for id, score in scores.items() if score), key=lambda id: (-scores[id], id))

    return route


def _scored(router: Router, labelled: Iterable[Labelled]) -> list[tuple[Labelled, Sequence[str]]]:
    return [(one, router(one.text)) for one in labelled]


def _row(name: str, asked: Sequence[tuple[Labelled, Sequence[str]]]) -> str:
    """`none fits`: of the requests for which it names nobody, those that nobody fits; and how many it finds."""
    some = [(one, found) for one, found in asked if one.want]
    nobody = [found for one, found in asked if not one.want]
    silent = [one for one, found in asked if not found]
    rank = sum(1 / (1 + place) for one, found in some if (place := _place(one, found)) is not None) / len(some)
    precision = _share(not one.want for one in silent) if silent else "none named"
    cells = (_top(some, 1), _top(some, 3), f"{rank:.2f}", precision, _share(not found for found in nobody))
    return f"| {name} | {' | '.join(cells)} |"


def _top(asked: Iterable[tuple[Labelled, Sequence[str]]], most: int) -> str:
    return _share(not set(one.want).isdisjoint(found[:most]) for one, found in asked)


def _place(one: Labelled, found: Sequence[str]) -> int | None:
    return min((found.index(name) for name in one.want if name in found), default=None)


def _share(found: Iterable[bool]) -> str:
    told = list(found)
    return f"{100 * sum(told) / len(told):.0f} %"


def _half(half: str, ways: Mapping[str, Router]) -> Iterator[str]:
    labelled = requests(half)
    scored = {name: _scored(way, labelled) for name, way in ways.items()}
    yield f"\n{MEANS[half]}: {len(labelled)} requests, {len(profiles())} personas.\n"
    yield "| router | top-1 | top-3 | mean reciprocal rank | none fits: precision | recall |"
    yield "|---|---|---|---|---|---|"
    yield from (_row(name, asked) for name, asked in scored.items())
    kinds = sorted({one.kind for one in labelled if one.want})
    yield f"\n| top-1 by kind | {' | '.join(kinds)} |"
    yield f"|---|{'---|' * len(kinds)}"
    for name, asked in scored.items():
        cells = (_top([(one, found) for one, found in asked if one.kind == kind], 1) for kind in kinds)
        yield f"| {name} | {' | '.join(cells)} |"


def _pace(size: int) -> str:
    """Milliseconds to route one request among so many agents' claims, p50."""
    rng, known = random.Random(size), profiles()
    words = [skill for one in known for skill in one.skills]
    vocabulary = shipped()
    index = Index(vocabulary, Rarity(known, vocabulary))
    for number in range(size):
        skills = tuple(rng.sample(words, 6))
        index.put(Profile(id=f"agt_{number}", name=f"worker-{number}", role=rng.choice(words), skills=skills))
    asked = [one.text for one in requests("build")]
    return f"{statistics.median(_took(index, text) for text in asked):.1f} ms"


def _took(index: Index, text: str) -> float:
    began = time.perf_counter()
    [fit.why() for fit in index.fits(text)[:3]]
    return (time.perf_counter() - began) * 1000


def table() -> str:
    known = profiles()
    ways = {"substrings (Meshfleet)": substring(known), "BM25": bm25(known), "ours": ours(known)}
    if (sentences := semantic.load()) is not None:
        ways["ours + semantic"] = ours(known, sentences)
    lines = [line for half in MEANS for line in _half(half, ways)]
    pace = ["\n| to route one request, p50 | measured | wanted | Meshfleet |", "|---|---|---|---|"]
    pace.append(f"| among 1,000 claims | {_pace(1000)} | ≤ 2 ms | 8.4 ms (over MCP) |")
    pace.append(f"| among 10,000 claims | {_pace(10_000)} | ≤ 15 ms | |")
    absent = [] if sentences is not None else [f"\n{semantic.why_absent()}"]
    return "\n".join([*lines, *absent, *pace])

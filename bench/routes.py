"""How often each way of routing names the right persona first, on requests that people labelled by hand.

`build-*.yaml` is what the router was tuned on, `report-*.yaml` is only reported.
"""

import math
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from muster.routing.scoring import Index, Profile, Rarity
from muster.routing.tokens import words_of
from muster.routing.vocabulary import shipped

REQUESTS = Path(__file__).with_name("routing")
ROSTER = Path(__file__).parents[1] / "src" / "muster" / "roster"
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


def profiles() -> list[Profile]:
    found = []
    for file in sorted(ROSTER.glob("*/*.md")):
        _, head, body = file.read_text(encoding="utf-8").split("---\n", 2)
        told = yaml.safe_load(head)
        found.append(
            Profile(
                id=file.stem,
                name=file.stem.replace("-", " "),
                skills=tuple(told["skills"]),
                about=told["description"],
                text=body,
            )
        )
    return found


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


def ours(known: Sequence[Profile]) -> Router:
    vocabulary = shipped()
    index = Index(vocabulary, Rarity(known, vocabulary))
    for one in known:
        index.put(one)
    return lambda text: [fit.id for fit in index.fits(text)]


def row(name: str, router: Router, labelled: Iterable[Labelled]) -> str:
    asked = [(one, router(one.text)) for one in labelled]
    some = [(one, found) for one, found in asked if one.want]
    nobody = [(one, found) for one, found in asked if not one.want]
    silent = [one for one, found in asked if not found]
    top = [_share(found[:most] and bool(set(found[:most]) & set(one.want)) for one, found in some) for most in (1, 3)]
    rank = sum(
        1 / (1 + min((found.index(want) for want in one.want if want in found), default=10**9)) for one, found in some
    )
    precision = _share(not one.want for one in silent) if silent else "-"
    recall = _share(not found for _, found in nobody)
    return f"| {name} | {top[0]} | {top[1]} | {rank / len(some):.2f} | {precision} | {recall} |"


def _share(found: Iterable[object]) -> str:
    told = [bool(one) for one in found]
    return f"{100 * sum(told) / len(told):.0f} %"


HEAD = "| router | top-1 | top-3 | MRR | none fits: precision | recall |\n|---|---|---|---|---|---|"


def main(halves: Sequence[str]) -> None:
    known = profiles()
    ways = {"substrings (Meshfleet)": substring(known), "BM25": bm25(known), "ours": ours(known)}
    for half in halves:
        labelled = requests(half)
        print(f"\n### {half}: {len(labelled)} requests\n\n{HEAD}")
        for name, way in ways.items():
            print(row(name, way, labelled))
        for kind in sorted({one.kind for one in labelled} - {"none"}):
            part = [one for one in labelled if one.kind == kind]
            print(f"\n{kind}, {len(part)}\n\n{HEAD}")
            for name, way in ways.items():
                asked = [(one, way(one.text)) for one in part]
                print(
                    f"| {name} | {_share(found[:1] and found[0] in one.want for one, found in asked)} | {_share(set(found[:3]) & set(one.want) for one, found in asked)} |"
                )


if __name__ == "__main__":
    main(sys.argv[1:] or ["build", "report"])

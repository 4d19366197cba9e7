"""What is asked of a persona's text, so that each of more than a hundred is worth its tokens. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any  # YAML has no finite type

from muster.roster.persona import RosterPersona, Unreadable, is_name, matter_and_body
from muster.roster.rendering import PLACEHOLDERS

DESCRIPTION = range(60, 151)  # characters: a line in a list, and in what a model chooses by
SKILLS = range(5, 10)
WORDS = 250  # of a prompt, which is paid for on every model call
MODES = ("primary", "subagent", "all")
DENIABLE = ("edit", "bash", "webfetch", "websearch", "task")
PARTS = ("How you work:", "You deliver:", "You refuse:")
ENTRIES = ("description", "mode", "skills", "denied")
# Words that could be left out, or stand where something could be said.
FILLERS = (
    "best practice", "best practices", "best-in-class", "comprehensive", "comprehensively", "crucial", "cutting-edge",
    "delve", "empower", "empowers", "game-changing", "high-quality", "holistic", "industry-leading", "innovative",
    "leverage", "leverages", "leveraging", "meticulous", "meticulously", "passionate", "robust", "robustly", "seamless",
    "seamlessly", "seasoned", "state-of-the-art", "streamline", "streamlined", "synergy", "unparalleled", "utilize",
    "utilizes", "world-class",
)  # fmt: skip
FILLER = re.compile(rf"\b(?:{'|'.join(sorted(FILLERS, key=len, reverse=True))})\b(?!-)", re.IGNORECASE)
RUN = 3  # words
ALIKE = 0.05
"""So many of two prompts' runs of three words may stand in both. The two shipped ones that are most alike have 0.023 in
common, the middle pair 0.005; where the longest step of one is copied into the other it is 0.056 at the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a persona. `line` counts from 1; None: with it as a whole."""

    persona: str
    line: int | None
    says: str


def lint(text: str, name: str) -> list[Finding]:
    """What is wrong with a persona's text: one of the roster, or an OpenCode agent file, which has no skills."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return [Finding(persona=name, line=line, says=says) for line, says in [*_of_name(name), *_of_text(text)]]


def lint_together(personas: Sequence[RosterPersona]) -> list[Finding]:
    """What is wrong with them beside one another: a name or a skill twice, two that say the same."""
    prompts = [(persona.name, persona.prompt) for persona in personas]
    return [*_same_names(personas), *_same_skills(personas), *alike(prompts)]


def alike(prompts: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Every pair that says the same; said of the first of the two. Prompts are given with their names."""
    runs = [(name, _runs(prompt)) for name, prompt in prompts]
    for (name, own), (other, others) in combinations(runs, 2):
        common = len(own & others) / len(own | others) if own and others else 0
        if common > ALIKE:
            says = f"It says what {other} says: {common:.2f} of their runs of three words, more than {ALIKE}."
            yield Finding(persona=name, line=None, says=says)


Found = Iterator[tuple[int | None, str]]


def _of_name(name: str) -> Found:
    if not is_name(name):
        yield None, f"The name {name} is not of a-z, 0-9 and single hyphens."


def _of_text(text: str) -> Found:
    try:
        matter, body = matter_and_body(text)
    except Unreadable as error:
        yield 1, f"It cannot be read: {error}."
        return
    yield from _of_matter(matter, text)
    yield from _of_body(body, above=text[: len(text) - len(body)].count("\n"))
    yield from _of_lines(text)


# ── the front matter ─────────────────────────────────────────────────────────────────────────────


def _of_matter(matter: Mapping[str, Any], text: str) -> Found:
    lines = {line.partition(":")[0]: number for number, line in reversed([*enumerate(text.split("\n"), 1)])}
    is_of_roster = bool({"skills", "denied"} & matter.keys())
    for says_of, entry in (_of_description(matter), "description"), (_of_mode(matter), "mode"):
        yield from ((lines.get(entry, 1), says) for says in says_of)
    if not is_of_roster:
        return
    yield from ((lines.get("skills", 1), says) for says in _of_skills(matter.get("skills")))
    yield from ((lines.get("denied", 1), says) for says in _of_denied(matter.get("denied")))
    yield from ((lines.get(key, 1), f"There is no entry {key} in the roster.") for key in matter if key not in ENTRIES)


def _of_description(matter: Mapping[str, Any]) -> Iterator[str]:
    description = matter.get("description")
    if not isinstance(description, str):
        yield "It has no description."
    elif len(description) not in DESCRIPTION:
        yield f"The description has {len(description)} characters, not 60 to 150."


def _of_mode(matter: Mapping[str, Any]) -> Iterator[str]:
    if matter.get("mode") not in MODES:
        yield f"The mode {matter.get('mode')} is none of {', '.join(MODES)}."


def _of_skills(skills: object) -> Iterator[str]:
    if not isinstance(skills, list) or not all(isinstance(skill, str) for skill in skills):
        yield "Its skills are no list of words."
        return
    if len(skills) not in SKILLS:
        yield f"It has {len(skills)} skills, not 5 to 9."
    yield from (
        f"The skill {skill} stands twice." for skill in sorted({one for one in skills if skills.count(one) > 1})
    )


def _of_denied(denied: object) -> Iterator[str]:
    if not isinstance(denied, list):
        yield "What is denied is no list; [] denies nothing."
        return
    yield from (f"{word} cannot be denied; {', '.join(DENIABLE)} can." for word in denied if word not in DENIABLE)


# ── the prompt ───────────────────────────────────────────────────────────────────────────────────


def _of_body(body: str, above: int) -> Found:
    """`above`: so many lines stand over it."""
    words = len(body.split())
    if words > WORDS:
        yield None, f"The prompt has {words} words, more than {WORDS}."
    lines = body.split("\n")
    at = [[number for number, line in enumerate(lines) if line.startswith(part)] for part in PARTS]
    yield from (
        (above + 1, f"The part “{part}” is missing.") for part, found in zip(PARTS, at, strict=True) if not found
    )
    for part, found in zip(PARTS, at, strict=True):
        yield from ((above + 1 + number, f"The part “{part}” stands twice.") for number in found[1:])
    if all(at):
        yield from _of_parts(lines, [found[0] for found in at], above)


def _of_parts(lines: Sequence[str], starts: Sequence[int], above: int) -> Found:
    if list(starts) != sorted(starts):
        yield above + 1 + min(starts), f"The parts stand in another order than {', '.join(PARTS)}"
        return
    if not "".join(lines[: starts[0]]).strip():
        yield above + 1, "Nothing says what it is for, before “How you work:”."
    for part, start, end in zip(PARTS, starts, [*starts[1:], len(lines)], strict=True):
        if not "".join(lines[start:end]).removeprefix(part).strip():
            yield above + 1 + start, f"The part “{part}” is empty."


def _of_lines(text: str) -> Found:
    for number, line in enumerate(text.split("\n"), 1):
        yield from ((number, f"“{found[0]}” says nothing.") for found in FILLER.finditer(line))
        if line in PLACEHOLDERS:
            yield number, "The line is still the scaffold's."


# ── several ──────────────────────────────────────────────────────────────────────────────────────


def _same_names(personas: Sequence[RosterPersona]) -> Iterator[Finding]:
    shelves = defaultdict(list)
    for persona in personas:
        shelves[persona.name].append(persona.division)
    for name, divisions in shelves.items():
        if len(divisions) > 1:
            yield Finding(persona=name, line=None, says=f"The name stands in {' and in '.join(sorted(divisions))}.")


def _same_skills(personas: Sequence[RosterPersona]) -> Iterator[Finding]:
    first: dict[tuple[str, str], str] = {}
    for persona in personas:
        for skill in persona.skills:
            other = first.setdefault((persona.division, skill), persona.name)
            if other != persona.name:
                says = f"{other}, in {persona.division} too, has the skill {skill} already."
                yield Finding(persona=persona.name, line=None, says=says)


def _runs(prompt: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", prompt.lower())
    return frozenset(zip(*(words[first:] for first in range(RUN)), strict=False))

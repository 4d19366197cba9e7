"""Every kind of breach is found, by a persona that is bad on purpose, and a good one is left alone."""

from dataclasses import replace

import pytest

from muster.roster import RosterPersona, lint, lint_together, roster, scaffold, shipped_files

GOOD = """\
---
description: Counts sheep in a field at night and says how many there were, with the gaps in the fence.
mode: all
skills: [sheep, fields, counting, fences, night work]
denied: [edit]
---
For a field with sheep, when somebody wants their number.

How you work:
1. Walk the fence first.
2. Count twice, from both ends.

You deliver: the number and the gaps.

You refuse: to guess.
"""
PARTS = "How you work:", "You deliver:", "You refuse:"


def found(text: str, name: str = "sheep-counter") -> list[tuple[int | None, str]]:
    return [(finding.line, finding.says) for finding in lint(text, name)]


def test_good_one_is_left_alone():
    assert found(GOOD) == []
    assert found(GOOD.replace("\n", "\r\n")) == []


BREACHES = [
    ("", "description: Counts sheep.", 2, "The description has 13 characters, not 60 to 150."),
    ("", f"description: {'x' * 151}", 2, "The description has 151 characters, not 60 to 150."),
    ("", "description: 5", 2, "It has no description."),
    ("", "mode: nonsense", 3, "The mode nonsense is none of primary, subagent, all."),
    ("", "skills: [one, two]", 4, "It has 2 skills, not 5 to 9."),
    ("", "skills: [a, b, c, d, e, f, g, h, i, j]", 4, "It has 10 skills, not 5 to 9."),
    ("", "skills: [one, two, three, four, one]", 4, "The skill one stands twice."),
    ("", "skills: sheep", 4, "Its skills are no list of words."),
    ("", "denied: edit", 5, "What is denied is no list; [] denies nothing."),
    ("", "denied: [sleep]", 5, "sleep cannot be denied; edit, bash, webfetch, websearch, task can."),
    ("", "denied: []\ncolor: red", 6, "There is no entry color in the roster."),
    ("How you work:\n", "", 7, "The part “How you work:” is missing."),
    ("You deliver: the number and the gaps.\n", "", 7, "The part “You deliver:” is missing."),
    ("You refuse: to guess.\n", "", 7, "The part “You refuse:” is missing."),
    ("You refuse: to guess.", "You refuse: to guess.\nYou refuse: to run.", 16, "The part “You refuse:” stands twice."),
    ("You refuse: to guess.", "You refuse:", 15, "The part “You refuse:” is empty."),
    ("For a field with sheep, when somebody wants their number.", "", 7,
     "Nothing says what it is for, before “How you work:”."),
    ("Walk the fence first.", "Walk the fence with a world-class dog.", 10, "“world-class” says nothing."),
    ("Walk the fence first.", "Leverage the dog.", 10, "“Leverage” says nothing."),
    ("1. Walk the fence first.", "3. <How it is checked.>", 10, "The line is still the scaffold's."),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "says"), BREACHES, ids=[says for *_, says in BREACHES])
def test_breach_is_found_with_its_line(old, new, line, says):
    if not old:  # an entry of the front matter
        (old,) = (one for one in GOOD.split("\n") if one.startswith(f"{new.partition(':')[0]}:"))
    assert (line, says) in found(GOOD.replace(old, new, 1))


def test_missing_entry_is_found():
    for entry in ("description", "mode", "skills", "denied"):
        assert found("\n".join(line for line in GOOD.split("\n") if not line.startswith(f"{entry}:")))


def test_parts_in_another_order_are_found():
    swapped = GOOD.replace("You deliver: the number and the gaps.", "@").replace(
        "You refuse: to guess.", "You deliver: x"
    )
    says = f"The parts stand in another order than {', '.join(PARTS)}"
    assert (9, says) in found(swapped.replace("@", "You refuse: to guess."))


def test_prompt_of_250_words_passes_and_one_of_251_does_not():
    words = len(GOOD.partition("\n---\n")[2].split())
    assert found(GOOD + "so " * (250 - words)) == []
    assert found(GOOD + "so " * (251 - words)) == [(None, "The prompt has 251 words, more than 250.")]


@pytest.mark.parametrize("name", ["Sheep", "sheep_counter", "sheep--counter", "-sheep", "schäfer", ""])
def test_name_that_no_file_should_have_is_found(name):
    assert found(GOOD, name) == [(None, f"The name {name} is not of a-z, 0-9 and single hyphens.")]


@pytest.mark.parametrize(
    "text", ["", "Count sheep.", "---\nmode: [\n---\n", "---\njust words\n---\n", "---\nmode: all\n"]
)
def test_what_has_no_front_matter_is_found_and_nothing_else_is_said(text):
    ((line, says),) = found(text)
    assert (line, says.startswith("It cannot be read: ")) == (1, True)


@pytest.mark.parametrize("words", ["a robustness test", "the robust-ness", "at most", "lever", "scomprehensive"])
def test_words_that_only_look_like_fillers_are_left_alone(words):
    assert found(GOOD.replace("Walk", words)) == []


def test_agent_file_of_opencode_needs_no_skills_and_may_have_other_entries():
    text = GOOD.replace("skills: [sheep, fields, counting, fences, night work]\ndenied: [edit]", "temperature: 0.2")
    assert found(text) == []


def test_scaffold_is_found_until_it_is_filled_in():
    assert len(found(scaffold())) == 7


# ── several ──────────────────────────────────────────────────────────────────────────────────────


def persona(name: str, **other: object) -> RosterPersona:
    """Like no other persona, unless it is said how."""
    told = {"prompt": " ".join([name] * 5), "skills": (name,), "division": "farming", "denied": ()}
    return RosterPersona(name=name, description="", mode="all", **(told | other))  # type: ignore[arg-type]


def together(*personas: RosterPersona) -> list[tuple[str, str]]:
    return [(finding.persona, finding.says) for finding in lint_together(personas)]


def test_name_that_stands_in_two_divisions_is_found():
    twice = persona("a"), persona("a", division="fishing", prompt="other words for once")
    assert together(*twice, persona("b")) == [("a", "The name stands in farming and in fishing.")]


def test_skill_that_two_of_a_division_have_is_found():
    pair = persona("a", skills=("nets",)), persona("b", skills=("hooks", "nets"))
    assert together(*pair) == [("b", "a, in farming too, has the skill nets already.")]


def test_skill_that_stands_in_two_divisions_is_left_alone():
    assert together(persona("a", skills=("nets",)), persona("b", skills=("nets",), division="fishing")) == []


def test_two_that_say_the_same_are_found():
    same = "Walk along the fence and count every sheep twice, from both ends."
    ((name, says),) = together(persona("a", prompt=same), persona("b", prompt=same.upper()), persona("c"))
    assert (name, says) == ("a", "It says what b says: 1.00 of their runs of three words, more than 0.05.")


def test_longest_step_of_one_that_is_copied_into_another_is_found_in_the_shipped_roster():
    first, second = (one for one in roster() if one.name in {"oracle", "go-engineer"})
    copied = max(second.prompt.split("\n\n")[1].split("\n")[1:], key=len)
    begun = first.prompt.split("\n")[3]
    mixed = replace(first, prompt=first.prompt.replace(begun, f"{begun} {copied}"))
    assert together(first, second) == []
    assert [name for name, _ in together(mixed, second)] == [mixed.name]


def test_every_shipped_file_is_looked_at():
    assert {file.stem for file in shipped_files()} == {one.name for one in roster()}

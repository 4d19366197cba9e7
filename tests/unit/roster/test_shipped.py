"""The shipped personas: whole, worth their words, and unlike one another."""

import dataclasses

import pytest

from muster.roster import RosterPersona, lint, lint_together, roster, shipped_files


def test_shipped_roster_is_clean():
    found = [finding for file in shipped_files() for finding in lint(file.read_text(), file.stem)]
    assert [*found, *lint_together(roster())] == []


def test_there_are_a_hundred_and_more_in_ten_divisions_and_more():
    assert len(roster()) >= 100
    assert len({persona.division for persona in roster()}) >= 10


def test_personas_that_guides_name_are_there():
    named = {"codebase-onboarding-engineer", "oracle", "backend-architect", "application-security-engineer"}
    assert named <= {persona.name for persona in roster()}


def test_persona_is_read_from_its_file_whole():
    (scout,) = (persona for persona in roster() if persona.name == "oracle")
    assert dataclasses.replace(scout, prompt="") == RosterPersona(
        name="oracle",
        division="research",
        description=(
            "Gives a deep second opinion on a hard design or debugging question; reads and thinks, changes nothing."
        ),
        mode="all",
        skills=(
            "second opinion",
            "hard bug",
            "design decision",
            "deep reasoning",
            "trade-off analysis",
            "stuck on problem",
        ),
        denied=("edit", "bash"),
        prompt="",
    )
    assert scout.prompt.startswith("For a question on which others are stuck")
    assert scout.prompt.endswith("place of an answer.")


def test_roster_is_read_once_and_sorted_by_name():
    assert roster() is roster()
    assert [persona.name for persona in roster()] == sorted(persona.name for persona in roster())


@pytest.mark.parametrize("file", shipped_files(), ids=lambda file: file.stem)
def test_file_ends_with_one_line_end_and_has_no_line_that_a_terminal_would_break(file):
    text = file.read_text()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert all(len(line) <= 140 for line in text.split("\n") if not line.startswith(("description:", "skills:")))

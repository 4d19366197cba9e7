"""The three patterns of working together, as they come with Muster, on the real OpenCode."""

from pathlib import Path

import pytest

from e2e.stage import wants_opencode
from e2e.test_rehearse import left, rehearse

pytestmark = wants_opencode

OUTCOMES = {
    "pipeline-handoff": [
        "The service listens on port 8080; the writer has it.",
        "Written: the service listens on port 8080.",
        "Approved: the draft says port 8080, and app.py says 8080.",
    ],
    "debate-consensus": ["The vote is over: ratified.", "I voted for it.", "I voted for it."],
    "failure-recovery": [
        "It is built, with the help of mechanic.",
        "I mended what builder was missing.",
        "That is for the mechanic.",
    ],
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_pattern_comes_out_as_its_agents_tell_each_other(tmp_path: Path, name: str) -> None:
    played = rehearse(tmp_path, name, "--json")

    assert (played.code, played.json["failures"]) == (0, [])
    assert [result["output"] for result in played.json["results"]] == OUTCOMES[name]
    assert left(tmp_path) == []

"""`muster merge`, `review`, `undo`: what landed, what did not and why, and what was taken back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muster.hosts.scripted import ScriptedHost
from unit.git.repositories import Repository, repository
from unit.reconcilers.hands import Hands
from unit.surfaces.cli.conftest import ESCAPES, Shell, typing
from unit.surfaces.cli.test_fleets import harmless

pytestmark = pytest.mark.anyio

FILES = {"a.txt": "a\n", "b.txt": "b\n"}


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def mine(tmp_path: Path) -> Repository:
    (tmp_path / "home").mkdir()
    return repository(tmp_path / "home", FILES)


@pytest.fixture
async def landing(tmp_path, clock, capsys, monkeypatch, hands, mine) -> AsyncIterator[Shell]:
    """A shell in a repository, beside agents that write files."""
    host = ScriptedHost(hands.play)
    async with typing(host, tmp_path, clock, capsys, monkeypatch) as shell:
        yield shell


async def landed(shell: Shell, hands: Hands, mine: Repository, files: dict[str, str | None]) -> str:
    """What `muster fleet wait` says of an agent `one` that has written these."""
    hands.work["do"] = lambda folder: mine.write(files, at=folder)
    fleet = await shell.spawn("one=do")
    return (await shell.muster("fleet", "wait", fleet)).out


async def test_what_landed_is_told_reviewed_and_undone_by_name(landing, hands, mine):
    said = await landed(landing, hands, mine, {"a.txt": "agent\n", "new.txt": f"n{ESCAPES}\n"})
    assert "\nlanded: a.txt, new.txt\n" in said

    review = await landing.muster("review")
    assert "+agent" in review.out
    assert "+++ b/new.txt" in review.out
    assert harmless(review)
    undone = await landing.muster("undo", "one")
    assert (undone.code, undone.out.split()[1:]) == (0, ["one", "undone"])
    assert mine.status() == ""
    assert (await landing.muster("review")).out == "Nothing that has landed stands.\n"
    assert (await landing.muster("undo", "one")).code == 2


async def test_what_is_in_the_way_is_told_with_the_next_step_and_exit_code_4(landing, hands, mine):
    mine.write({"a.txt": "mine\n"})
    said = await landed(landing, hands, mine, {"a.txt": "agent\n"})
    assert "\nrefused: a.txt\n" in said
    assert "\nnext: " in said

    refused = await landing.muster("merge", "one", "--include-uncommitted")
    assert refused.code == 4
    assert "a.txt: you changed it" in refused.out
    assert "next: Commit it" in refused.out
    uncommitted = await landing.muster("merge", "one", "--json")
    assert (uncommitted.code, uncommitted.json["state"]) == (4, "refused")
    mine.write({"a.txt": "a\n"})
    merged = await landing.muster("merge", "one", "--include-uncommitted")
    assert (merged.code, merged.out.splitlines()[1:]) == (0, ["  a.txt"])


async def test_conflict_shows_both_sides_and_nothing_that_steers_a_terminal(landing, hands, mine):
    hands.work["hold"] = lambda folder: mine.write({"a.txt": f"agent{ESCAPES}\n"}, at=folder)
    fleet = await landing.spawn("one=hold")
    await hands.worked.wait()
    mine.commit({"a.txt": "mine\n"})
    hands.gate.set()
    await landing.stage.settled(fleet)

    merged = await landing.muster("merge", "one", "--include-uncommitted")

    assert (merged.code, harmless(merged)) == (4, True)
    lines = [line.strip() for line in merged.out.splitlines()]
    assert lines[lines.index("yours:") + 1] == "mine"
    assert lines[lines.index("the agent's:") + 1].startswith("agent")


async def test_files_kept_by_an_undo_are_named_with_exit_code_4(landing, hands, mine):
    await landed(landing, hands, mine, {"a.txt": "agent\n", "b.txt": "agent\n"})
    mine.write({"a.txt": "mine\n"})
    undone = await landing.muster("undo", "one")
    assert undone.code == 4
    assert "kept a.txt: " in undone.out

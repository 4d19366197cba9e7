"""Agents on the real OpenCode change one repository at once, and what they did lands in a dirty tree of the user's."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from e2e.stage import MUSTER, Stage, stage, wants_opencode

pytestmark = [wants_opencode, pytest.mark.anyio]

LINES = "".join(f"line {number}\n" for number in range(1, 21))
COMMIT = "git -c user.name=A -c user.email=a@example.org commit -qam work"
HANDS = {
    "alice": f"sed -i 's/^line 2$/alice/' shared.txt && {COMMIT}",
    "bob": "sed -i 's/^line 18$/bob/' shared.txt && mkdir -p 'new folder' && echo bob > 'new folder/bob.txt'",
    "carol": "rm gone.txt && printf 'carol\\n' > carol.txt && chmod +x carol.txt",
    "dave": "sed -i 's/^line 2$/dave/' shared.txt",
    "crowd": "for i in $(seq 300); do echo $i > crowd-$i.txt; done",
}
SCENARIO = "agents:\n" + "".join(
    f"""
  - name: {name}
    match: {{text: You are {name}}}
    steps:
      - {{call: {{tool: bash, arguments: {{command: {command!r}, description: work}}}}}}
      - {{say: "done by {name}"}}
    then: {{say: "nothing more"}}
"""
    for name, command in HANDS.items()
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, SCENARIO, serve=False) as on:
        (on.project / "shared.txt").write_text(LINES)
        for name in ("gone", "staged", "loose", "stashed"):
            (on.project / f"{name}.txt").write_text(f"{name}\n")
        (on.project / ".gitignore").write_text("*.log\n")
        git(on, "add", ".")
        git(on, "commit", "-qm", "More")
        yield on


def git(on: Stage, *words: str) -> str:
    named = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-C", str(on.project)]
    done = subprocess.run(["git", *named, *words], env=on.env, check=True, capture_output=True, text=True)
    return done.stdout


def dirty(on: Stage) -> None:
    """Stashed, staged, unstaged, untracked, ignored."""
    (on.project / "stashed.txt").write_text("mine, stashed\n")
    git(on, "stash", "-q")
    (on.project / "staged.txt").write_text("mine, staged\n")
    git(on, "add", "staged.txt")
    for name, content in {"loose.txt": "mine\n", "untracked.txt": "mine\n", "ignored.log": "mine\n"}.items():
        (on.project / name).write_text(content)


def users(on: Stage) -> dict[str, Any]:
    """What no merge may move."""
    questions = {"index": "ls-files --stage", "head": "rev-parse HEAD", "stash": "rev-parse stash@{0}"}
    return {name: git(on, *question.split()) for name, question in questions.items()}


def files(on: Stage) -> dict[str, bytes]:
    found = (file for file in on.project.rglob("*") if file.is_file())
    told = {str(file.relative_to(on.project)): file for file in found}
    return {name: file.read_bytes() for name, file in told.items() if not name.startswith(".git/")}


def agents(*names: str) -> list[dict[str, Any]]:
    return [{"role": name, "prompt": "Do it."} for name in names]


async def muster(on: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*MUSTER, *words], env=on.env, cwd=on.project, capture_output=True, text=True, timeout=60)

    return await anyio.to_thread.run_sync(run)


async def test_work_of_agents_lands_in_a_dirty_tree_and_is_reviewed_and_taken_back(on: Stage) -> None:
    await on.start_hub()
    dirty(on)
    before, mine = files(on), users(on)

    results = await on.wait(await on.spawn(*agents("alice", "bob", "carol")))

    assert [result["merge"]["state"] for result in results] == ["landed"] * 3, results
    shared = LINES.replace("line 2\n", "alice\n").replace("line 18\n", "bob\n")
    landed = {"shared.txt": shared.encode(), "new folder/bob.txt": b"bob\n", "carol.txt": b"carol\n"}
    assert files(on) == {name: text for name, text in before.items() if name != "gone.txt"} | landed
    assert (on.project / "carol.txt").stat().st_mode & 0o111
    assert users(on) == mine

    review = await muster(on, "review")
    assert review.returncode == 0, review.stderr
    for line in ("+alice", "+bob", "+++ b/new folder/bob.txt", "+carol", "-gone"):
        assert line in review.stdout
    for merge in (await on.call("merge.list"))["merges"]:  # newest first: who landed later goes first
        undone = await muster(on, "undo", merge["merge_id"])
        assert undone.returncode == 0, undone.stderr
    assert (files(on), users(on)) == (before, mine)


async def test_conflict_stays_on_its_branch_until_it_is_settled(on: Stage) -> None:
    await on.start_hub()
    dirty(on)
    before = users(on)

    results = await on.wait(await on.spawn(*agents("alice", "dave", "carol")))

    states = [result["merge"]["state"] for result in results]
    assert (sorted(states[:2]), states[2]) == (["conflicted", "landed"], "landed")
    loser, winner = states.index("conflicted"), states.index("landed")
    told = results[loser]["merge"]
    assert (results[loser]["status"], told["files"]) == ("done", ["shared.txt"])
    assert results[loser]["agent_id"] in told["facts"]["next"]
    again = await muster(on, "merge", results[loser]["agent_id"], "--include-uncommitted")
    assert again.returncode == 4, again.stdout
    assert "conflicted" in again.stdout
    assert (await muster(on, "undo", results[winner]["name"])).returncode == 0
    third = await muster(on, "merge", results[loser]["name"], "--include-uncommitted")
    assert third.returncode == 0, third.stdout + third.stderr
    assert f"{results[loser]['name']}\n" in (on.project / "shared.txt").read_text()
    assert users(on) == before


async def test_hub_that_is_killed_in_the_midst_of_landing_finishes_it(on: Stage) -> None:
    dirty(on)
    before, mine = files(on), users(on)
    await on.start_hub(dies_at="merge.write:written")
    fleet = await on.spawn(*agents("crowd"))
    await on.hub_died()
    await on.start_hub()

    (result,) = await on.wait(fleet)

    assert result["merge"]["state"] == "landed"
    crowd = {f"crowd-{number}.txt": f"{number}\n".encode() for number in range(1, 301)}
    assert (files(on), users(on)) == (before | crowd, mine)
    undone = await muster(on, "undo", result["agent_id"])
    assert (undone.returncode, files(on), users(on)) == (0, before, mine)

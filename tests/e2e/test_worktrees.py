"""Agents in worktrees of their own, on the real OpenCode: nothing of the user's moves, nothing of theirs is lost."""

import json
from pathlib import Path

import pytest

from e2e.stage import stage, wants_opencode
from repositories import say, seen, users_own

pytestmark = [pytest.mark.anyio, wants_opencode]

NAMES = ("one", "two", "three", "four")
COMMITTING = """
agents:
  - name: all
    steps:
      - call:
          tool: bash
          arguments: {command: "pwd; git branch --show-current; echo branch=$MUSTER_BRANCH", description: "look"}
      - call:
          tool: bash
          arguments:
            command: >
              echo edited >> README.md && git -c user.name=a -c user.email=a@b commit -qam mine
              && echo half > unfinished && echo committed
            description: "work"
      - say: "${bash}"
"""
WRITING = """
agents:
  - name: all
    steps:
      - call: {tool: bash, arguments: {command: "echo half > unfinished; echo begun", description: "work"}}
      - call: {tool: bash, arguments: {command: "sleep 300", description: "wait", timeout: 600000}}
      - say: "never"
"""


async def test_four_agents_commit_in_one_repository_and_the_user_keeps_everything_as_it_was(tmp_path: Path) -> None:
    async with stage(tmp_path, COMMITTING, land_when_quiet="false") as on:
        (on.project / "README.md").write_text("the user's own\n")
        (on.project / "notes").write_text("untracked\n")
        before = users_own(on.project)
        fleet = await on.spawn(*({"role": name, "prompt": "Work."} for name in NAMES))
        results = await on.wait(fleet, seconds=90)
        assert [result["status"] for result in results] == ["done"] * 4, json.dumps(results, indent=1)

        rows = {row["name"]: row for row in (await on.call("worktree.list", fleet_id=fleet))["worktrees"]}
        messages = [message.text for chat in on.chats() for message in chat.messages if message.role == "tool"]
        told = [text.split() for text in messages if "branch=" in text]
        places = {(row["folder"], row["branch"]) for row in rows.values()}
        assert {(folder, branch) for folder, branch, _ in told} == places
        assert {said for _, _, said in told} == {f"branch={branch}" for _, branch in places}
        for row in rows.values():
            assert seen(on.project, row["branch"], "README.md").endswith("edited")
            assert seen(on.project, row["snapshot"], "unfinished") == "half"
        assert users_own(on.project) == before


async def test_agent_that_is_cancelled_and_a_hub_that_dies_lose_nothing_of_its_work(tmp_path: Path) -> None:
    async with stage(tmp_path, WRITING) as on:
        fleet = await on.spawn({"role": "worker", "prompt": "Work."})
        await on.until(fleet, worker="working")
        await on.journal("agent.moved", tool="bash")
        folder = Path((await on.call("worktree.list", fleet_id=fleet))["worktrees"][0]["folder"])
        await on.kill_hub()
        await on.start_hub()
        assert (folder / "unfinished").exists()
        await on.call("fleet.cancel", fleet_id=fleet)
        row = (await on.call("worktree.list", fleet_id=fleet))["worktrees"][0]
        assert seen(on.project, row["snapshot"], "unfinished") == "half"
        removed = await on.call("worktree.remove", agent_id=row["agent_id"])
        assert (removed["state"], folder.exists()) == ("removed", False)
        assert say(on.project, "rev-parse", row["ref"]) == removed["snapshot"]

"""A lead with `muster mcp --toolkits mesh,team`: its members on the real OpenCode, their work in a dirty tree."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from e2e.stage import MUSTER, Stage, stage, wants_opencode
from unit.surfaces.stdio_door import Door, door

pytestmark = [wants_opencode, pytest.mark.anyio]

LINES = "".join(f"line {number}\n" for number in range(1, 21))
COMMIT = "git add -A && git -c user.name=A -c user.email=a@example.org commit -qm work"
STEPS = {
    "alice": ["sleep 4", f"sed -i 's/^line 2$/alice/' shared.txt && {COMMIT}", f"echo alice > alice.txt && {COMMIT}"],
    "bob": [f"sed -i 's/^line 18$/bob/' shared.txt && {COMMIT}"],
    "carol": [f"sed -i 's/^line 2$/carol/' shared.txt && {COMMIT}"],
}
SCENARIO = "agents:\n" + "".join(
    f"  - name: {name}\n    match: {{text: You are {name}}}\n    steps:\n"
    + "".join(
        f"      - {{call: {{tool: bash, arguments: {{command: {step!r}, description: work}}}}}}\n" for step in steps
    )
    + f'      - {{say: "done by {name}"}}\n    then: {{say: nothing more}}\n'
    for name, steps in {**STEPS, "reader": []}.items()
)


@dataclass(kw_only=True)
class Lead:
    on: Stage
    client: Door

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        asking = partial(self.client.ask, "tools/call", 1, name=tool, arguments=arguments)
        told = await anyio.to_thread.run_sync(asking)
        found: dict[str, Any] = told["result"]["structuredContent"]
        return found

    async def until(self, **wanted: str) -> None:
        team = await self.use("team_status")
        await self.on.until(team["fleet_id"], **wanted)

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.on.project), "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words]
        return subprocess.run(command, env=self.on.env, check=True, capture_output=True, text=True).stdout

    def users(self) -> dict[str, bytes]:
        """What no merge may move: the index, HEAD, and every file that is none of the members'."""
        top = self.on.project
        names = [*("staged.txt", "loose.txt", "untracked.txt", "ignored.log"), ".git/HEAD", ".git/index"]
        return {name: (top / name).read_bytes() for name in names} | {"tip": self.git("rev-parse", "HEAD").encode()}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def lead(tmp_path: Path) -> AsyncIterator[Lead]:
    async with leading(tmp_path) as lead:
        yield lead


@asynccontextmanager
async def leading(folder: Path) -> AsyncIterator[Lead]:
    async with stage(folder, SCENARIO) as on:
        command = [*MUSTER, "mcp", "--toolkits", "mesh,team"]
        with door(on.home, command=command, cwd=on.project, **on.env) as client:
            lead = Lead(on=on, client=client)
            (on.project / "shared.txt").write_text(LINES)
            for name in ("staged", "loose"):
                (on.project / f"{name}.txt").write_text(f"{name}\n")
            (on.project / ".gitignore").write_text("*.log\n")
            lead.git("add", ".")
            lead.git("commit", "-qm", "More")
            await anyio.to_thread.run_sync(client.hello)
            yield lead


def dirty(on: Lead) -> None:
    """Staged, unstaged, untracked, ignored."""
    top = on.on.project
    (top / "staged.txt").write_text("mine, staged\n")
    on.git("add", "staged.txt")
    for name in ("loose.txt", "untracked.txt", "ignored.log"):
        (top / name).write_text("mine\n")


async def test_members_work_apart_are_shut_down_merged_taken_back_and_cleaned_up(lead: Lead) -> None:
    """Cases 1, 7 to 9, 33, 35 to 38."""
    shared, top = lead.on.project / "shared.txt", lead.on.project
    dirty(lead)
    before = lead.users()
    assert (await lead.use("team_create", name="demo"))["notes"] == []
    for name in ("alice", "bob", "carol"):
        spawned = await lead.use("team_spawn", name=name, prompt="Do it.")
        assert spawned["branch"].endswith(f"/{name}"), spawned
    assert (await lead.use("team_merge", member="alice"))["error"]["code"] == "conflict"

    stopped = await lead.use("team_shutdown", member="alice")
    assert (stopped["status"], stopped["settled"]) == ("stopped", True)
    await lead.until(alice="stopped", bob="idle", carol="idle")
    assert lead.git("log", "--oneline", f"HEAD..{branch(await lead.use('team_status'), 'alice')}").count("work") == 2
    assert lead.users() == before

    merged = await lead.use("team_merge", member="alice")
    assert (merged["state"], sorted(merged["files"])) == ("landed", ["alice.txt", "shared.txt"])
    assert (await lead.use("team_merge", member="bob"))["state"] == "landed"
    assert shared.read_text() == LINES.replace("line 2\n", "alice\n").replace("line 18\n", "bob\n")
    conflict = (await lead.use("team_merge", member="carol"))["error"]
    assert (conflict["code"], conflict["facts"]["files"]) == ("not_done", ["shared.txt"])

    assert (await lead.use("team_undo_merge", member="bob"))["state"] == "undone"
    assert shared.read_text() == LINES.replace("line 2\n", "alice\n")
    refused = (await lead.use("team_cleanup"))["error"]
    assert sorted(refused["facts"]["members"]) == ["bob", "carol"]
    cleaned = await lead.use("team_cleanup", force=True)
    assert (cleaned["state"], cleaned["settled"]) == ("done", True)
    assert sorted(kept["member"] for kept in cleaned["kept"]) == ["bob", "carol"]
    for kept in cleaned["kept"]:
        assert f"+{kept['member']}" in lead.git("show", kept["branch"])
        assert lead.git("rev-parse", kept["ref"])
    assert lead.git("worktree", "list").count("\n") == 1
    assert lead.users() == before
    assert (top / "alice.txt").read_text() == "alice\n"
    assert (await lead.use("team_create", name="demo"))["team"] == "demo"


async def test_reader_has_no_tools_that_change_anything_and_unknown_models_leave_nothing(lead: Lead) -> None:
    """Cases 10, 12 and 15."""
    await lead.use("team_create", name="demo")
    spawned = await lead.use("team_spawn", name="reader", prompt="Look.", agent="explore")
    assert (spawned["branch"], spawned["directory"]) == (None, str(lead.on.project))
    await lead.until(reader="idle")
    offered = {tool for request in lead.on.chats("reader") for tool in request.tools}
    assert "read" in offered
    assert not offered & {"edit", "write", "patch", "bash", "task"}
    assert not {tool for tool in offered if "team_" in tool}

    failed = (await lead.use("team_spawn", name="bob", prompt="Do it.", model="no/such"))["error"]
    assert failed["code"] == "not_done"
    assert "no/such" in failed["message"]
    await lead.on.journal("worktree.removed")
    assert [member["name"] for member in (await lead.use("team_status"))["members"]] == ["reader"]
    assert lead.git("worktree", "list").count("\n") == 1


def branch(team: dict[str, Any], name: str) -> str:
    return str(next(member["branch"] for member in team["members"] if member["name"] == name))

"""`muster snapshots`: what is kept of an agent's worktree, in words and in JSON."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from repositories import repository, say
from unit.surfaces.cli.conftest import Shell, typing


@pytest.fixture
async def apart(tmp_path, clock, capsys, monkeypatch) -> AsyncIterator[Shell]:
    """A shell in a git project, whose agents write one file each."""
    repository(tmp_path / "home" / "project")

    async def play(wish: TurnWish) -> Reply:
        (Path(wish.directory) / "made").write_text("by the agent\n")
        return Reply(output="done")

    async with typing(ScriptedHost(play), tmp_path, clock, capsys, monkeypatch) as shell:
        yield shell


async def done(shell: Shell, *options: str) -> str:
    """The id of an agent that has done its work."""
    spawned = await shell.muster("fleet", "spawn", "--json", *options, "ann=write")
    await shell.stage.settled(spawned.json["fleet_id"])
    return str(spawned.json["agent_ids"][0])


async def test_worktrees_are_listed_and_an_agents_snapshots_shown(apart: Shell) -> None:
    assert (await apart.muster("snapshots")).out == "No agent has a worktree of its own.\n"
    agent = await done(apart)
    listed, shown = await apart.muster("snapshots"), await apart.muster("snapshots", agent)
    assert agent in listed.out
    assert "ready" in listed.out
    assert "idle" in shown.out
    assert "branch muster/flt_" in shown.out


async def test_agent_in_the_shared_checkout_has_none(apart: Shell) -> None:
    agent = await done(apart, "--shared")
    ended = await apart.muster("snapshots", agent, "--json")
    assert (ended.code, ended.error["code"]) == (2, "not_found")


async def test_snapshot_comes_back_as_files_and_as_a_branch(apart: Shell, tmp_path: Path) -> None:
    agent = await done(apart)
    back = await apart.muster("snapshots", agent, "--restore", "latest", "--to", str(tmp_path / "back"))
    assert (back.code, (tmp_path / "back" / "made").read_text()) == (0, "by the agent\n")
    again = await apart.muster("snapshots", agent, "--restore", "latest", "--to", str(tmp_path / "back"))
    assert (again.code, "there already" in again.out) == (1, True)
    branch = await apart.muster("snapshots", agent, "--restore", "latest", "--branch", "rescue")
    assert branch.code == 0
    assert say(apart.stage.project, "show", "rescue:made") == "by the agent"


async def test_snapshots_are_let_go_in_two_steps_after_the_folder(apart: Shell) -> None:
    agent = await done(apart)
    removed = await apart.muster("snapshots", agent, "--remove")
    assert (removed.code, "is removed" in removed.out) == (0, True)
    listed = await apart.muster("snapshots", agent, "--drop", "--json")
    assert (listed.json["errand_id"], len(listed.json["snapshots"])) == (None, 1)
    dropped = await apart.muster("snapshots", agent, "--drop", "--token", listed.json["token"])
    assert dropped.code == 0, dropped
    left = say(apart.stage.project, "for-each-ref", "refs/muster", "refs/heads/muster", "--format=%(refname)")
    assert [ref for ref in left.split() if not ref.startswith("refs/muster/merges/")] == []  # these are for undo


@pytest.mark.parametrize(
    "words",
    [
        ["--restore", "latest"],
        ["--remove"],
        ["agt_1", "--remove", "--drop"],
        ["agt_1", "--restore", "latest"],
        ["agt_1", "--restore", "latest", "--to", "/x", "--branch", "y"],
    ],
)
async def test_what_is_not_one_wish_is_refused(apart: Shell, words: list[str]) -> None:
    ended = await apart.muster("snapshots", "--json", *words)
    assert (ended.code, ended.error["code"]) == (2, "invalid_input")

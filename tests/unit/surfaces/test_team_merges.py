"""Merging, taking back and cleaning up a team, through MCP's own client, on real git: cases 33 to 38.

What members leave in their worktrees is written by the test. The same on the real OpenCode: `e2e/test_teams.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unit.git.repositories import Repository, repository
from unit.surfaces.test_team_cases import Lead, leading

pytestmark = pytest.mark.anyio

LINES = "".join(f"line {number}\n" for number in range(1, 21))


@dataclass(kw_only=True)
class Team:
    lead: Lead
    own: Repository

    async def member(self, name: str, files: dict[str, str] | None = None, *, commits: bool = True) -> Path:
        """A member that is idle, and has done this in its worktree."""
        spawned = await self.lead.use("team_spawn", name=name, prompt="go")
        await self.lead.rest()
        at = Path(spawned["directory"])
        if files is not None and commits:
            self.own.commit(files, at=at)
        for path, text in (files or {}).items():
            (at / path).write_text(text)
        return at

    async def merge(self, name: str, **more: Any) -> dict[str, Any]:
        return await self.lead.use("team_merge", member=name, **more)

    def users(self) -> tuple[str, ...]:
        """What no merge may move."""
        return tuple(self.own.git(*words.split()) for words in ("ls-files --stage", "rev-parse HEAD", "branch --list"))


@pytest.fixture
async def team(tmp_path, clock) -> AsyncIterator[Team]:
    own = repository(tmp_path, {"shared.txt": LINES, ".gitignore": "*.log\n"})
    async with leading(tmp_path, clock) as lead:
        await lead.create()
        yield Team(lead=lead, own=own)


async def test_33_member_that_was_shut_down_is_merged_with_its_last_commit(team):
    await team.member("alice", {"new.txt": "alice\n"})
    await team.lead.use("team_shutdown", member="alice")
    before = team.users()[:2]
    merged = await team.merge("alice")
    assert (merged["state"], merged["files"], merged["settled"]) == ("landed", ["new.txt"], True)
    assert team.own.read("new.txt") == "alice\n"
    assert team.users()[:2] == before


async def test_merge_of_a_member_at_work_is_refused(team):
    await team.lead.use("team_spawn", name="alice", prompt="hold")
    await team.lead.cast.until(lambda: team.lead.cast.held == 1)
    refused = await team.merge("alice")
    assert refused["error"]["code"] == "conflict"
    assert "at work" in refused["error"]["message"]


async def test_34_uncommitted_work_is_refused_with_the_way_to_land_it(team):
    await team.member("alice", {"loose.txt": "alice\n"}, commits=False)
    refused = await team.merge("alice")
    assert refused["error"]["code"] == "not_done"
    assert refused["error"]["facts"]["files"] == ["loose.txt"]
    assert "include_uncommitted" in refused["error"]["next"]
    assert (await team.merge("alice", include_uncommitted=True))["state"] == "landed"
    assert team.own.read("loose.txt") == "alice\n"


async def test_35_users_staged_unstaged_and_ignored_files_stay(team):
    (team.own.top / "staged.txt").write_text("mine, staged\n")
    team.own.git("add", "staged.txt")
    for name in ("staged.txt", "loose.txt", "ignored.log"):
        (team.own.top / name).write_text("mine\n")
    await team.member("alice", {"new.txt": "alice\n"})
    before = team.users()[:2]
    assert (await team.merge("alice"))["state"] == "landed"
    assert team.users()[:2] == before
    assert [team.own.read(name) for name in ("staged.txt", "loose.txt", "ignored.log")] == ["mine\n"] * 3


async def test_36_edit_of_the_users_blocks_and_two_members_on_different_lines_both_land(team):
    alice = LINES.replace("line 2\n", "alice\n")
    bob = LINES.replace("line 18\n", "bob\n")
    await team.member("alice", {"shared.txt": alice})
    await team.member("bob", {"shared.txt": bob})
    (team.own.top / "shared.txt").write_text(LINES + "mine\n")
    refused = await team.merge("alice")
    assert refused["error"]["code"] == "not_done"
    assert refused["error"]["facts"]["files"] == ["shared.txt"]
    assert team.own.read("shared.txt") == LINES + "mine\n"
    (team.own.top / "shared.txt").write_text(LINES)
    assert [(await team.merge(name))["state"] for name in ("alice", "bob")] == ["landed", "landed"]
    assert team.own.read("shared.txt") == alice.replace("line 18\n", "bob\n")


async def test_37_conflict_names_its_files_and_changes_nothing(team):
    await team.member("alice", {"shared.txt": LINES.replace("line 2\n", "alice\n")})
    await team.member("bob", {"shared.txt": LINES.replace("line 2\n", "bob\n")})
    await team.member("carol", {"carol.txt": "carol\n"})
    assert (await team.merge("alice"))["state"] == "landed"
    before = (team.own.read("shared.txt"), team.own.status())
    conflict = (await team.merge("bob"))["error"]
    assert (conflict["code"], conflict["facts"]["state"]) == ("not_done", "conflicted")
    assert conflict["facts"]["files"] == ["shared.txt"]
    assert (team.own.read("shared.txt"), team.own.status()) == before
    assert (await team.merge("carol"))["state"] == "landed"


async def test_undo_takes_back_what_landed_last_and_keeps_what_was_changed_since(team):
    await team.member("alice", {"a.txt": "alice\n", "b.txt": "alice\n"})
    await team.merge("alice")
    (team.own.top / "b.txt").write_text("mine\n")
    undone = await team.lead.use("team_undo_merge", member="alice")
    assert (undone["state"], [one["path"] for one in undone["kept"]]) == ("undone", ["b.txt"])
    assert not (team.own.top / "a.txt").exists()
    assert team.own.read("b.txt") == "mine\n"
    assert await team.lead.code("team_undo_merge", member="bob") == "not_found"


async def test_nothing_new_is_empty(team):
    await team.member("alice")
    assert (await team.merge("alice"))["state"] == "empty"


# ── cleaning up ──────────────────────────────────────────────────────────────────────────────────


async def test_cleanup_lands_what_was_forgotten_removes_worktrees_and_frees_the_name(team):
    at = await team.member("alice", {"new.txt": "alice\n"})
    told = await team.lead.use("team_cleanup")
    assert (told["state"], told["kept"], told["settled"]) == ("done", [], True)
    assert team.own.read("new.txt") == "alice\n"
    assert not at.exists()
    assert await team.lead.code("team_status") == "not_found"
    ended = await team.lead.use("team_status", team=told["fleet_id"])
    assert (ended["status"], [one["status"] for one in ended["members"]]) == ("complete", ["stopped"])
    assert (await team.lead.create())["fleet_id"] != told["fleet_id"]


async def test_cleanup_is_refused_while_somebody_works(team):
    await team.lead.use("team_spawn", name="alice", prompt="hold")
    await team.lead.cast.until(lambda: team.lead.cast.held == 1)
    refused = await team.lead.use("team_cleanup")
    assert refused["error"]["code"] == "conflict"
    assert "alice" in refused["error"]["message"]
    assert await team.lead.statuses() == {"alice": "working"}
    forced = await team.lead.use("team_cleanup", force=True)
    assert (forced["state"], forced["settled"]) == ("done", True)


async def test_cleanup_is_refused_where_work_conflicts_and_by_force_keeps_it(team):
    await team.member("alice", {"shared.txt": LINES.replace("line 2\n", "alice\n")})
    await team.member("bob", {"shared.txt": LINES.replace("line 2\n", "bob\n")})
    refused = await team.lead.use("team_cleanup")
    assert (refused["error"]["code"], refused["error"]["facts"]["members"]) == ("not_done", ["bob"])
    assert await team.lead.statuses() == {"alice": "idle", "bob": "idle"}
    forced = await team.lead.use("team_cleanup", force=True)
    (kept,) = forced["kept"]
    assert kept["member"] == "bob"
    assert kept["branch"] in team.own.git("branch", "--list", "--format=%(refname:short)")
    assert "+bob" in team.own.git("show", kept["branch"])
    assert team.own.git("rev-parse", kept["ref"])


async def test_38_uncommitted_work_stands_in_the_way_until_it_is_acknowledged_and_stays_in_a_snapshot(team):
    at = await team.member("alice", {"loose.txt": "alice\n"}, commits=False)
    refused = await team.lead.use("team_cleanup")
    assert (refused["error"]["code"], refused["error"]["facts"]["members"]) == ("not_done", ["alice"])
    told = await team.lead.use("team_cleanup", acknowledge_uncommitted=True)
    (kept,) = told["kept"]
    assert (kept["member"], at.exists()) == ("alice", False)
    assert team.own.git("show", f"{kept['ref']}:loose.txt") == "alice"
    assert not (team.own.top / "loose.txt").exists()


async def test_what_was_taken_back_is_not_landed_again(team):
    await team.member("alice", {"new.txt": "alice\n"})
    await team.merge("alice")
    await team.lead.use("team_undo_merge", member="alice")
    refused = await team.lead.use("team_cleanup")
    assert refused["error"]["facts"]["members"] == ["alice"]
    forced = await team.lead.use("team_cleanup", force=True)
    assert [(one["member"], one["why"]) for one in forced["kept"]] == [("alice", "its merge was undone")]
    assert not (team.own.top / "new.txt").exists()


async def test_empty_team_is_cleaned_up(team):
    told = await team.lead.use("team_cleanup")
    assert (told["state"], told["kept"], told["settled"]) == ("done", [], True)

"""What a lead does with its team, through MCP's own client: the numbered cases of what Ensemble's users met.

Here are 1 to 8, 10 to 12, 14 and 15; on real git and the real OpenCode `e2e/test_teams.py` has the rest. Where ours
differ: the operator may lead several teams at once (3), for it can say which one it means.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.hosts.scripted.host import BUILD
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.ids import SessionId
from muster.surfaces.toolkits.mesh import MESH
from muster.surfaces.toolkits.team import TEAM
from unit.git.repositories import repository
from unit.reconcilers.cast import Cast
from unit.stage import Clock, Stage, at_work, contents, hub, refused
from unit.surfaces.doors import web
from unit.surfaces.test_mcp import session

pytestmark = pytest.mark.anyio

PERSONAS = (BUILD, *(replace(BUILD, name=name, edits=False) for name in ("plan", "explore")))
SAID = {
    "never": Reply(error="no valid key", final=True, steps=0, tokens=0),
    "break": Reply(error="no credit left", final=True),
}


@dataclass(kw_only=True)
class Lead:
    """Whoever calls `team_create`: the operator, through MCP."""

    stage: Stage
    cast: Cast
    client: Client
    host: ScriptedHost
    url: str

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, or the error that it carries."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    async def code(self, tool: str, **arguments: Any) -> str:
        return (await self.use(tool, **arguments))["error"]["code"]

    async def create(self, name: str = "demo") -> dict[str, Any]:
        return await self.use("team_create", name=name, project=str(self.stage.project))

    async def statuses(self) -> dict[str, str]:
        return {member["name"]: member["status"] for member in (await self.use("team_status"))["members"]}

    async def rest(self) -> dict[str, str]:
        """How the members stand once nobody is at work."""
        team = await self.use("team_status")
        await self.stage.settled(team["fleet_id"])
        return await self.statuses()


@pytest.fixture
async def lead(tmp_path, clock: Clock) -> AsyncIterator[Lead]:
    async with leading(tmp_path, clock) as lead:
        yield lead


@asynccontextmanager
async def leading(tmp_path, clock: Clock) -> AsyncIterator[Lead]:
    cast = Cast()

    async def play(wish: TurnWish) -> Reply:
        prompt = wish.parts[-1]
        return SAID[prompt] if prompt in SAID else await cast.play(wish)

    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(ScriptedHost(play, personas=PERSONAS, models=("a/known",)))
        stage = await stack.enter_async_context(hub(tmp_path, host, clock))
        url = await stack.enter_async_context(web(stage, {MESH.name: MESH, TEAM.name: TEAM}))
        client = await stack.enter_async_context(session(url, stage.keyring.operator(), "?toolkits=mesh,team"))
        await stack.enter_async_context(at_work(stage))
        yield Lead(stage=stage, cast=cast, client=client, host=host, url=url)


# ── creating: 1 to 4 ─────────────────────────────────────────────────────────────────────────────


async def test_1_created_team_is_active_and_waits_for_its_lead(lead):
    created = await lead.create()
    assert created["team"] == "demo"
    told = await lead.use("team_status")
    assert told == {
        "team": "demo",
        "fleet_id": created["fleet_id"],
        "status": "running",
        "members": [],
        "tasks": {},
        "failed_spawns": [],
    }


@pytest.mark.parametrize("name", ["", "a" * 65, "Bad_Name", "-x", "x-", "lead", "operator"])
async def test_2_name_against_the_rule_is_refused_and_nothing_is_stored(lead, name):
    before = contents(lead.stage.path)
    assert await lead.code("team_create", name=name, project=str(lead.stage.project)) == "bad_value"
    assert contents(lead.stage.path) == before


async def test_3_conversation_that_leads_a_team_is_refused_another_by_the_name_of_the_first(lead):
    conversation = OPERATOR.leading(SessionId("ses_1"), str(lead.stage.project))
    await lead.stage.engine.execute(
        lead.stage.engine.catalog["lead.see"],
        SYSTEM,
        session="ses_1",
        directory=str(lead.stage.project),
        bridge="b",
    )
    await lead.stage.call("team.create", conversation, name="a")
    with refused("conflict") as refusal:
        await lead.stage.call("team.create", conversation, name="b")
    assert "leads team a already" in refusal.value.message


async def test_active_name_is_taken_and_which_team_is_meant_must_be_said_where_several_are(lead):
    first = await lead.create("a")
    assert (await lead.create("a"))["error"]["code"] == "conflict"
    await lead.create("b")
    unclear = await lead.use("team_status")
    assert unclear["error"]["code"] == "conflict"
    assert "a (" in unclear["error"]["message"]
    assert (await lead.use("team_status", team="b"))["team"] == "b"
    assert (await lead.use("team_status", team=first["fleet_id"]))["team"] == "a"
    assert await lead.code("team_status", team="c") == "not_found"


async def test_4_name_of_a_team_that_has_ended_is_free(lead):
    first = await lead.create()
    await lead.use("cancel_fleet", fleet_id=first["fleet_id"])
    assert (await lead.create())["fleet_id"] != first["fleet_id"]


# ── spawning: 5 to 7, 10 to 12, 14, 15 ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["lead", "LEAD", "Operator", "muster", "a_b", "", "x" * 65])
async def test_5_reserved_and_unfit_names_are_refused(lead, name):
    await lead.create()
    assert await lead.code("team_spawn", name=name, prompt="go") == "bad_value"
    assert await lead.statuses() == {}


async def test_6_name_of_a_member_in_any_state_is_taken(lead):
    await lead.create()
    await lead.use("team_spawn", name="alice", prompt="go")
    await lead.rest()
    assert await lead.code("team_spawn", name="alice", prompt="go") == "bad_value"
    await lead.use("team_shutdown", member="alice")
    assert await lead.code("team_spawn", name="alice", prompt="go") == "bad_value"
    assert len(lead.host.sessions) == 1


async def test_7_name_and_prompt_are_enough(lead):
    await lead.create()
    spawned = await lead.use("team_spawn", name="alice", prompt="go")
    assert (spawned["member"], spawned["agent"], spawned["settled"]) == ("alice", "build", True)
    assert await lead.rest() == {"alice": "idle"}


async def test_quiet_team_runs_and_is_neither_complete_nor_failed(lead):
    team = await lead.create()
    await lead.use("team_spawn", name="good", prompt="go")
    await lead.use("team_spawn", name="bad", prompt="break")
    assert await lead.rest() == {"good": "idle", "bad": "failed"}
    waited = await lead.use("wait_fleet", fleet_id=team["fleet_id"])
    assert (waited["settled"], waited["status"], waited["complete"]) == (True, "running", False)
    assert [fleet["status"] for fleet in (await lead.use("list_fleets"))["fleets"]] == ["running"]


@pytest.mark.parametrize("persona", ["plan", "explore"])
async def test_10_read_only_personas_get_no_right_to_change_anything(lead, persona):
    await lead.create()
    await lead.use("team_spawn", name="alice", prompt="look", agent=persona)
    await lead.use("team_spawn", name="bob", prompt="do")
    assert [session.wish.read_only for session in lead.host.sessions] == [True, False]


async def test_11_project_without_git_says_that_the_directory_is_shared(lead):
    created = await lead.create()
    assert any("no git repository" in note for note in created["notes"])
    spawned = await lead.use("team_spawn", name="alice", prompt="go")
    assert (spawned["directory"], spawned["branch"]) == (str(lead.stage.project), None)
    assert "no git repository" in spawned["notes"][0]
    assert await lead.code("team_spawn", name="bob", prompt="go", worktree=True) == "bad_value"


async def test_8_member_works_in_a_worktree_of_its_own_on_its_own_branch(tmp_path, clock):
    own = repository(tmp_path, {"a": "1"})
    async with leading(tmp_path, clock) as lead:
        assert (await lead.create())["notes"] == []
        spawned = await lead.use("team_spawn", name="alice", prompt="go")
        looking = await lead.use("team_spawn", name="bob", prompt="look", agent="plan")
        await lead.rest()
        (alice, bob) = (await lead.use("team_status"))["members"]
    assert alice["branch"] == spawned["branch"] != "main"
    assert alice["worktree"] == spawned["directory"] == lead.host.sessions[0].wish.directory
    assert own.git("rev-parse", "--abbrev-ref", "HEAD", at=Path(alice["worktree"])).strip() == alice["branch"]
    assert (bob["worktree"], bob["branch"], looking["directory"]) == (None, None, str(own.top))


async def test_12_nothing_is_left_of_the_worktree_of_a_spawn_that_was_undone(tmp_path, clock):
    own = repository(tmp_path, {"a": "1"})
    async with leading(tmp_path, clock) as lead:
        await lead.create()
        assert await lead.code("team_spawn", name="alice", prompt="go", model="no/such") == "not_done"
        await lead.stage.until("worktree.removed")
        assert own.git("worktree", "list").splitlines()[1:] == []
        again = await lead.use("team_spawn", name="alice", prompt="go")
        assert again["settled"]
        assert Path(again["directory"]).is_dir()


async def test_12_unknown_persona_and_malformed_model_are_refused_at_once(lead):
    await lead.create()
    before = contents(lead.stage.path)
    assert await lead.code("team_spawn", name="alice", prompt="go", agent="biuld") == "unknown_persona"
    assert await lead.code("team_spawn", name="alice", prompt="go", model="gpt") == "bad_value"
    assert contents(lead.stage.path) == before


async def test_12_spawn_that_cannot_start_is_undone_and_told_with_the_reason(lead):
    team = await lead.create()
    failed = await lead.use("team_spawn", name="alice", prompt="go", model="no/such")
    assert failed["error"]["code"] == "not_done"
    assert "no model no/such" in failed["error"]["message"]
    assert await lead.statuses() == {}
    assert (await lead.use("collect_results", fleet_id=team["fleet_id"]))["results"] == []
    assert (await lead.use("team_spawn", name="alice", prompt="go", model="a/known"))["member"] == "alice"
    assert await lead.rest() == {"alice": "idle"}
    assert (await lead.use("team_status"))["failed_spawns"] == []


async def test_12_spawn_whose_first_request_fails_is_undone_too(lead):
    await lead.create()
    await lead.use("team_spawn", name="alice", prompt="never")
    await lead.stage.until("agent.undone", why="no valid key")
    told = await lead.use("team_status")
    assert told["members"] == []
    assert [(one["name"], one["why"]) for one in told["failed_spawns"]] == [("alice", "no valid key")]


async def test_14_third_failure_in_a_row_halts_spawning_until_it_has_cooled_down(lead):
    await lead.create()
    doomed = {"prompt": "go", "model": "no/such"}
    for name in ("a", "b", "c"):
        assert await lead.code("team_spawn", name=name, **doomed) == "not_done"
    halted = await lead.use("team_spawn", name="d", prompt="go")
    assert halted["error"]["code"] == "unavailable"
    assert "no model no/such" in halted["error"]["message"]
    assert await lead.code("team_spawn", name="d", **doomed, force=True) == "not_done"
    assert await lead.code("team_spawn", name="e", prompt="go") == "unavailable"
    lead.stage.clock.advance(seconds=61)
    assert (await lead.use("team_spawn", name="e", prompt="go"))["member"] == "e"
    await lead.rest()
    assert (await lead.use("team_spawn", name="f", prompt="go"))["member"] == "f"


async def test_15_members_are_offered_none_of_it_and_refused(lead):
    await lead.create()
    spawned = await lead.use("team_spawn", name="alice", prompt="hold")
    token = lead.stage.keyring.agent(spawned["agent_id"])
    async with session(lead.url, token, "?toolkits=mesh,team") as member:
        offered = {tool.name for tool in (await member.list_tools()).tools}
        assert not {name for name in offered if name.startswith("team_")}
        for name in TEAM.named():
            refusal = await member.call_tool(name, {})
            assert refusal.structured_content["error"]["code"] == "denied"


async def test_mesh_neither_attaches_to_a_team_nor_writes_to_its_lead(lead):
    team = await lead.create()
    await lead.use("team_spawn", name="alice", prompt="go")
    await lead.rest()
    attached = await lead.use("attach_agent", fleet_id=team["fleet_id"], role="x", prompt="go")
    assert attached["error"]["code"] == "conflict"
    assert "team_spawn" in attached["error"]["message"] or "team.spawn" in attached["error"]["message"]


# ── shutting down ────────────────────────────────────────────────────────────────────────────────


async def test_33_graceful_shutdown_lets_the_turn_end(lead):
    await lead.create()
    await lead.use("team_spawn", name="alice", prompt="hold on")
    await lead.cast.until(lambda: lead.cast.held == 1)
    async with at_once(lead, "team_shutdown", member="alice") as told:
        await lead.stage.until("agent.dismissed")
        assert await lead.statuses() == {"alice": "working"}
        lead.cast.gate.set()
    assert (told["status"], told["settled"]) == ("stopped", True)
    run = (await lead.stage.events("run.ended"))[-1]
    assert run["body"]["outcome"] == "done"


async def test_33_forced_shutdown_of_a_busy_member_leaves_it_stopped(lead):
    team = await lead.create()
    await lead.use("team_spawn", name="alice", prompt="hold on")
    await lead.cast.until(lambda: lead.cast.held == 1)
    told = await lead.use("team_shutdown", member="alice", force=True)
    assert (told["status"], told["settled"]) == ("stopped", True)
    assert lead.cast.held == 0
    assert (await lead.use("team_status"))["status"] == "running"
    again = await lead.use("team_shutdown", member="alice")
    assert (again["status"], again["settled"]) == ("stopped", True)
    results = await lead.use("collect_results", fleet_id=team["fleet_id"])
    assert [result["status"] for result in results["results"]] == ["stopped"]


async def test_idle_member_is_stopped_at_once_and_gets_no_more_messages(lead):
    team = await lead.create()
    await lead.use("team_spawn", name="alice", prompt="go")
    await lead.use("team_spawn", name="bob", prompt="hold")
    await lead.cast.until(lambda: lead.cast.held == 1)
    await lead.use("team_shutdown", member="alice")
    letter = {"fleet_id": team["fleet_id"], "type": "handoff", "payload": "hello"}
    assert await lead.code("send_message", to_agent_id="alice", **letter) == "conflict"
    everybody = await lead.use("send_message", to_agent_id="*", **letter)
    assert len(everybody["recipients"]) == 1
    lead.cast.gate.set()
    assert await lead.rest() == {"alice": "stopped", "bob": "idle"}


async def test_message_that_waited_for_a_member_that_is_shut_down_is_given_back_to_its_sender(lead):
    team = await lead.create()
    await lead.use("team_spawn", name="alice", prompt="hold")
    await lead.cast.until(lambda: lead.cast.held == 1)
    sent = await lead.use(
        "send_message", to_agent_id="alice", fleet_id=team["fleet_id"], type="handoff", payload="later"
    )
    await lead.use("team_shutdown", member="alice", force=True)
    told = await lead.use("get_receipts", message_id=sent["message_id"])
    assert [(one["action"], one["note"]) for one in told["receipts"]] == [("undeliverable", "alice was shut down")]


@asynccontextmanager
async def at_once(lead: Lead, tool: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
    """The tool is at work while the block runs; its answer stands in what this gives, after it."""
    answer: dict[str, Any] = {}

    async def call() -> None:
        answer.update(await lead.use(tool, **arguments))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        yield answer

"""The bridge plugin inside the real OpenCode."""

import json
from dataclasses import replace

import anyio
import psutil
import pytest

from contract.hosts.bridges import FakeHub
from contract.hosts.stages import opencode_stage, server_wish, serving, settled
from contract.hosts.test_hosts import ENDED, session_wish, turn_wish
from muster.hosts.contract import Standing
from muster.model.ids import RunId
from muster.rehearsal import Kind

pytestmark = pytest.mark.anyio

CALLS = """
agents:
  - steps:
      - call: {tool: spawn_fleet, arguments: {task: look around}}
      - say: "It said: ${spawn_fleet}"
"""
SHELL = """
agents:
  - steps:
      - call: {tool: bash, arguments: {command: "env | sort"}}
      - say: "${bash}"
"""
BACKGROUND = """
agents:
  - steps:
      - call: {tool: bash, arguments: {command: "sleep 300 > /dev/null 2>&1 & echo $!"}}
      - say: "${bash}"
"""
SILENT = "agents: [{steps: [{say: hello}]}]"


async def answered(connection, directory, *, tools=(), run="run_1"):
    """Play one turn to its end in a session that is offered some tools of ours."""
    wish = replace(session_wish(directory, run=run), tools=tools)
    turn = turn_wish(await connection.open_session(wish), directory, "go", turn=f"trn_{run}")
    await connection.send(turn)
    return turn, await settled(connection, turn, *ENDED)


def offered(rehearsal) -> set[str]:
    return {tool for request in rehearsal.requests if request.kind is Kind.CHAT for tool in request.tools}


async def test_tool_call_reaches_the_hub_with_the_identity_of_its_caller(tmp_path, directory):
    hub = FakeHub()
    async with (
        opencode_stage(tmp_path / "home", CALLS) as stage,
        hub.serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        turn, seen = await answered(served.connection, directory, tools=("spawn_fleet",))
        lines = await served.connection.transcript(turn.session, turn.directory)
    assert (seen.standing, seen.output, stage.rehearsal.failures) == (Standing.ANSWERED, "It said: started", ())
    assert hub.bodies("/bridge/hello") == [{"server": served.wish.id, "directory": str(directory)}]
    [call] = hub.bodies("/bridge/call")
    message, named, _ = call.pop("message"), call.pop("call"), call.pop("bridge")
    assert call == {
        "tool": "spawn_fleet",
        "arguments": {"task": "look around"},
        "session": turn.session,
        "agent": "build",
        "directory": str(directory),
        "request_id": f"{turn.session}:{message}:{named}",
    }
    assert {token for _, token, _ in hub.seen} == {f"Bearer {served.wish.token}"}
    assert [(line.tool, line.status, line.text) for line in lines if line.tool] == [
        ("spawn_fleet", "completed", "started")
    ]


async def test_tools_are_offered_to_the_sessions_that_are_let_in_and_to_no_other(tmp_path, directory):
    async with (
        opencode_stage(tmp_path / "home", SILENT) as stage,
        FakeHub().serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        await answered(served.connection, directory)
        assert offered(stage.rehearsal) & {"spawn_fleet", "wait_fleet"} == set()
        await answered(served.connection, directory, tools=("spawn_fleet",), run="run_2")
    assert offered(stage.rehearsal) & {"spawn_fleet", "wait_fleet"} == {"spawn_fleet"}


async def test_refusal_of_the_hub_is_an_error_of_the_tool(tmp_path, directory):
    hub = FakeHub(answer={"output": "There is no such task.", "title": "", "error": True})
    async with (
        opencode_stage(tmp_path / "home", CALLS.replace("${spawn_fleet}", "sorry")) as stage,
        hub.serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        turn, _ = await answered(served.connection, directory, tools=("spawn_fleet",))
        lines = await served.connection.transcript(turn.session, turn.directory)
    assert [(line.status, line.text) for line in lines if line.tool] == [("error", "There is no such task.")]


async def test_tool_call_waits_for_a_hub_that_was_away(tmp_path, directory):
    hub, hub_file = FakeHub(), server_wish(tmp_path / "server").hub_file
    async with (
        opencode_stage(tmp_path / "home", CALLS) as stage,
        serving(stage, tmp_path / "server") as served,
    ):
        wish = replace(session_wish(directory), tools=("spawn_fleet",))
        async with hub.serve(hub_file):
            turn = turn_wish(await served.connection.open_session(wish), directory, "go")
        await served.connection.send(turn)
        with anyio.fail_after(30):
            while (seen := await served.connection.look(turn)).tool != "spawn_fleet":
                await anyio.sleep(0.05)
        assert seen.standing is Standing.OPEN
        async with hub.serve(hub_file):
            seen = await settled(served.connection, turn, *ENDED)
    assert seen.output == "It said: started"


async def test_shell_of_an_agent_knows_the_agent_and_no_secret_of_the_server(tmp_path, directory):
    hub = FakeHub(env={"MUSTER_RUN": "run_1", "MUSTER_AGENT_ID": "agt_1", "MUSTER_AGENT_TOKEN": "the agent's"})
    async with (
        opencode_stage(tmp_path / "home", SHELL, MUSTER_TOKEN="the operator's", MUSTER_HOME="/hub") as stage,
        hub.serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        turn, seen = await answered(served.connection, directory)
    shell = dict(line.partition("=")[::2] for line in seen.output.splitlines())
    assert hub.bodies("/bridge/env") == [{"session": turn.session}]
    assert {name: value for name, value in shell.items() if name.startswith("MUSTER_") and value} == {
        "MUSTER_SERVER": served.wish.id,
        "MUSTER_STATE": str(tmp_path / "home"),
        "MUSTER_RUN": "run_1",
        "MUSTER_AGENT_ID": "agt_1",
        "MUSTER_AGENT_TOKEN": "the agent's",
    }
    assert shell["OPENCODE_SERVER_PASSWORD"] == shell["OPENCODE_DB"] == ""
    assert json.loads(shell["OPENCODE_CONFIG_CONTENT"]).keys() >= {"provider", "model"}
    assert "plugin" not in json.loads(shell["OPENCODE_CONFIG_CONTENT"])
    assert shell["TMPDIR"] == str(served.wish.folder / "tmp")


async def test_work_goes_on_without_a_hub(tmp_path, directory):
    async with (
        opencode_stage(tmp_path / "home", SHELL.replace("${bash}", "done")) as stage,
        serving(stage, tmp_path / "server") as served,
    ):
        _, seen = await answered(served.connection, directory)
    assert (seen.standing, seen.output) == (Standing.ANSWERED, "done")


async def test_agent_is_told_who_it_is_on_every_model_call_and_the_hub_is_asked_once(tmp_path, directory):
    hub, hub_file = FakeHub(line="[muster] You are ada."), server_wish(tmp_path / "server").hub_file
    async with (
        opencode_stage(tmp_path / "home", "agents: [{steps: [], then: {say: hello}}]") as stage,
        serving(stage, tmp_path / "server") as served,
    ):
        async with hub.serve(hub_file):
            first, _ = await answered(served.connection, directory)
            asked = len(hub.bodies("/bridge/standing"))
            second = turn_wish(first.session, directory, "go on", turn="trn_2")
            await served.connection.send(second)
            await settled(served.connection, second, *ENDED)
            assert len(hub.bodies("/bridge/standing")) == asked
        third = turn_wish(first.session, directory, "and on", turn="trn_3")  # without a hub
        await served.connection.send(third)
        await settled(served.connection, third, *ENDED)
    chats = [request for request in stage.rehearsal.requests if request.kind is Kind.CHAT]
    assert [any(hub.line in m.text for m in chat.messages if m.role == "system") for chat in chats] == [True] * 3


async def test_what_a_run_left_behind_ends_with_the_run_and_the_server_lives_on(tmp_path, directory):
    run = RunId(f"run_of_{server_wish(tmp_path).id}")
    hub = FakeHub(env={"MUSTER_RUN": run})
    async with (
        opencode_stage(tmp_path / "home", BACKGROUND) as stage,
        hub.serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        _, seen = await answered(served.connection, directory)
        pid = int(seen.output)
        assert _is_running(pid)
        with anyio.fail_after(2):
            await stage.host.end_run(run)
        assert not _is_running(pid)
        assert await served.connection.healthy()


async def test_stop_ends_what_an_agent_left_in_the_background(tmp_path, directory):
    async with opencode_stage(tmp_path / "home", BACKGROUND) as stage, serving(stage, tmp_path / "server") as served:
        _, seen = await answered(served.connection, directory)
        pid = int(seen.output)
        assert _is_running(pid)
        with anyio.fail_after(2):
            await stage.host.stop(served.wish.id)
        assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

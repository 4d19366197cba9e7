"""The bridge speaks for the sessions that were placed on its server, and for nobody else."""

import json
from typing import Any

import httpx2
import pytest

from muster.commands import runs as run_commands
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.surfaces.tokens import Claim
from muster.surfaces.toolkits.mesh import MESH
from unit.stage import Stage, contents, server_rows
from unit.surfaces.doors import caller, code

pytestmark = pytest.mark.anyio


class Placed:
    """Two agents on two servers, each in a session."""

    def __init__(self, stage: Stage, spawned: dict[str, Any], servers: list[str]) -> None:
        self.stage = stage
        self.fleet = spawned["fleet_id"]
        self.agents = spawned["agent_ids"]
        self.servers = servers

    def bridge(self, url: str, index: int) -> httpx2.AsyncClient:
        return caller(url, self.stage.keyring.server(self.servers[index], 1))


@pytest.fixture
async def placed(stage) -> Placed:
    spawned = await stage.spawn("a", "b")
    apart = Sharding(agents=1)
    await stage.engine.execute(run_commands.admit, SYSTEM, ceilings=Ceilings(), sharding=apart, host="scripted")
    for index, agent in enumerate(spawned["agent_ids"]):
        seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=agent)
        await stage.engine.execute(run_commands.start, SYSTEM, run=seat.run, session=f"ses_{index}")
    return Placed(stage, spawned, [server.id for server in await server_rows(stage)])


async def called(bridge: httpx2.AsyncClient, session: str, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
    answer = await bridge.post("/bridge/call", json={"session": session, "tool": tool, "arguments": arguments})
    told = answer.json()
    return told["error"], json.loads(told["output"])


async def test_tool_call_is_that_of_the_agent_in_the_session(url, placed):
    async with placed.bridge(url, 1) as bridge:
        error, me = await called(bridge, "ses_1", "whoami")
    assert (error, me["agent_id"], me["fleet_id"]) == (False, placed.agents[1], placed.fleet)


async def test_session_that_is_not_on_the_server_is_refused(url, placed, stage):
    before = contents(stage.path)
    async with placed.bridge(url, 0) as bridge:
        for session in ("ses_1", "ses_9", "", "ses_0 ", "%", placed.agents[0]):
            error, told = await called(bridge, session, "whoami")
            assert (session, error, told["error"]["code"]) == (session, True, "unauthenticated")
            assert code(await bridge.post("/bridge/env", json={"session": session})) == (401, "unauthenticated")
    assert contents(stage.path) == before


async def test_agent_in_its_session_cannot_name_another_or_call_what_is_not_offered(url, placed):
    async with placed.bridge(url, 0) as bridge:
        for tool, arguments, expected in (
            ("whoami", {"agent_id": placed.agents[1]}, "denied"),
            ("spawn_fleet", {}, "denied"),
            ("cancel_agent", {"agent_id": placed.agents[1]}, "denied"),
            ("fleet_status", {"fleet_id": "flt_none"}, "not_found"),
            ("fleet_status", {}, "missing_field"),
            ("fleet_stat", {}, "not_found"),
        ):
            error, told = await called(bridge, "ses_0", tool, **arguments)
            assert (tool, error, told["error"]["code"]) == (tool, True, expected)


async def test_session_of_an_agent_that_was_cancelled_is_refused(url, placed, stage):
    async with placed.bridge(url, 0) as bridge:
        await stage.engine.execute(stage.engine.catalog["agent.cancel"], OPERATOR, agent_id=placed.agents[0])
        error, told = await called(bridge, "ses_0", "whoami")
    assert (error, told["error"]["code"]) == (True, "unauthenticated")


async def test_shell_of_an_agent_is_told_who_it_is_and_nothing_of_the_operator(url, placed, stage):
    async with placed.bridge(url, 0) as bridge:
        env = (await bridge.post("/bridge/env", json={"session": "ses_0"})).json()["env"]
    assert env["MUSTER_AGENT_ID"] == placed.agents[0]
    claim = stage.keyring.read(env["MUSTER_AGENT_TOKEN"])
    assert claim == Claim(kind=claim.kind.AGENT, id=placed.agents[0], generation=0)
    assert stage.keyring.operator() not in env.values()


async def test_shell_of_a_sub_agent_is_told_the_run_alone(url, placed):
    async with placed.bridge(url, 0) as bridge:
        env = (await bridge.post("/bridge/env", json={"session": "ses_0", "kind": "sub-agent"})).json()["env"]
    assert env.keys() == {"MUSTER_RUN"}


async def test_only_host_servers_speak_for_agents(url, placed, stage):
    for token in (stage.keyring.operator(), stage.keyring.agent(placed.agents[0])):
        async with caller(url, token) as http:
            assert code(await http.post("/bridge/hello")) == (403, "denied")
            assert code(await http.post("/bridge/env", json={"session": "ses_0"})) == (403, "denied")
    async with caller(url, stage.keyring.agent(placed.agents[0])) as http:
        assert code(await http.get("/bridge/standing", params={"session": "ses_0"})) == (403, "denied")
        error, told = await called(http, "ses_0", "whoami")
        assert (error, told["error"]["code"]) == (True, "denied")


async def test_session_of_an_agent_carries_one_short_line_and_keeps_the_preamble(url, placed):
    async with placed.bridge(url, 0) as bridge:
        told = (await bridge.get("/bridge/standing", params={"session": "ses_0"})).json()
        assert code(await bridge.get("/bridge/standing", params={"session": "ses_1"})) == (401, "unauthenticated")
    assert told["line"].startswith(f"[muster] You are worker ({placed.agents[0]}) in fleet ")
    assert len(told["line"].encode()) <= 130
    assert f"[muster] You are worker ({placed.agents[0]})" in told["keep"]
    assert "Your last message is your result" in told["keep"]


async def test_host_server_has_nothing_but_the_bridge(url, placed):
    async with placed.bridge(url, 0) as bridge:
        for name in ("hub.ping", "fleet.list", "actor.whoami", "run.finish", "fleet.spawn"):
            assert (name, code(await bridge.post(f"/api/v1/{name}", json={}))) == (name, (403, "denied"))
        assert code(await bridge.get("/api/v1/events")) == (403, "denied")


async def test_hello_names_the_members_tools_in_at_most_4_kilobytes(url, placed):
    async with placed.bridge(url, 0) as bridge:
        tools = (await bridge.post("/bridge/hello", json={"pid": 1, "later": "field"})).json()["tools"]
    assert {tool["name"] for tool in tools} == {tool.name for tool in MESH.bridged_part()}
    assert "subscribe_inbox" not in {tool["name"] for tool in tools}  # messages come there by themselves
    assert len(json.dumps(tools).encode()) <= 4096


async def test_message_that_is_malformed_is_refused(url, placed):
    async with placed.bridge(url, 0) as bridge:
        for body in (
            b"{",
            b"[]",
            b'{"session": 5}',
            b'{"session": "ses_0", "arguments": []}',
            b'{"session": "\\ud800"}',
        ):
            assert (body, code(await bridge.post("/bridge/call", content=body))) == (body, (400, "malformed_json"))
        error, told = await called(bridge, "ses_0", "fleet_status", fleet_id="\0")
        assert (error, told["error"]["code"]) == (True, "nul_character")

"""MCP for any client: protocol versions, who is offered what, errors as results, signs of life."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from muster.hosts.scripted import ScriptedHost
from muster.surfaces import mcp as mcp_module
from muster.surfaces.toolkits import Tool, Toolkit
from muster.surfaces.toolkits.mesh import MESH
from muster.views import hub as views_of_hub
from unit.stage import WITHIN_SECONDS, Stage, hub
from unit.surfaces import mishaps
from unit.surfaces.doors import caller, code, web

pytestmark = pytest.mark.anyio

MEMBERS = {
    "register_capability",
    "route_work",
    "fleet_status",
    "collect_results",
    "whoami",
    "send_message",
    "get_inbox",
    "subscribe_inbox",
    "ack_message",
    "receipt",
    "get_receipts",
    "open_ratification",
    "cast_vote",
    "tally_ratification",
}


@asynccontextmanager
async def session(url: str, token: str, query: str = "", **options: object) -> AsyncIterator[Client]:
    async with (
        caller(url, token) as http,
        Client(streamable_http_client(f"{url}/mcp{query}", http_client=http), **options) as client,
    ):
        yield client


@pytest.fixture
async def client(url: str, stage: Stage) -> AsyncIterator[Client]:
    async with session(url, stage.keyring.operator()) as client:
        yield client


async def test_every_version_that_was_promised_is_spoken(operator):
    versions = ["2025-03-26", "2025-06-18", "2025-11-25"]
    assert [await negotiated(operator, version) for version in versions] == versions


async def negotiated(operator: httpx2.AsyncClient, version: str) -> str:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
    }
    answer = await operator.post("/mcp", json=hello, headers={"accept": "application/json, text/event-stream"})
    data = answer.text.partition("data: ")[2] or answer.text
    return json.loads(data)["result"]["protocolVersion"]


async def test_bug_is_a_tools_result_like_every_error(tmp_path, clock, monkeypatch, caplog):
    tool = Tool(name="fail", verb=mishaps.fail)
    async with (
        ScriptedHost({}) as host,
        hub(tmp_path, host, clock, mishaps) as stage,
        web(stage, {"mesh": MESH, "mishaps": Toolkit("mishaps", [tool])}) as url,
        session(url, stage.keyring.operator(), "?toolkits=mesh,mishaps") as client,
    ):
        for how, (_, _, expected) in mishaps.FAILURES.items():
            told = await client.call_tool("fail", {"how": how})
            assert (how, told.is_error, told.structured_content["error"]["code"]) == (how, True, expected)


async def test_tools_of_every_toolkit_that_was_asked_for_can_be_called(tmp_path, clock):
    second = Toolkit("second", [Tool(name="knock", verb=views_of_hub.ping)])
    async with (
        ScriptedHost({}) as host,
        hub(tmp_path, host, clock) as stage,
        web(stage, {"mesh": MESH, "second": second}) as url,
        session(url, stage.keyring.operator(), "?toolkits=mesh,second") as client,
    ):
        assert {"knock", "spawn_fleet"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("knock", {})).structured_content["ok"] is True
        assert (await client.call_tool("ping", {})).structured_content["ok"] is True
        unknown = await client.call_tool("knok", {})
        assert "knock" in unknown.structured_content["error"]["next"]


async def test_newest_version_is_spoken(client):
    assert client.protocol_version == "2026-07-28"


async def test_operator_is_offered_every_tool(client):
    names = {tool.name for tool in (await client.list_tools()).tools}
    assert {"spawn_fleet", "wait_fleet", "cancel_agent", *MEMBERS} <= names


async def test_member_is_offered_its_part_in_at_most_4_kilobytes(url, stage):
    spawned = await stage.spawn("a")
    async with session(url, stage.keyring.agent(spawned["agent_ids"][0])) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == MEMBERS
    told = [tool.model_dump(mode="json", exclude_none=True, by_alias=True) for tool in tools]
    assert len(json.dumps(told).encode()) <= 4096
    assert next(tool.input_schema["properties"] for tool in tools if tool.name == "whoami") == {}


async def test_member_that_calls_what_it_was_not_offered_is_denied(url, stage):
    spawned = await stage.spawn("a")
    async with session(url, stage.keyring.agent(spawned["agent_ids"][0])) as client:
        results = [await client.call_tool(name, {}) for name in ("spawn_fleet", "cancel_agent", "wait_fleet")]
    assert [result.structured_content["error"]["code"] for result in results] == ["denied"] * 3
    assert all(result.is_error for result in results)


async def test_member_acts_as_itself(url, stage):
    spawned = await stage.spawn("a", "b")
    own, peer = spawned["agent_ids"]
    async with session(url, stage.keyring.agent(own)) as client:
        me = (await client.call_tool("whoami", {})).structured_content
        as_peer = await client.call_tool("whoami", {"agent_id": peer})
    assert (me["agent_id"], [one["agent_id"] for one in me["peers"]]) == (own, [peer])
    assert as_peer.structured_content["error"]["code"] == "denied"


async def test_answer_is_the_same_as_structure_and_as_text(client, stage):
    spawned = await stage.spawn("a «quoted» \u2028 prompt")
    result = await client.call_tool("fleet_status", {"fleet_id": spawned["fleet_id"], "full": True})
    assert json.loads(result.content[0].text) == result.structured_content
    assert "«quoted» \\u2028" in result.content[0].text  # nothing that breaks or turns a line stands there as itself
    assert result.structured_content["agents"][0]["prompt"] == "a «quoted» \u2028 prompt"
    assert not result.is_error


REFUSED = [
    ("spawn_flet", {}, "not_found"),
    ("", {}, "not_found"),
    ("run.end", {}, "not_found"),
    ("fleet_status", {}, "missing_field"),
    ("fleet_status", {"fleet_id": "flt_none"}, "not_found"),
    ("fleet_status", {"fleet_id": 5}, "wrong_type"),
    ("fleet_status", {"fleet_id": "flt_none", "full": "false"}, "wrong_type"),
    ("fleet_status", {"fleet_id": "flt_none", "fool": True}, "unknown_field"),
    ("fleet_status", {"fleet_id": "flt\0"}, "nul_character"),
    ("spawn_fleet", {"agents": []}, "bad_value"),
    ("spawn_fleet", {"agents": [{"role": "r", "prompt": "p"}]}, "missing_field"),
]


async def test_what_is_refused_comes_as_a_result_with_the_error_in_it(client):
    results = [await client.call_tool(name, arguments) for name, arguments, _ in REFUSED]
    assert [result.structured_content["error"]["code"] for result in results] == [expected for *_, expected in REFUSED]
    assert all(result.is_error for result in results)
    assert all(json.loads(result.content[0].text) == result.structured_content for result in results)


async def test_unknown_toolkit_is_named(url, stage):
    async with session(url, stage.keyring.operator(), "?toolkits=knitting") as client:
        result = await client.call_tool("ping", {})
    assert result.structured_content["error"]["facts"]["id"] == "knitting"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_long_wait_tells_that_it_goes_on_where_a_progress_token_was_sent(url, stage, monkeypatch, mode):
    monkeypatch.setattr(mcp_module, "PROGRESS_SECONDS", 0.02)
    spawned = await stage.spawn("a")
    told, twice = [], anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        if len(told) == 2:
            twice.set()

    async def end() -> None:
        with anyio.fail_after(WITHIN_SECONDS):
            await twice.wait()
        await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"])

    async with session(url, stage.keyring.operator(), mode=mode) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        wish = {"fleet_id": spawned["fleet_id"], "timeout_seconds": 60}
        result = await client.call_tool("wait_fleet", wish, progress_callback=note)
    assert result.structured_content["settled"] is True
    assert told == sorted(told)


async def test_wait_without_a_progress_token_is_answered_too(url, stage, monkeypatch):
    monkeypatch.setattr(mcp_module, "PROGRESS_SECONDS", 0.01)
    spawned = await stage.spawn("a")
    async with session(url, stage.keyring.operator()) as client:
        wish = {"fleet_id": spawned["fleet_id"], "timeout_seconds": 0.1}
        result = await client.call_tool("wait_fleet", wish)
    assert (result.is_error, result.structured_content["settled"]) == (False, False)


async def test_request_id_makes_a_resend_safe(client, stage):
    wish = {"agents": [{"role": "r", "prompt": "p"}], "project": str(stage.project), "request_id": "once"}
    first = await client.call_tool("spawn_fleet", wish)
    again = await client.call_tool("spawn_fleet", wish)
    assert first.structured_content == again.structured_content
    assert len((await stage.call("fleet.list"))["fleets"]) == 1


async def test_client_that_goes_away_during_a_wait_leaves_the_hub_well(url, stage, monkeypatch):
    monkeypatch.setattr(mcp_module, "PROGRESS_SECONDS", 0.01)
    spawned = await stage.spawn("a")
    heard = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.set()

    async with session(url, stage.keyring.operator()) as client, anyio.create_task_group() as tasks:
        wish = {"fleet_id": spawned["fleet_id"], "timeout_seconds": 60}
        tasks.start_soon(partial(client.call_tool, "wait_fleet", wish, progress_callback=note))
        with anyio.fail_after(WITHIN_SECONDS):
            await heard.wait()
        tasks.cancel_scope.cancel()
    async with session(url, stage.keyring.operator()) as client:
        assert (await client.call_tool("ping", {})).structured_content["ok"] is True


async def test_stranger_is_refused_before_the_protocol_begins(url):
    async with caller(url) as nobody:
        assert code(await nobody.post("/mcp", json={})) == (401, "unauthenticated")


async def test_call_that_the_door_sends_again_is_done_once(operator, stage):
    call = {
        "name": "spawn_fleet",
        "arguments": {"agents": [{"role": "a", "prompt": "b"}], "project": str(stage.project)},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"accept": "application/json, text/event-stream", "x-muster-request-id": "door-1"}
    answers = [(await operator.post("/mcp", json=body, headers=headers)).text for _ in range(2)]
    assert answers[0] == answers[1]
    assert "flt_" in answers[0]


MCP_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


OWN_WORDS = {
    "2025-11-25": {},
    "2026-07-28": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    },
}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("whoami", {}),
        ("list_fleets", {"limit": 3}),
        ("list_fleets", {"limit": "3"}),
        ("list_fleets", {"limits": 3}),
        ("fleet_status", {"fleet_id": "flt_é"}),
        ("wait_fleet", {"fleet_id": "flt_1", "timeout_seconds": 0}),
        ("no_such_tool", {}),
    ],
)
async def test_call_that_goes_past_the_library_is_answered_as_the_library_would(operator, name, arguments):
    for version, own in OWN_WORDS.items():
        answers = []
        for more in ({}, {"progressToken": 1}):  # the second is the library's
            params = {"name": name, "arguments": arguments} | ({"_meta": own | more} if own | more else {})
            call = {"jsonrpc": "2.0", "id": "é", "method": "tools/call", "params": params}
            routed = {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": name}
            answer = await operator.post("/mcp", json=call, headers=MCP_HEADERS | routed)
            answers.append(json.loads(answer.text.partition("data: ")[2] or answer.text))
        plain, whole = answers
        if not own:
            whole["result"].pop("resultType", None)  # of which a peer of 2025 knows nothing
        assert plain == whole


@pytest.mark.parametrize(
    ("said", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "tools/call", "params": {"name": "ping"}}', {}, 400),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "ping"}}', {}, 202),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ping"}}', {"accept": "a/b"}, 406),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ping"}}',
            {"content-type": "a/b"},
            400,
        ),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 1}}', {}, 200),
    ],
)
async def test_call_that_is_not_quite_one_is_refused_by_the_library(operator, said, headers, status):
    answer = await operator.post(
        "/mcp", content=said, headers={"content-type": "application/json"} | MCP_HEADERS | headers
    )
    assert answer.status_code == status
    if status == 200:
        assert json.loads(answer.text.partition("data: ")[2])["error"]["code"] == -32602

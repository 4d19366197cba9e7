"""The stdio door: what an MCP client sees through it, of a served hub and of hubs that misbehave."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from muster import config, errors
from muster.surfaces import stdio
from unit.stage import Stage
from unit.surfaces.false_hub import Received, answer, break_off, break_off_inside, false_hub, raw, stream
from unit.surfaces.stdio_door import DOOR, INITIALIZE, door, impatient

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
WELCOME = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "false", "version": "0"}}


def announce(stage: Stage, url: str) -> Path:
    told = {"url": url, "token": stage.keyring.operator(), "pid": os.getpid(), "version": "0"}
    (stage.path.parent / "hub.json").write_text(json.dumps(told))
    return stage.path.parent


def reply(result: Any, id: Any = 1, **headers: str) -> Any:
    return answer({"jsonrpc": "2.0", "id": id, "result": result}, **headers)


def sse(message: dict[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"


# ── with a served hub ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_client_of_each_version_is_welcomed_and_calls_a_tool(stage, url, version):
    home = announce(stage, url)

    def talk() -> tuple[Any, Any]:
        with door(home) as client:
            welcome = client.ask("initialize", "a", **INITIALIZE | {"protocolVersion": version})
            client.send("notifications/initialized")
            return welcome, client.ask("tools/call", 2, name="ping", arguments={})

    welcome, pong = await anyio.to_thread.run_sync(talk)
    assert welcome["result"]["protocolVersion"] == version
    assert pong["result"]["structuredContent"] == await stage.call("hub.ping")


async def test_client_of_the_stateless_version_needs_no_handshake(stage, url):
    home = announce(stage, url)

    def talk() -> tuple[Any, Any]:
        with door(home) as client:
            found = client.ask("server/discover", 1, _meta=MODERN)
            return found, client.ask("tools/call", 2, name="ping", arguments={}, _meta=MODERN)

    found, pong = await anyio.to_thread.run_sync(talk)
    assert found["result"]["serverInfo" if "serverInfo" in found["result"] else "_meta"]
    assert pong["result"]["structuredContent"] == await stage.call("hub.ping")


async def test_fleet_is_spawned_where_the_client_stands(stage, url):
    home = announce(stage, url)

    def talk() -> Any:
        with door(home, cwd=stage.project) as client:
            client.hello()
            return client.ask("tools/call", name="spawn_fleet", arguments={"agents": [{"role": "a", "prompt": "b"}]})

    spawned = (await anyio.to_thread.run_sync(talk))["result"]["structuredContent"]
    status = await stage.call("fleet.status", fleet_id=spawned["fleet_id"])
    assert status["fleet"]["project"] == str(stage.project.resolve())


async def test_refusal_of_a_tool_comes_as_its_result(stage, url):
    home = announce(stage, url)

    def talk() -> Any:
        with door(home) as client:
            client.hello()
            return client.ask("tools/call", name="fleet_status", arguments={"fleet_id": "flt_none"})

    result = (await anyio.to_thread.run_sync(talk))["result"]
    assert (result["isError"], result["structuredContent"]["error"]["code"]) == (True, "not_found")


async def test_agent_with_its_token_is_offered_the_members_part_only(stage, url):
    home = announce(stage, url)
    token = stage.keyring.agent((await stage.spawn("one"))["agent_ids"][0])

    def talk() -> Any:
        with door(home, MUSTER_AGENT_TOKEN=token, MUSTER_SERVER="srv_1") as client:
            client.hello()
            return client.ask("tools/list")

    tools = {tool["name"] for tool in (await anyio.to_thread.run_sync(talk))["result"]["tools"]}
    assert "whoami" in tools
    assert "spawn_fleet" not in tools


async def test_wait_of_one_request_holds_up_no_other(stage, url):
    home = announce(stage, url)
    fleet = (await stage.spawn("one"))["fleet_id"]

    def talk() -> tuple[Any, Any]:
        with door(home) as client:
            client.hello()
            client.send("tools/call", 1, name="wait_fleet", arguments={"fleet_id": fleet, "timeout_seconds": 20})
            pong = client.ask("ping", 2)
            client.send("tools/call", 3, name="cancel_fleet", arguments={"fleet_id": fleet})
            return pong, {told["id"]: told for told in (client.receive(), client.receive())}

    pong, told = await anyio.to_thread.run_sync(talk)
    assert pong["result"] == {}
    assert {told[id]["result"]["structuredContent"]["status"] for id in (1, 3)} == {"cancelled"}


async def test_token_that_is_void_is_said_so(stage, url):
    home = announce(stage, url)

    def talk() -> Any:
        with door(home, MUSTER_TOKEN="void") as client:
            return client.ask("initialize", 1, **INITIALIZE)

    assert (await anyio.to_thread.run_sync(talk))["error"]["data"]["error"]["code"] == "unauthenticated"


# ── how messages travel ──────────────────────────────────────────────────────────────────────────


def test_bytes_of_the_client_reach_the_hub_and_its_answer_comes_back_as_they_are(tmp_path):
    line = '{ "id":1, "jsonrpc" : "2.0","method":"x", "params":{"é":"\\u00e9\\n", "n":1.50} }'.encode()
    body = b'{"jsonrpc":"2.0","id":1,"result":{"z":"\xc3\xa9","a":1.500}}'
    with false_hub(raw(body)) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        client.send_line(line)
        client.receive()
        assert hub.received[0].body == line
        assert hub.received[0].path == "/mcp?toolkits=mesh"


@pytest.mark.parametrize("name", ["timeout_seconds", "wait_seconds"])
def test_silence_is_borne_for_as_long_as_a_call_says_that_it_waits(name):
    waiting = stdio.Call(b"", {"method": "tools/call", "params": {"arguments": {name: 3600}}})
    assert waiting.seconds == stdio.SILENCE_SECONDS + 3600


def test_toolkits_are_asked_for_by_name(tmp_path):
    with false_hub(reply({})) as hub, door(tmp_path, "--toolkits", "mesh,team") as client:
        hub.announce(tmp_path)
        client.ask("ping")
        assert hub.received[0].path == "/mcp?toolkits=mesh,team"


def test_progress_comes_before_the_answer(tmp_path):
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
    done = {"jsonrpc": "2.0", "id": 1, "result": {}}
    with false_hub(stream(b": ping\r\n\r\n", sse(note), sse(note)[:20], sse(note)[20:] + sse(done))) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.send("tools/call", 1, name="x")
            assert [client.receive() for _ in range(3)] == [note, note, done]


def test_later_messages_carry_session_and_version(tmp_path):
    with false_hub(reply(WELCOME, 0, **{"Mcp-Session-Id": "one"}), answer({}, 405), reply({})) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.ask("initialize", 0, **INITIALIZE)
            client.ask("ping")
        carried = [
            (request.headers.get("mcp-session-id"), request.headers.get("mcp-protocol-version"))
            for request in hub.received
        ]
    assert carried[0] == (None, None)
    assert set(carried[1:]) == {("one", "2025-11-25")}


def test_session_that_the_hub_forgot_is_opened_again_unseen(tmp_path):
    known: list[str] = []

    def hub_with_sessions(request: Received) -> Any:
        if request.method == "GET":
            return answer({}, 405)(request)
        told = request.json
        if told["method"] == "initialize":
            known.append(f"session-{len(known)}")
            return reply(WELCOME, told["id"], **{"Mcp-Session-Id": known[-1]})(request)
        if request.headers.get("mcp-session-id") != known[-1]:
            return answer({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "?"}}, 404)(request)
        return reply({"session": known[-1]}, told.get("id"))(request)

    with false_hub(hub_with_sessions) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.hello()
            known.append("moved on")
            assert client.ask("ping")["result"] == {"session": "session-2"}
            assert client.nothing_more()
        methods = [request.json["method"] for request in hub.received if request.method == "POST"]
    assert methods[-4:] == ["ping", "initialize", "notifications/initialized", "ping"]


def test_what_the_hub_says_unasked_reaches_the_client(tmp_path):
    changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    def act(request: Received) -> Any:
        if request.method == "GET":
            return stream(sse(changed), threading.Event().wait)(request)
        return reply(WELCOME, 0, **{"Mcp-Session-Id": "one"})(request)

    with false_hub(act) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.ask("initialize", 0, **INITIALIZE)
            assert client.receive() == changed


def test_request_that_was_cut_off_is_sent_again_under_the_same_mark(tmp_path):
    with false_hub(reply({}), break_off, break_off_inside, stream(b"data: {"), reply({"ok": True})) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.ask("ping")
            assert client.ask("tools/call", name="spawn_fleet", arguments={})["result"] == {"ok": True}
    sent = [(request.body, request.headers["x-muster-request-id"]) for request in hub.received]
    assert sent[1:] == [sent[1]] * 4
    assert sent[0][1] != sent[1][1]


def test_requests_in_a_row_share_a_connection_while_the_hub_leaves_it_open(tmp_path):
    stays = reply({}, Connection="keep-alive")
    with false_hub(stays, stays, stays, reply({})) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        for _ in range(6):
            assert client.ask("ping")["result"] == {}
    peers = [received.peer for received in hub.received]
    assert [peers.index(peer) for peer in peers] == [0, 0, 0, 0, 4, 5]


def test_cancelled_request_is_neither_answered_nor_sent_again(tmp_path):
    begun, gone = threading.Event(), threading.Event()

    def act(request: Received) -> Any:
        if request.json["method"] == "slow":
            return stream(b": here\r\n\r\n", begun.set, gone.wait)(request)
        return reply({}, request.json.get("id"))(request)

    with false_hub(act) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.send("slow", "s")
            assert begun.wait(10)
            client.send("notifications/cancelled", requestId="s")
            assert client.ask("ping", 2)["result"] == {}
            assert client.hang_up() < 1
            gone.set()
            assert client.nothing_more()
    assert [request.json["method"] for request in hub.received] == ["slow", "notifications/cancelled", "ping"]


def test_line_that_is_no_message_is_refused_and_the_next_one_is_served(tmp_path):
    with false_hub(reply({})) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        for line in (b"{", b"\xff", b"[" * 100_000, b"{} {}", b"5", b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]'):
            client.send_line(line)
            told = client.receive()
            assert (told["id"], told["error"]["code"]) in ((None, -32700), (None, -32600))
        client.send_line(b"")
        assert client.ask("ping")["result"] == {}


def test_error_of_the_protocol_comes_back_under_the_requests_id(tmp_path):
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32602, "message": "no"}}
    with false_hub(answer(refusal, 400)) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        assert client.ask("tools/list", "x") == refusal | {"id": "x"}


def test_two_lines_are_never_mixed(tmp_path):
    long = {"text": "x" * 300_000}
    with false_hub(lambda request: reply(long, request.json["id"])(request)) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        for number in range(8):
            client.send("ping", number)
        assert {client.receive()["id"] for _ in range(8)} == set(range(8))


# ── when there is no hub ─────────────────────────────────────────────────────────────────────────


def test_nobody_below_a_host_server_is_the_operator(tmp_path):
    with false_hub(reply({})) as hub, door(tmp_path, MUSTER_SERVER="srv_1") as client:
        hub.announce(tmp_path)
        for method in ("initialize", "tools/call"):
            told = client.ask(method, name="ping")
            error = told["result"]["structuredContent"] if "result" in told else told["error"]["data"]
            assert error["error"]["code"] == "denied"
        assert hub.received == []


def test_hub_that_comes_back_elsewhere_is_found_and_the_request_sent_again(tmp_path):
    with false_hub(reply({"new": True})) as new:

        def move(_: Received) -> list[bytes]:
            new.announce(tmp_path)
            return []

        with false_hub(reply({}), move) as old, door(tmp_path) as client:
            old.announce(tmp_path)
            client.ask("ping")
            assert client.ask("tools/call", name="x")["result"] == {"new": True}


def test_hub_that_stays_away_is_an_error_in_the_shape_of_all_errors(tmp_path):
    with false_hub(reply({})) as hub, door(tmp_path, command=impatient(tmp_path)) as client:
        hub.announce(tmp_path)
        client.ask("ping")
        (tmp_path / "hub.json").unlink()
        client.send("tools/call", 1, name="x")
        client.send("tools/list", 2)
        told = {message["id"]: message for message in (client.receive(), client.receive())}
    error = told[1]["result"]["structuredContent"]
    assert told[1]["result"]["isError"] is True
    assert json.loads(told[1]["result"]["content"][0]["text"]) == error
    assert told[2]["error"]["data"] == error
    no_hub = errors.NoHub(home=str(tmp_path)).to_json()["error"]
    assert error == {"error": no_hub | {"code": errors.Unavailable.code}}


def test_another_program_on_the_hubs_port_is_said_to_be_no_hub(tmp_path):
    with false_hub(raw(b"", 502)) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        assert client.ask("ping")["error"]["data"]["error"]["code"] == "unavailable"


# ── its end ──────────────────────────────────────────────────────────────────────────────────────


def test_end_of_input_ends_the_door_though_a_request_is_on_its_way(tmp_path):
    begun, gone = threading.Event(), threading.Event()
    with false_hub(stream(begun.set, gone.wait)) as hub:
        hub.announce(tmp_path)
        with door(tmp_path) as client:
            client.send("tools/call", 1, name="wait_fleet")
            assert begun.wait(10)
            assert client.hang_up() < 1
            assert client.process.returncode == 0
        gone.set()


def test_answers_on_their_way_are_still_given_when_input_has_ended(tmp_path):
    with false_hub(reply({"late": True})) as hub:
        hub.announce(tmp_path)
        asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
        done = subprocess.run(DOOR, input=asked, capture_output=True, env={"MUSTER_HOME": str(tmp_path)}, timeout=20)
    assert (json.loads(done.stdout)["result"], done.returncode, done.stderr) == ({"late": True}, 0, b"")


def test_client_that_reads_no_more_ends_the_door(tmp_path):
    with false_hub(reply({})) as hub, door(tmp_path) as client:
        hub.announce(tmp_path)
        client.ask("ping")
        shut = subprocess.Popen(
            DOOR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"MUSTER_HOME": str(tmp_path)},
        )
        with shut:
            assert shut.stdin is not None
            assert shut.stdout is not None
            assert shut.stderr is not None
            shut.stdout.close()
            shut.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
            shut.stdin.flush()
            assert shut.wait(10) == 0
            assert shut.stderr.read() == b""


# ── what it shares with the rest of Muster, without importing it ─────────────────────────────────


@pytest.mark.parametrize(
    "environment",
    [
        {"MUSTER_HOME": "/here", "MUSTER_AGENT_HOME": "/there", "XDG_STATE_HOME": "/x"},
        {"MUSTER_HOME": "~/here"},
        {"XDG_STATE_HOME": "/x"},
        {"XDG_STATE_HOME": ""},
        {},
    ],
)
def test_door_and_configuration_agree_on_the_state_folder(environment, monkeypatch, tmp_path):
    for name in ("MUSTER_HOME", "MUSTER_AGENT_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    assert stdio.state_folder() == str(config.state_folder())


@pytest.mark.parametrize(
    "text",
    ["{}", ' {"a": [1, -2.5e3, true, false, null, "é\\u00e9\\ud83d\\ude00"]} ', "1", '"x"', "[]", '{"a": {"a": {}}}'],
)
def test_door_reads_json_as_the_json_module_does(text):
    assert stdio.read_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize("text", [b"", b"{", b"{} x", b"\xff", b"{'a': 1}", b"[" * 100_000, b'{"a": "\n"}'])
def test_door_refuses_what_is_not_json(text):
    with pytest.raises(ValueError, match=r"."):
        stdio.read_json(text)


def test_door_loads_nothing_that_is_slow():
    code = f"import sys; exec(open({stdio.__file__!r}).read(), {{'__name__': 'door'}}); print(*sys.modules)"
    told = subprocess.run([*DOOR[:-1], "-c", code], capture_output=True, text=True, timeout=20)
    loaded = set(told.stdout.split())
    assert "_socket" in loaded
    assert not {"json", "socket", "re", "typing", "subprocess", "threading", "collections"} & loaded

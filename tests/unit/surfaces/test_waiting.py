"""get_inbox waits at every door alike: it is answered by the message, and over when its caller goes."""

import json
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from muster.engine import Engine
from muster.model.ids import AgentId
from muster.surfaces import bridge as bridge_module
from muster.surfaces import mcp as mcp_module
from unit.stage import WITHIN_SECONDS, Stage, agent_actor
from unit.surfaces.doors import caller
from unit.surfaces.stdio_door import door
from unit.surfaces.test_bridge import Placed, called
from unit.surfaces.test_bridge import placed as placed

pytestmark = pytest.mark.anyio
LONG = {"wait_seconds": 600}


class Waits:
    """When the engine's waits begin and end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.ended = anyio.Event(), anyio.Event()
        settle = Engine.settle

        async def noted(*arguments: Any, **named: Any) -> Any:
            self.began.set()
            try:
                return await settle(*arguments, **named)
            finally:
                self.ended.set()

        monkeypatch.setattr(Engine, "settle", noted)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    return Waits(monkeypatch)


async def over_http(url: str, token: str) -> Any:
    async with caller(url, token) as http:
        return (await http.post("/api/v1/inbox.read", json=LONG)).json()


async def over_mcp(mode: str, url: str, token: str) -> Any:
    async with (
        caller(url, token) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        return (await client.call_tool("get_inbox", LONG)).structured_content


DOORS = {
    "http": over_http,
    "mcp": partial(over_mcp, "auto"),
    "mcp of 2025": partial(over_mcp, "legacy"),
}
Ask = Callable[[str, str], Awaitable[Any]]


@pytest.fixture(params=DOORS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return DOORS[request.param]


async def say(stage: Stage, agent: str, payload: str) -> None:
    await stage.call("message.send", to_agent_id=agent, type="result", payload=payload)


async def state(stage: Stage, agent: str) -> list[str]:
    return [message["state"] for message in (await stage.call("inbox.read", agent_id=agent))["messages"]]


async def test_wait_is_answered_by_the_message(url, stage, waits, ask):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    told: list[Any] = []

    async def listen() -> None:
        told.append(await ask(url, stage.keyring.agent(agent)))

    with anyio.fail_after(WITHIN_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await waits.began.wait()
            await say(stage, agent, "here")
    assert [message["payload"] for message in told[0]["messages"]] == ["here"]
    assert await state(stage, agent) == ["injected"]


async def test_wait_of_a_caller_that_went_away_takes_nothing(url, stage, waits, ask):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    with anyio.fail_after(WITHIN_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, url, stage.keyring.agent(agent))
            await waits.began.wait()
            tasks.cancel_scope.cancel()
        await waits.ended.wait()
    await say(stage, agent, "later")
    assert await state(stage, agent) == ["queued"]


async def test_wait_of_an_agents_tool_call_is_bounded_whatever_it_asks_for(url, placed: Placed, monkeypatch):
    monkeypatch.setattr(bridge_module, "PATIENCE_SECONDS", 0.05)
    async with placed.bridge(url, 0) as bridge:
        error, told = await called(bridge, "ses_0", "get_inbox", **LONG)
    assert (error, told) == (False, {"messages": [], "cursor": 0, "remaining": 0})


async def test_tool_call_that_was_given_up_takes_nothing(url, placed: Placed, stage, waits):
    with anyio.fail_after(WITHIN_SECONDS):
        async with placed.bridge(url, 0) as bridge, anyio.create_task_group() as tasks:
            tasks.start_soon(partial(called, bridge, "ses_0", "get_inbox", **LONG))
            await waits.began.wait()
            tasks.cancel_scope.cancel()
        await waits.ended.wait()
    await say(stage, placed.agents[0], "later")
    assert await state(stage, placed.agents[0]) == ["queued"]


async def test_request_that_a_stdio_client_cancels_takes_nothing_and_the_next_one_is_answered(url, stage, waits):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    told = {"url": url, "token": stage.keyring.operator(), "pid": os.getpid(), "version": "0"}
    (stage.path.parent / "hub.json").write_text(json.dumps(told))
    with anyio.fail_after(WITHIN_SECONDS), door(stage.path.parent, MUSTER_TOKEN=stage.keyring.agent(agent)) as client:
        await anyio.to_thread.run_sync(client.hello)
        client.send("tools/call", 1, name="get_inbox", arguments=LONG)
        await waits.began.wait()
        client.send("notifications/cancelled", requestId=1)
        await waits.ended.wait()
        await say(stage, agent, "later")
        assert await state(stage, agent) == ["queued"]
        client.send("tools/call", 2, name="get_inbox", arguments=LONG)
        answer = await anyio.to_thread.run_sync(client.receive)
    assert answer["id"] == 2
    assert [one["payload"] for one in answer["result"]["structuredContent"]["messages"]] == ["later"]


async def test_long_wait_tells_that_it_goes_on_where_a_progress_token_was_sent(url, stage, monkeypatch):
    monkeypatch.setattr(mcp_module, "PROGRESS_SECONDS", 0.02)
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    heard = anyio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        if not heard.is_set():
            heard.set()
            await say(stage, agent, "at last")

    async with (
        caller(url, stage.keyring.agent(agent)) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        with anyio.fail_after(WITHIN_SECONDS):
            told = await client.call_tool("get_inbox", LONG, progress_callback=note)
    assert [message["payload"] for message in told.structured_content["messages"]] == ["at last"]


async def test_call_that_is_sent_again_gets_its_first_answer_and_does_not_wait(stage):
    fleet = await stage.spawn("a")
    (agent,) = fleet["agent_ids"]
    itself = agent_actor(AgentId(agent), fleet["fleet_id"])
    await say(stage, agent, "here")
    first = await stage.call("inbox.read", itself, request_id="once", **LONG)
    await stage.call("message.acknowledge", itself, message_id=first["messages"][0]["message_id"])
    with anyio.fail_after(WITHIN_SECONDS):
        assert await stage.call("inbox.read", itself, request_id="once", **LONG) == first


async def test_wait_in_an_inbox_that_is_none_is_refused_at_once(url, stage):
    async with caller(url, stage.keyring.operator()) as operator:
        with anyio.fail_after(WITHIN_SECONDS):
            answer = await operator.post("/api/v1/inbox.read", json={"agent_id": "agt_none", **LONG})
    assert answer.json()["error"]["code"] == "not_found"

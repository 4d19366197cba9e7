"""An inbox as a stream: every message once and in order, wherever it was left, and nothing changed by looking."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from muster.model.ids import AgentId
from unit.stage import URL, WITHIN_SECONDS, Stage, agent_actor, contents, refused
from unit.surfaces.doors import caller, code

pytestmark = pytest.mark.anyio

Told = tuple[int, dict[str, Any]]


@asynccontextmanager
async def stream(
    http: httpx2.AsyncClient, agent: str, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[AsyncIterator[Told]]:
    """An inbox as it comes: each message with its cursor."""
    with anyio.fail_after(WITHIN_SECONDS):
        async with http.stream("GET", path(agent), params=query, headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _messages(answer)


async def _messages(answer: httpx2.Response) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        fields |= {name: value}
        if not line and "data" in fields:
            assert fields["event"] == "message"
            yield int(fields["id"]), json.loads(fields["data"])
            fields = {}


def path(agent: str) -> str:
    return f"/api/v1/inbox/{agent}/stream"


async def first(messages: AsyncIterator[Told], count: int) -> list[Told]:
    return [await anext(messages) for _ in range(count)]


def said(told: list[Told]) -> list[str]:
    return [message["payload"] for _, message in told]


async def say(stage: Stage, to: str, *payloads: str, **rest: Any) -> list[str]:
    wishes = [{"to_agent_id": to, "type": "result", "payload": payload, **rest} for payload in payloads]
    return [sent["message_id"] for sent in (await stage.call("message.send_all", messages=wishes))["results"]]


async def rows(stage: Stage, agent: str) -> list[dict[str, Any]]:
    return (await stage.call("inbox.read", agent_id=agent, limit=1000))["messages"]


async def test_what_is_unacknowledged_comes_first_then_what_is_sent_as_get_inbox_has_it(operator, stage):
    fleet = await stage.spawn("a", "b")
    agent, other = fleet["agent_ids"]
    done, *_ = await say(stage, agent, "done", "one\n\u2028two", from_agent_id=other)
    await stage.call("message.acknowledge", message_id=done, agent_id=agent)
    async with stream(operator, agent) as messages:
        waiting = await first(messages, 1)
        await say(stage, other, "not for you")
        await say(stage, agent, "three", correlation_id="x")
        live = await first(messages, 1)
    assert said(waiting + live) == ["one\n\u2028two", "three"]
    assert [message for _, message in waiting + live] == await rows(stage, agent)


async def test_more_than_a_page_comes_whole_and_in_order_also_while_it_grows(operator, stage):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    await say(stage, agent, *map(str, range(120)))
    async with stream(operator, agent) as messages:
        begun = await first(messages, 10)
        await say(stage, agent, *map(str, range(120, 180)))
        rest = await first(messages, 170)
    assert said(begun + rest) == [str(number) for number in range(180)]
    cursors = [cursor for cursor, _ in begun + rest]
    assert cursors == sorted(set(cursors))


@pytest.mark.parametrize("how", ["header", "query"])
async def test_stream_goes_on_behind_a_cursor_though_messages_were_acknowledged_meanwhile(operator, stage, how):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    sent = await say(stage, agent, "one", "two", "three")
    async with stream(operator, agent) as messages:
        left = await first(messages, 1)
    await stage.call("message.acknowledge", message_id=sent[1], agent_id=agent)
    last = str(left[0][0])
    headers, query = ({"last-event-id": last}, {}) if how == "header" else ({}, {"since": last})
    async with stream(operator, agent, headers, **query) as messages:
        rest = await first(messages, 2)
    assert [(message["payload"], message["state"]) for _, message in rest] == [
        ("two", "acknowledged"),
        ("three", "queued"),
    ]


async def test_acknowledged_before_anybody_looked_still_comes_live(operator, stage):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    async with stream(operator, agent) as messages:
        await say(stage, agent, "one")
        await first(messages, 1)
        (two,) = await say(stage, agent, "two")
        await stage.call("message.acknowledge", message_id=two, agent_id=agent)
        assert said(await first(messages, 1)) == ["two"]


async def test_look_changes_nothing_though_the_agent_itself_looks(url, stage):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    await say(stage, agent, "one")
    before = contents(stage.path)
    async with caller(url, stage.keyring.agent(agent)) as itself, stream(itself, agent) as messages:
        assert said(await first(messages, 1)) == ["one"]
    assert contents(stage.path) == before


async def test_stream_is_the_agents_own_and_the_operators(url, operator, stage):
    agent, other = (await stage.spawn("a", "b"))["agent_ids"]
    stranger = (await stage.spawn("c"))["agent_ids"][0]
    before = contents(stage.path)
    for one in (other, stranger):
        async with caller(url, stage.keyring.agent(one)) as http:
            for asked in (agent, "agt_nobody", f"{agent}%20"):
                assert code(await http.get(path(asked))) == (403, "denied")
    async with caller(url) as nobody:
        assert code(await nobody.get(path(agent))) == (401, "unauthenticated")
    assert code(await operator.get(path("agt_nobody"))) == (404, "not_found")
    assert contents(stage.path) == before


async def test_cursor_that_is_none_and_a_filter_that_it_does_not_have_are_refused(operator, stage):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    await say(stage, agent, "one")
    for cursor in ("x", "-1", "1.5", "9" * 19, "9" * 18, "2", "²"):
        assert (cursor, code(await operator.get(path(agent), params={"since": cursor}))) == (cursor, (400, "bad_value"))
    for cursor in ("x", "9" * 18):
        answer = await operator.get(path(agent), headers={"last-event-id": cursor})
        assert (cursor, code(answer)) == (cursor, (400, "bad_value"))
    assert code(await operator.get(path(agent), params={"after": "1"})) == (400, "unknown_field")


async def test_stream_ends_with_its_agent_behind_what_it_got(operator, stage):
    agent, other = (await stage.spawn("a", "b"))["agent_ids"]
    async with stream(operator, agent) as messages:
        await say(stage, agent, "one", from_agent_id=other)
        await stage.call("agent.cancel", agent_id=other)
        await say(stage, agent, "two")
        await stage.call("agent.cancel", agent_id=agent)
        assert said([told async for told in messages]) == ["one", "two"]


async def test_stream_ends_when_the_hub_ends(operator, stage):
    (agent,) = (await stage.spawn("a"))["agent_ids"]
    await say(stage, agent, "one")
    async with stream(operator, agent) as messages:
        await first(messages, 1)
        stage.engine.close()
        assert [told async for told in messages] == []


async def test_subscription_names_the_hubs_own_url_for_the_agent_and_for_the_operator(stage):
    fleet = await stage.spawn("a", "b")
    agent, other = fleet["agent_ids"]
    own = {"agent_id": agent, "stream_url": f"{URL}{path(agent)}"}
    itself = agent_actor(AgentId(agent), fleet["fleet_id"])
    assert await stage.call("inbox.subscribe", agent_id=agent) == own
    assert await stage.call("inbox.subscribe", itself) == own
    for actor, named, refusal in (
        (itself, other, "denied"),
        (None, None, "missing_field"),
        (None, "agt_no", "not_found"),
    ):
        arguments = {} if named is None else {"agent_id": named}
        with refused(refusal):
            await stage.call("inbox.subscribe", *([actor] if actor else []), **arguments)

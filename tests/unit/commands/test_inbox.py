"""An agent gets no more at once than its host shows whole: what was cut off would count as read, and was not."""

import json
from typing import Any

import pytest

from muster.commands import runs as run_commands
from muster.model.actor import SYSTEM, Actor
from muster.model.ceiling import Ceilings, Sharding
from unit.stage import Stage, agent_actor

pytestmark = pytest.mark.anyio
CUT = 50 * 1024


@pytest.fixture
async def itself(stage: Stage) -> Actor:
    fleet = await stage.spawn("a")
    return agent_actor(fleet["agent_ids"][0], fleet["fleet_id"])


async def say(stage: Stage, to: Actor, *payloads: str) -> None:
    for payload in payloads:
        await stage.call("message.send", to_agent_id=to.agent, type="result", payload=payload)


async def sit(stage: Stage, agent: Actor) -> None:
    """It has a session from now on, and can be prompted."""
    await stage.engine.execute(run_commands.admit, SYSTEM, ceilings=Ceilings(), sharding=Sharding(), host="scripted")
    seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=agent.agent)
    await stage.engine.execute(run_commands.start, SYSTEM, run=seat.run, session="ses_1")


def said(told: dict[str, Any]) -> list[str]:
    return [message["payload"] for message in told["messages"]]


async def states(stage: Stage, agent: Actor) -> list[str]:
    told = await stage.call("inbox.read", agent_id=agent.agent)
    return [message["state"] for message in told["messages"]]


@pytest.mark.parametrize("letter", ["x", "\n", "é", "\x01"])
async def test_long_messages_are_given_in_answers_that_are_shown_whole_each_once_and_in_order(stage, itself, letter):
    payloads = [f"{number}" + letter * (5000 // len(json.dumps(letter)[1:-1])) for number in range(20)]
    await say(stage, itself, *payloads)
    got: list[str] = []
    cursor, remaining = 0, 20
    while remaining:
        told = await stage.call("inbox.read", itself, since=cursor)
        assert len(json.dumps(told, ensure_ascii=False).encode()) < CUT
        got += said(told)
        cursor, remaining = told["cursor"], told["remaining"]
        assert remaining == 20 - len(got)
        assert (await states(stage, itself)).count("injected") == len(got)
    assert got == payloads


async def test_what_is_too_long_for_an_answer_is_left_to_a_prompt(stage, itself):
    await sit(stage, itself)
    await say(stage, itself, "before", "x" * 60_000, "after")
    told = await stage.call("inbox.read", itself)
    assert (said(told), told["remaining"]) == (["before", "after"], 0)
    assert await states(stage, itself) == ["injected", "queued", "injected"]


async def test_agent_that_cannot_be_prompted_gets_it_alone_and_whole(stage, itself):
    await say(stage, itself, "x" * 60_000, "after")
    told = await stage.call("inbox.read", itself)
    assert (said(told), told["remaining"]) == (["x" * 60_000], 1)


async def test_operator_sees_all_of_it(stage, itself):
    await sit(stage, itself)
    await say(stage, itself, "x" * 60_000, "y" * 60_000)
    assert said(await stage.call("inbox.read", agent_id=itself.agent)) == ["x" * 60_000, "y" * 60_000]

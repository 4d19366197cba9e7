"""Messages find their way to agents: idle ones are woken, working ones are told what is urgent, nobody twice."""

from typing import Any

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.delivery import Arrival
from muster.model.wakeup import Wakefulness
from unit.stage import Stage, agent_actor, at_work, hub, refused

pytestmark = pytest.mark.anyio
QUOTE = "> "


async def say(stage: Stage, to: str, payload: str, type: str = "result", **rest: Any) -> dict[str, Any]:
    return await stage.call("message.send", to_agent_id=to, type=type, payload=payload, **rest)


async def inbox(stage: Stage, agent: str) -> list[tuple[str, str]]:
    """What the operator sees of it: payload and state."""
    told = await stage.call("inbox.read", agent_id=agent, limit=1000)
    return [(message["payload"], message["state"]) for message in told["messages"]]


async def session_of(stage: Stage, fleet: dict[str, Any]) -> str:
    told = await stage.call("fleet.status", fleet_id=fleet["fleet_id"], full=True)
    return str(told["agents"][0]["session_id"])


async def receipts(stage: Stage, message: str) -> list[tuple[str | None, str, str]]:
    told = await stage.call("receipt.list", message_id=message)
    return [(row["agent_id"], row["action"], row["by"]) for row in told["receipts"]]


async def test_message_wakes_an_idle_agent_which_sees_it_once_and_its_answer_is_its_output(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("one", "two")
        await stage.settled(fleet["fleet_id"])
        sent = await say(stage, fleet["agent_ids"][1], "the build is green")
        results = await stage.settled(fleet["fleet_id"])

        (prompt,) = [prompt for prompt in cast.asked if "the build is green" in prompt]
        assert cast.asked[prompt] == 1
        assert results["results"][1]["output"] == prompt
        assert results["results"][0]["output"] == "one"
        assert await inbox(stage, fleet["agent_ids"][1]) == [("the build is green", "seen")]
        assert await receipts(stage, sent["message_id"]) == [(fleet["agent_ids"][1], "seen", "system")]


async def test_fleet_is_running_from_the_moment_a_message_waits_for_an_idle_agent(stage):
    async with at_work(stage):
        fleet = await stage.spawn("one")
        await stage.settled(fleet["fleet_id"])
    await say(stage, fleet["agent_ids"][0], "anybody there?")

    assert (await stage.call("fleet.brief", fleet_id=fleet["fleet_id"]))["status"] == "running"


@pytest.mark.parametrize("type", ["alert", "question", "request_help"])
async def test_urgent_message_reaches_a_working_agent_together_with_what_its_sender_said_before(stage, cast, type):
    async with at_work(stage):
        fleet = await stage.spawn("hold on", "hold too", "other")
        worker, sender, other = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 2)
        await say(stage, worker, "by the way", from_agent_id=sender)
        await say(stage, worker, "not so urgent", from_agent_id=other)
        await say(stage, worker, "stop that", type, from_agent_id=sender)
        await cast.until(lambda: any("stop that" in prompt for prompt in cast.asked))

        (prompt,) = [prompt for prompt in cast.asked if "stop that" in prompt]
        assert prompt.index("by the way") < prompt.index("stop that")
        assert "not so urgent" not in prompt
        assert cast.held == 2
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])
        assert {state for _, state in await inbox(stage, worker)} == {"seen"}
        assert sum(cast.asked.values()) == 5


async def test_what_is_not_urgent_waits_until_the_working_agent_is_idle(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        await cast.until(lambda: cast.held == 1)
        await say(stage, fleet["agent_ids"][0], "done here")
        assert await inbox(stage, fleet["agent_ids"][0]) == [("done here", "queued")]
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])

        assert await inbox(stage, fleet["agent_ids"][0]) == [("done here", "seen")]


async def test_many_messages_come_in_order_twenty_at_a_time_and_each_once(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        await cast.until(lambda: cast.held == 1)
        wishes = [
            {"to_agent_id": fleet["agent_ids"][0], "type": "result", "payload": f"number {n:02}"} for n in range(50)
        ]
        await stage.call("message.send_all", messages=wishes)
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])

        digests = [prompt for prompt in cast.asked if QUOTE in prompt]
        lines = [line for prompt in digests for line in prompt.splitlines() if line.startswith("> number")]
        assert lines == [f"> number {n:02}" for n in range(50)]
        assert [prompt.count("> number") for prompt in digests] == [20, 20, 10]
        assert "30 more wait" in digests[0]


async def test_large_message_comes_alone_and_whole(stage, cast):
    large = "x" * 65_536
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        await cast.until(lambda: cast.held == 1)
        for payload in ("before", large, "after"):
            await say(stage, fleet["agent_ids"][0], payload)
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])

        digests = [prompt for prompt in cast.asked if QUOTE in prompt]
        assert [large in prompt for prompt in digests] == [False, True, False]


async def test_message_to_a_cancelled_agent_is_undeliverable_and_its_sender_hears_why(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("hold on", "other")
        held, sender = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 1)
        sent = await say(stage, held, "too late", from_agent_id=sender)
        await stage.call("agent.cancel", agent_id=held, reason="no more of it")
        await stage.settled(fleet["fleet_id"])

        assert (held, "undeliverable", "system") in await receipts(stage, sent["message_id"])
        ((told, state),) = await inbox(stage, sender)
        assert sent["message_id"] in told and "no more of it" in told
        assert state == "seen"


async def test_agents_that_thank_each_other_for_ever_are_held_back_and_let_through_on_resume(stage, cast):
    async with at_work(stage, wakefulness=Wakefulness(per_pair=2, per_fleet=0)):
        fleet = await stage.spawn("one", "two")
        one, two = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        for number in range(3):
            await say(stage, two, f"thanks {number}", from_agent_id=one)
            results = await stage.settled(fleet["fleet_id"])
        assert results["status"] == "paused"
        reason = (await stage.call("fleet.status", fleet_id=fleet["fleet_id"]))["fleet"]["reason"]
        assert "muster resume" in reason
        assert await inbox(stage, two) == [("thanks 0", "seen"), ("thanks 1", "seen"), ("thanks 2", "queued")]

        resumed = await stage.call("fleet.resume", fleet_id=fleet["fleet_id"])
        assert resumed["released"] == 1
        assert (await stage.settled(fleet["fleet_id"]))["status"] == "complete"
        assert await inbox(stage, two) == [(f"thanks {number}", "seen") for number in range(3)]


async def test_what_an_agent_took_itself_is_not_brought_to_it_again(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        (agent,) = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 1)
        await say(stage, agent, "take this")
        taken = await stage.call("inbox.read", agent_actor(agent, fleet["fleet_id"]).calling("msg_1:call_1"))
        assert [message["state"] for message in taken["messages"]] == ["injected"]
        stage.host.place(await session_of(stage, fleet), "msg_1:call_1", Arrival.SEEN)
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])

        assert sum(cast.asked.values()) == 1


async def test_what_an_agent_took_by_a_call_whose_answer_never_arrived_is_brought_to_it(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("hold on")
        (agent,) = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 1)
        await say(stage, agent, "take this")
        await stage.call("inbox.read", agent_actor(agent, fleet["fleet_id"]).calling("msg_1:call_1"))
        stage.host.place(await session_of(stage, fleet), "msg_1:call_1", Arrival.ABSENT)
        await stage.until("delivery.returned")
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])

        assert any("take this" in prompt for prompt in cast.asked)
        assert await inbox(stage, agent) == [("take this", "seen")]


async def test_nothing_is_lost_or_told_twice_when_the_hub_dies_with_messages_underway(tmp_path, clock, cast):
    async with ScriptedHost(cast.play) as host:
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            fleet = await stage.spawn("hold on")
            (agent,) = fleet["agent_ids"]
            await cast.until(lambda: cast.held == 1)
            await say(stage, agent, "first", "alert")
            await say(stage, agent, "second")
        cast.gate.set()
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            await stage.settled(fleet["fleet_id"])
            assert await inbox(stage, agent) == [("first", "seen"), ("second", "seen")]
            told = [prompt for prompt in cast.asked if QUOTE in prompt]
            assert sum("first" in prompt for prompt in told) == 1
            assert sum("second" in prompt for prompt in told) == 1


async def test_agent_whose_session_is_lost_is_told_its_task_its_answer_and_what_it_has_not_acknowledged(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("the task", attempts=2)
        (agent,) = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        await say(stage, agent, "kept in mind")
        done = await say(stage, agent, "done with")
        await stage.settled(fleet["fleet_id"])
        await stage.call("message.acknowledge", message_id=done["message_id"], agent_id=agent)
        stage.host.lose_sessions()
        await say(stage, agent, "are you there?")
        await stage.until("run.ended", agent=agent, outcome="failed")
        stage.clock.advance(seconds=10)
        await stage.settled(fleet["fleet_id"])

        revival = list(cast.asked)[-1]
        assert [line for line in revival.splitlines() if line.startswith(QUOTE) and "kept" in line]
        assert "the task" in revival and "> are you there?" in revival
        assert "> done with" not in revival.split("You had answered")[0]
        assert dict(await inbox(stage, agent)) == {"kept in mind": "seen", "are you there?": "seen"}


async def test_message_that_was_only_waiting_and_is_acknowledged_for_its_agent_lets_the_fleet_rest(stage):
    async with at_work(stage, wakefulness=Wakefulness(per_pair=1)):
        fleet = await stage.spawn("one", "two")
        one, two = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        for number in range(2):
            sent = await say(stage, two, f"thanks {number}", from_agent_id=one)
            await stage.settled(fleet["fleet_id"])
        await stage.call("message.acknowledge", message_id=sent["message_id"], agent_id=two)

        assert (await stage.call("fleet.brief", fleet_id=fleet["fleet_id"]))["status"] == "complete"
        assert (await stage.events("fleet.quieted"))[-1]["body"] == {"status": "complete"}


async def test_nobody_leads_a_fleet_that_was_spawned(stage):
    fleet = await stage.spawn("one")
    with refused("conflict"):
        await say(stage, "lead", "hello", from_agent_id=fleet["agent_ids"][0])

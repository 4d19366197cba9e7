"""What a lead hears by itself of its messages: which did not arrive, and that some are held back."""

from typing import Any

import pytest

from muster.commands import leads as lead_commands
from muster.commands import notices as notice_commands
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.notice import NoticeEnding
from muster.model.wakeup import Wakefulness
from unit.stage import Stage, at_work

pytestmark = pytest.mark.anyio
LEAD = OPERATOR.leading("ses_lead", "/somewhere")


@pytest.fixture
async def stage(stage: Stage) -> Stage:
    """With a lead that has shown itself."""
    seen = {"session": LEAD.session, "directory": LEAD.directory, "bridge": "here"}
    await stage.engine.execute(lead_commands.see, SYSTEM, **seen)
    return stage


async def spawned(stage: Stage, *prompts: str) -> dict[str, Any]:
    """A fleet that the lead spawned."""
    agents = [{"role": "worker", "prompt": prompt, "max_attempts": 1} for prompt in prompts]
    return await stage.call("fleet.spawn", LEAD, agents=agents, project=str(stage.project))


async def say(stage: Stage, to: str, payload: str, **rest: Any) -> str:
    wish = {"to_agent_id": to, "type": "result", "payload": payload}
    return str((await stage.call("message.send", LEAD, **wish, **rest))["message_id"])


async def owing(stage: Stage) -> Any:
    return await stage.engine.query(stage.engine.catalog["lead.owing"], SYSTEM, bridge="here")


async def owed(stage: Stage, kind: str) -> list[str]:
    return [notice.text for notice in (await owing(stage)).notices if notice.kind == kind]


async def test_message_that_did_not_arrive_is_told_to_the_conversation_that_sent_it(stage, cast):
    async with at_work(stage):
        fleet = await spawned(stage, "hold on")
        (agent,) = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 1)
        sent = await say(stage, agent, "never mind")
        await stage.call("agent.cancel", agent_id=agent, reason="too \x1b[31mslow\nreally")
        await stage.until("delivery.undeliverable", message=sent)

        (text,) = await owed(stage, "undeliverable")
        assert text.startswith(
            f"[muster] Your message {sent} did not reach worker: worker was cancelled: too \\x1b[31m"
        )
        assert len(text.splitlines()) == 2


async def test_broadcast_that_reached_nobody_is_told_once(stage, cast):
    async with at_work(stage):
        fleet = await spawned(stage, "hold one", "hold two", "hold three")
        await cast.until(lambda: cast.held == 3)
        sent = await say(stage, "*", "all of you", fleet_id=fleet["fleet_id"])
        await stage.call("fleet.cancel", fleet_id=fleet["fleet_id"])
        for agent in fleet["agent_ids"]:
            await stage.until("delivery.undeliverable", message=sent, agent=agent)

        assert len(await owed(stage, "undeliverable")) == 1


async def test_message_of_the_operator_outside_of_a_conversation_is_told_to_none(stage, cast):
    async with at_work(stage):
        fleet = await spawned(stage, "hold on")
        (agent,) = fleet["agent_ids"]
        await cast.until(lambda: cast.held == 1)
        sent = await stage.call("message.send", to_agent_id=agent, type="result", payload="by hand")
        await stage.call("agent.cancel", agent_id=agent)
        await stage.until("delivery.undeliverable", message=sent["message_id"])

        assert await owed(stage, "undeliverable") == []


async def test_lead_hears_that_messages_are_held_back_also_after_the_first_quiet(stage):
    async with at_work(stage, wakefulness=Wakefulness(per_pair=1)):
        fleet = await spawned(stage, "one", "two")
        one, two = fleet["agent_ids"]
        await stage.settled(fleet["fleet_id"])
        for number in range(2):
            await say(stage, two, f"thanks {number}", from_agent_id=one)
            await stage.settled(fleet["fleet_id"])

        (text,) = await owed(stage, "paused")
        assert " is paused: " in text
        assert f"woke each other 1 times by messages. `muster resume {fleet['fleet_id']}` lets them go on." in text


async def test_bridge_is_to_ask_on_while_something_may_still_come(stage, cast):
    async with at_work(stage):
        fleet = await spawned(stage, "hold on")
        (agent,) = fleet["agent_ids"]
        assert (await owing(stage)).more
        cast.gate.set()
        await stage.settled(fleet["fleet_id"])
        for notice in (await owing(stage)).notices:
            await stage.engine.execute(notice_commands.end, SYSTEM, notice=notice.notice, ending=NoticeEnding.TOLD)
        assert not (await owing(stage)).more
    await say(stage, agent, "are you there?")
    assert (await owing(stage)).more
    async with at_work(stage):
        await stage.settled(fleet["fleet_id"])
    assert not (await owing(stage)).more

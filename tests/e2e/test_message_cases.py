"""The numbered message cases that take a conversation, on the real OpenCode: M is Meshfleet, E OpenCode Ensemble.

All of them, and where each is answered: unit/surfaces/test_message_cases.py.
"""

import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from e2e.stage import MUSTER, Stage, stage, wants_opencode
from e2e.standing import Standing
from e2e.test_messages import LISTENER, say, states, told

pytestmark = [pytest.mark.anyio, wants_opencode]


async def listeners(on: Stage, count: int, **more: Any) -> tuple[str, list[str]]:
    """A fleet whose agents have listened once, and are idle."""
    fleet = await on.spawn(*[{"role": "listener", "prompt": "Listen."} | more] * count)
    return fleet, [result["agent_id"] for result in await on.wait(fleet)]


# E19: the first request after the message fails, and OpenCode asks for a title meanwhile
async def test_message_whose_first_requests_fail_stands_once_and_is_seen_with_the_answer(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: listener
        steps:
          - {say: "ready"}
          - {say: "noted", status: 500, times: 2}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet, (agent,) = await listeners(on, 1)
        await say(on, agent, "the build is green")
        (woken,) = await on.wait(fleet)

        assert woken["output"] == "noted"
        assert [chat.outcome for chat in on.chats()][-3:] == ["refused", "refused", "answered"]
        assert told(on, "> the build is green") == 1
        assert await states(on, agent) == {"the build is green": "seen"}


# E21: the rival's asker was never woken again
async def test_agent_that_asked_and_went_idle_is_woken_by_the_answer(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: asker
        match: {text: You are asker}
        steps:
          - {call: {tool: send_message, arguments: {to_agent_id: answerer, type: question, payload: "which port?"}}}
          - {say: "asked"}
          - {say: "it is ${user ~ > (.+)}"}
      - name: answerer
        match: {text: You are answerer}
        steps:
          - {say: "idle"}
          - {call: {tool: send_message, arguments: {to_agent_id: asker, type: result, payload: "4747"}}}
          - {say: "told"}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "asker", "prompt": "Ask."}, {"role": "answerer", "prompt": "Wait."})
        asker, answerer = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        assert [asker["output"], answerer["output"]] == ["it is 4747", "told"]


# E22
async def test_agents_that_thank_each_other_for_ever_stop_at_the_limit_and_lose_no_message(tmp_path: Path) -> None:
    thank = "{call: {tool: send_message, arguments: {to_agent_id: %s, type: result, payload: thanks}}}"
    steps = "\n".join(f"          - {thank}\n          - {{say: sent}}" for _ in range(12))
    scenario = f"""
    agents:
      - name: one
        match: {{text: You are one}}
        steps:
{steps % (("two",) * 12)}
      - name: two
        match: {{text: You are two}}
        steps:
          - {{say: idle}}
{steps % (("one",) * 12)}
    """
    async with stage(tmp_path, scenario, wakeups_per_pair=3) as on:
        fleet = await on.spawn({"role": "one", "prompt": "Thank."}, {"role": "two", "prompt": "Listen."})
        await on.wait(fleet)

        assert (await on.call("fleet.status", fleet_id=fleet))["fleet"]["status"] == "paused"
        assert len(await on.events("turn.composed")) == 3
        assert len(await on.events("message.sent")) == 4
        assert len(await on.events("delivery.held")) == 1


# E23, M14, M15
async def test_broadcast_is_brought_to_each_of_its_recipients_once_across_a_killed_hub(tmp_path: Path) -> None:
    async with stage(tmp_path, LISTENER) as on:
        fleet, (one, *others) = await listeners(on, 3)
        await say(on, "*", "all hands", "alert", from_agent_id=one)
        await on.kill_hub()
        await on.start_hub()
        second = subprocess.run([*MUSTER, "serve", "--port", "0"], env=on.env, cwd=on.project, check=False)
        await on.wait(fleet)

        assert second.returncode == 4
        assert [await states(on, agent) for agent in others] == [{"all hands": "seen"}] * 2
        assert await states(on, one) == {}
        asked = [chat for chat in on.chats() if any("> all hands" in message.text for message in chat.messages)]
        assert len({chat.session for chat in asked}) == 2
        assert told(on, "> all hands") == 1


# E25
async def test_message_is_answered_by_the_agents_own_persona_and_model(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, LISTENER) as on:
        fleet, (agent,) = await listeners(on, 1, agent="plan")
        await say(on, agent, "change everything", "request_help")
        with anyio.fail_after(60):
            await on.wait(fleet)

        first, second = on.chats()
        assert (second.model, second.tools) == (first.model, first.tools)
        session = (await on.call("fleet.status", fleet_id=fleet, full=True))["agents"][0]["session_id"]
        assert second.session == session
        assert await states(on, agent) == {"change everything": "seen"}

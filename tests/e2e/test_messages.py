"""Messages on the real OpenCode: an idle agent is woken, a working one is told, and each message stands there once."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from e2e.stage import Stage, wants_opencode
from e2e.standing import Standing

pytestmark = [pytest.mark.anyio, wants_opencode]

LISTENER = """
agents:
  - name: listener
    steps:
      - {say: "ready"}
    then: {say: "noted"}
"""


async def say(on: Stage, to: str, payload: str, type: str = "result", **rest: Any) -> Any:
    return await on.call("message.send", to_agent_id=to, type=type, payload=payload, **rest)


async def states(on: Stage, agent: str) -> dict[str, str]:
    told = await on.call("inbox.read", agent_id=agent)
    return {message["payload"]: message["state"] for message in told["messages"]}


def told(on: Stage, words: str) -> int:
    """In how many places of the newest conversation that has them."""
    return max((sum(words in message.text for message in chat.messages) for chat in on.chats()), default=0)


async def test_idle_agent_is_woken_by_a_message_in_its_own_session_and_sees_it_once(
    tmp_path: Path, standing: Standing
) -> None:
    async with standing.stage(tmp_path, LISTENER) as on:
        fleet = await on.spawn({"role": "listener", "prompt": "Listen."})
        (result,) = await on.wait(fleet)

        sent = await say(on, result["agent_id"], "the build is green")
        (woken,) = await on.wait(fleet)

        assert woken["output"] == "noted"
        assert await states(on, result["agent_id"]) == {"the build is green": "seen"}
        assert told(on, "> the build is green") == 1
        assert len({chat.session for chat in on.chats()}) == 1
        receipts = (await on.call("receipt.list", message_id=sent["message_id"]))["receipts"]
        assert [(one["agent_id"], one["action"], one["by"]) for one in receipts] == [
            (result["agent_id"], "seen", "system")
        ]


async def test_question_reaches_an_agent_in_the_middle_of_its_work(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: worker
        steps:
          - {call: {tool: bash, arguments: {command: "sleep 4", description: nap}}}
        then: {say: "answered: ${user ~ > (.+)}"}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "worker", "prompt": "Work."})
        with anyio.fail_after(30):
            while not on.running("sleep"):
                await anyio.sleep(0.05)
        (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]

        await say(on, agent["agent_id"], "which database?", "question")
        (result,) = await on.wait(fleet)

        assert result["output"] == "answered: which database?"
        assert [chat.step for chat in on.chats()] == [0, 1]
        assert await states(on, agent["agent_id"]) == {"which database?": "seen"}


async def test_agents_talk_by_name_and_what_one_took_itself_is_not_brought_to_it_again(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: asker
        match: {text: You are asker}
        steps:
          - {call: {tool: send_message, arguments: {to_agent_id: answerer, type: question, payload: "which port?"}}}
          - {call: {tool: get_inbox, arguments: {wait_seconds: 30}}}
          - {call: {tool: ack_message, arguments: {message_id: "${get_inbox.messages[0].message_id}"}}}
          - {say: "got ${get_inbox.messages[0].payload}"}
      - name: answerer
        match: {text: You are answerer}
        steps:
          - {say: "idle"}
          - call:
              tool: send_message
              arguments: {to_agent_id: asker, type: result, payload: "4747", correlation_id: "${user ~ (msg_[^ ]+)}"}
          - {say: "told"}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "asker", "prompt": "Ask."}, {"role": "answerer", "prompt": "Wait."})
        asker, answerer = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        assert [asker["output"], answerer["output"]] == ["got 4747", "told"]
        assert await states(on, asker["agent_id"]) == {}
        assert await states(on, answerer["agent_id"]) == {"which port?": "seen"}
        assert len(on.chats("asker")) == 4

"""Two agents on the real OpenCode who change the same lines hear of each other while both still work."""

from pathlib import Path

import anyio
import pytest

from e2e.stage import Stage, stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]

SCENARIO = """
agents:
  - name: ann
    match: {text: You are ann}
    steps:
      - {call: {tool: bash, arguments: {command: "sed -i s/Sample/Ann/ README.md", description: edit}}}
      - {say: "still at it", hold: ann}
    then: {say: "ann heard: ${user ~ What you and .+ changed}"}
  - name: bob
    match: {text: You are bob}
    steps:
      - {call: {tool: bash, arguments: {command: "sed -i s/Sample/Bob/ README.md", description: edit}}}
      - {say: "still at it", hold: bob}
    then: {say: "bob heard: ${user ~ What you and .+ changed}"}
"""


def heard(on: Stage, script: str) -> int:
    """How often the agent's newest conversation has the news."""
    return sum("does not fit together" in message.text for message in on.chats(script)[-1].messages)


async def test_two_who_change_the_same_lines_are_told_once_before_either_is_done(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO, snapshot_seconds=1) as on:
        fleet = await on.spawn(*({"role": name, "name": name, "prompt": f"You are {name}."} for name in ("ann", "bob")))
        agents = (await on.call("fleet.status", fleet_id=fleet))["agents"]
        for agent in agents:
            await on.rehearsal.held(agent["name"], within=60)
        for agent in agents:
            await _injected(on, agent["agent_id"])

        told = await on.call("fleet.status", fleet_id=fleet)
        assert [agent["status"] for agent in told["agents"]] == ["working", "working"]
        (conflict,) = told["conflicts"]
        assert (conflict["agents"], conflict["paths"]) == (["ann", "bob"], ["README.md"])

        for agent in agents:
            on.rehearsal.release(agent["name"])
        results = await on.wait(fleet)
        outputs = [result["output"] for result in results]
        assert outputs == ["ann heard: What you and bob changed", "bob heard: What you and ann changed"]
        assert (heard(on, "ann"), heard(on, "bob")) == (1, 1)
        assert len(await on.events("clash.found")) == 1
        assert [chat.messages[-1].text.count("> > # Bob") for chat in on.chats("ann")][-1] == 1


async def _injected(on: Stage, agent: str) -> None:
    with anyio.fail_after(40):
        while not await on.events("delivery.injected", agent_id=agent):
            await anyio.sleep(0.1)

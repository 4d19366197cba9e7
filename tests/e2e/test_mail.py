"""The doors of messages on the real thing: a stream that outlives hubs, and an agent that types in its shell."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from e2e.stage import stage, wants_opencode
from muster.surfaces.client import Hub

pytestmark = [pytest.mark.anyio, wants_opencode]
SENDERS, EACH = 6, 30

SENDER = """
import sys, time
from muster import Hub
from muster.errors import NoHub
agent, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
hub = Hub.find()
for number in range(count):
    while True:
        try:
            text = f"{name}-{number}"
            hub.call("message.send", request_id=text, to_agent_id=agent, type="result", payload=text)
            break
        except NoHub:
            time.sleep(0.05)
"""


async def test_stream_tells_each_message_once_while_six_processes_send_and_hubs_die(tmp_path: Path) -> None:
    async with stage(tmp_path, "agents: [{name: busy, steps: [{say: done, hold: busy}]}]") as on:
        fleet = await on.spawn({"role": "busy", "prompt": "Work."})
        await on.until(fleet, busy="working")
        (busy,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
        agent = busy["agent_id"]
        got: list[dict[str, Any]] = []

        def follow() -> None:
            with Hub.find(on.home, environment={}) as hub:
                for message in hub.inbox(agent):
                    got.append(message)
                    if len(got) == SENDERS * EACH:
                        return

        async def sender(name: str) -> None:
            command = [sys.executable, "-c", SENDER, agent, name, str(EACH)]
            process = await asyncio.create_subprocess_exec(*command, env=on.env, cwd=on.folder)
            assert await process.wait() == 0

        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, follow)
                for number in range(SENDERS):
                    tasks.start_soon(sender, f"s{number}")
                for part, kill in ((4, on.kill_hub), (2, on.end_hub)):
                    while len(got) < SENDERS * EACH // part:
                        await anyio.sleep(0.01)
                    await kill()
                    await on.start_hub()

        payloads = [message["payload"] for message in got]
        assert len(set(payloads)) == len(payloads)
        for number in range(SENDERS):
            own = [payload for payload in payloads if payload.startswith(f"s{number}-")]
            assert own == [f"s{number}-{count}" for count in range(EACH)]
        told = (await on.call("inbox.read", agent_id=agent, limit=1000))["messages"]
        assert [message["payload"] for message in told] == payloads


async def test_muster_typed_in_an_agents_shell_is_that_agent_and_what_it_got_there_is_not_told_again(
    tmp_path: Path,
) -> None:
    scenario = """
    agents:
      - name: ada
        match: {text: You are ada}
        steps:
          - {call: {tool: bash, arguments: {command: "muster send bob 'use 8080' --re plan", description: tell}}}
          - {say: "${bash}"}
      - name: bob
        match: {text: You are bob}
        steps:
          - {call: {tool: bash, arguments: {command: "muster inbox --wait 40", description: listen}}}
          - {say: "${bash}"}
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "ada", "prompt": "Tell."}, {"role": "bob", "prompt": "Listen."})
        ada, bob = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        (message,) = (await on.call("message.list", fleet_id=fleet))["messages"]
        assert ada["output"].strip() == f"{message['message_id']}  to bob ({bob['agent_id']})"
        head, quoted = bob["output"].strip().splitlines()
        assert head.startswith(f"{message['message_id']}  handoff from ada  ")
        assert head.endswith("  injected  re plan")
        assert quoted == "  > use 8080"
        assert (message["from_agent_id"], message["by"]) == (ada["agent_id"], f"agent:{ada['agent_id']}")
        await on.journal("delivery.seen", message=message["message_id"])
        assert len(on.chats("bob")) == 2


async def test_long_messages_that_an_agent_asks_for_stand_whole_and_once_in_its_conversation(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: bob
        steps:
          - {call: {tool: bash, arguments: {command: "sleep 4", description: nap}}}
          - {call: {tool: get_inbox, arguments: {}}}
          - {say: "done"}
        then: {say: "later"}
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "bob", "prompt": "Work."})
        with anyio.fail_after(30):
            while not on.running("sleep"):
                await anyio.sleep(0.05)
        (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
        sizes = {"a": 30_000, "b": 60_000, "c": 30_000}
        for letter, size in sizes.items():
            await on.call("message.send", to_agent_id=agent["agent_id"], type="result", payload=letter * size)
        await on.wait(fleet)

        told = (await on.call("inbox.read", agent_id=agent["agent_id"]))["messages"]
        assert [message["state"] for message in told] == ["seen"] * 3
        newest = "\n".join(message.text for message in on.chats()[-1].messages)
        assert {letter: newest.count(letter * size) for letter, size in sizes.items()} == dict.fromkeys(sizes, 1)

"""Who an agent is: its tools are there, its identity is bound to it, and it cannot be another."""

import json
from pathlib import Path

import pytest

from e2e.stage import stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]


def agent(role: str) -> dict[str, str]:
    return {"role": role, "prompt": "Say who you are."}


async def test_an_agent_knows_itself_its_peers_and_its_fleet(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: whoami, arguments: {}}
          - call: {tool: fleet_status, arguments: {fleet_id: "${whoami.fleet_id}"}}
          - say: "${whoami.agent_id} ${whoami.name} ${whoami.peers[0].name} ${fleet_status.fleet.fleet_id}"
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("left"), agent("right"))

        results = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        left, right = (result["agent_id"] for result in results)
        assert [result["output"] for result in results] == [f"{left} left right {fleet}", f"{right} right left {fleet}"]
        preamble = next(m.text for m in on.chats()[0].messages if m.role == "user")
        assert "[muster] You are " in preamble


async def test_a_member_is_offered_its_own_part_of_the_tools_only(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: child
        match: {text: Count to three}
        steps:
          - say: one two three
      - name: all
        steps:
          - call: {tool: task, arguments: {description: count, prompt: Count to three, subagent_type: general}}
          - say: counted
    """
    ours = {"whoami", "fleet_status", "collect_results", "spawn_fleet", "wait_fleet", "cancel_fleet", "list_fleets"}
    async with stage(tmp_path, scenario) as on:
        await on.wait(await on.spawn(agent("counter")))

        (member, *_), (child, *_) = on.chats("all"), on.chats("child")
        assert ours.intersection(member.tools) == {"whoami", "fleet_status", "collect_results"}
        assert ours.intersection(child.tools) == set()


async def test_an_agents_shell_names_the_agent_and_holds_no_secret_of_the_hub(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: bash, arguments: {command: "env | sort", description: "look"}}
          - call: {tool: bash, arguments: {command: "muster whoami --json", description: "ask"}}
          - say: "${bash}"
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("sheller"))
        (result,) = await on.wait(fleet)

        second = on.chats()[1]
        seen = next(m.text for m in reversed(second.messages) if m.role == "tool")
        told = dict(line.partition("=")[::2] for line in seen.splitlines() if "=" in line)
        operator = json.loads((on.home / "hub.json").read_text())["token"]
        assert told["MUSTER_AGENT_ID"] == result["agent_id"]
        assert not told.get("OPENCODE_SERVER_PASSWORD")
        assert operator not in seen
        assert json.loads(result["output"])["agent_id"] == result["agent_id"]

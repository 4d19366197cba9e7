"""No headless agent waits for an answer that nobody will give."""

from pathlib import Path

import pytest

from e2e.stage import stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]


async def test_a_permission_that_nobody_can_grant_is_refused_and_the_agent_goes_on(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: read, arguments: {filePath: /etc/hostname}}
          - say: "I went on without it."
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "reader", "prompt": "Read it."})

        (result,) = await on.wait(fleet, seconds=30)

        assert (result["status"], result["output"]) == ("done", "I went on without it.")
        (refused,) = await on.events("agent.refused", fleet_id=fleet)
        assert (refused["body"]["kind"], refused["body"]["what"]) == ("permission", "external_directory")
        told = [m.text for m in on.chats()[-1].messages if m.role == "tool"]
        assert "nobody is at the keyboard" in told[-1]


async def test_a_question_is_answered_with_the_advice_to_go_on(tmp_path: Path) -> None:
    ask = '{question: "Which colour?", header: colour, options: [{label: red, description: red}]}'
    scenario = f"""
    agents:
      - name: all
        steps:
          - call: {{tool: question, arguments: {{questions: [{ask}]}}}}
          - say: "I chose for myself."
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "asker", "prompt": "Ask."})

        (result,) = await on.wait(fleet, seconds=30)

        assert (result["status"], result["output"]) == ("done", "I chose for myself.")
        (refused,) = await on.events("agent.refused", fleet_id=fleet)
        assert (refused["body"]["kind"], refused["body"]["what"]) == ("question", "Which colour?")


async def test_a_permission_that_a_sub_agent_wants_is_refused_too(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: child
        match: {text: Look outside}
        steps:
          - call: {tool: read, arguments: {filePath: /etc/hostname}}
          - say: "nothing there for me"
      - name: all
        steps:
          - call: {tool: task, arguments: {description: look, prompt: Look outside, subagent_type: general}}
          - say: "My helper went on."
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "parent", "prompt": "Delegate."})

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], result["output"]) == ("done", "My helper went on.")
        assert len(await on.events("agent.refused", fleet_id=fleet)) == 1

"""No loop spends without limit: at a ceiling it pauses, says so, and goes on when it is let."""

from pathlib import Path

import pytest

from e2e.stage import Stage, stage, wants_opencode
from e2e.standing import Standing

pytestmark = [pytest.mark.anyio, wants_opencode]

# Two calls in each step, or OpenCode would ask whether three equal ones in a row are meant.
LOOP = """
agents:
  - name: loop
    match: {text: loop}
    steps: []
    then:
      usage: {input: 90, output: 10}
      calls:
        - {tool: bash, arguments: {command: echo a, description: says a}}
        - {tool: bash, arguments: {command: echo b, description: says b}}
"""
ENDING_LOOP = """
agents:
  - name: all
    steps:
      - &look
        usage: {input: 90, output: 10}
        call: {tool: bash, arguments: {command: echo a, description: says a}}
      - *look
      - *look
    then: {say: "done at last"}
"""


def looping(count: int = 1) -> list[dict[str, object]]:
    return [{"role": f"looper{number}", "prompt": "Please loop."} for number in range(count)]


async def paused(on: Stage, fleet: str) -> dict[str, str]:
    """The fleet's row, once it is no longer running."""
    answer = await on.call("fleet.wait", fleet_id=fleet, timeout_seconds=60)
    assert answer["settled"]
    assert {result["status"] for result in answer["results"]} == {"paused"}
    state = (await on.call("fleet.status", fleet_id=fleet))["fleet"]
    assert state["status"] == "paused"
    return state


@pytest.mark.parametrize(
    ("budget", "steps", "words"),
    [
        ({"max_turns": 4}, 4, "has used its 4 turns"),
        ({"max_tokens": 450}, 5, "has used its 450 tokens"),
    ],
)
async def test_a_loop_stops_at_its_ceiling_within_one_request(
    tmp_path: Path, standing: Standing, budget, steps, words
) -> None:
    async with standing.stage(tmp_path, LOOP) as on:
        fleet = await on.spawn(*looping(), budget=budget)

        state = await paused(on, fleet)

        assert words in state["reason"]
        assert f"muster resume {fleet} --more" in state["reason"]
        assert steps <= len(on.chats()) <= steps + 1
        assert state["budget"]["turns"] == steps


async def test_a_loop_stops_when_its_seconds_are_over(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, LOOP) as on:
        fleet = await on.spawn(*looping(), budget={"max_seconds": 3, "max_turns": 0})

        state = await paused(on, fleet)

        assert "has used its 3 seconds" in state["reason"]
        chats = len(on.chats())
        await on.call("fleet.wait", fleet_id=fleet, timeout_seconds=2, until="any")
        assert len(on.chats()) == chats


async def test_sixteen_agents_under_one_budget_overshoot_by_at_most_one_request_each(tmp_path: Path) -> None:
    async with stage(tmp_path, LOOP) as on:
        fleet = await on.spawn(*looping(16), budget={"max_turns": 40})

        state = await paused(on, fleet)

        assert 40 <= len(on.chats()) <= 40 + 16
        assert state["budget"]["turns"] <= 40 + 16
        events = await on.events("agent.paused", fleet_id=fleet)
        assert len(events) == 16


async def test_a_resumed_agent_goes_on_in_its_session_and_finishes(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, ENDING_LOOP) as on:
        fleet = await on.spawn({"role": "worker", "prompt": "Work."}, budget={"max_turns": 2})
        await paused(on, fleet)
        kept = await on.call("fleet.resume", fleet_id=fleet)
        assert [held["reason"] for held in kept["paused"]] == [(await paused(on, fleet))["reason"]]

        resumed = await on.call("fleet.resume", fleet_id=fleet, more={"turns": 10})

        assert (len(resumed["resumed"]), resumed["paused"]) == (1, [])
        (result,) = await on.wait(fleet)
        assert (result["status"], result["output"]) == ("done", "done at last")
        assert len({chat.session for chat in on.chats()}) == 1
        assert len(on.chats()) == 4


async def test_what_a_sub_agent_spends_counts_for_its_agent(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: below
        match: {text: loop below}
        steps: []
        then:
          usage: {input: 90, output: 10}
          calls:
            - {tool: bash, arguments: {command: echo a, description: says a}}
            - {tool: bash, arguments: {command: echo b, description: says b}}
      - name: above
        match: {text: delegate}
        steps:
          - usage: {input: 90, output: 10}
            call: {tool: task, arguments: {description: a part, prompt: loop below, subagent_type: general}}
        then: {say: "never"}
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn({"role": "boss", "prompt": "Please delegate."}, budget={"max_turns": 6})

        state = await paused(on, fleet)

        assert len(on.chats("below")) >= 4
        assert 6 <= len(on.chats()) <= 7
        assert state["tokens"] >= 600

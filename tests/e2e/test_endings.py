"""What fails is tried again, what hangs ends, and both are told."""

import signal
from pathlib import Path

import anyio
import pytest

from e2e.stage import Stage, stage, wants_opencode
from e2e.standing import Standing

pytestmark = [pytest.mark.anyio, wants_opencode]


def agent(role: str, **more: int) -> dict[str, object]:
    return {"role": role, "prompt": "Do it.", **more}


async def outcomes(on: Stage, fleet: str) -> list[str]:
    return [event["body"]["outcome"] for event in await on.events("run.ended", fleet_id=fleet)]


async def test_a_failed_run_is_tried_again_in_the_same_session_after_one_and_two_seconds(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "at last", status: 400, body: '{"error": {"message": "not now"}}', times: 2}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("patient"))

        (result,) = await on.wait(fleet)

        assert (result["status"], result["output"], result["error"]) == ("done", "at last", None)
        assert await outcomes(on, fleet) == ["failed", "failed", "done"]
        first, second, third = (event["body"]["after_ms"] for event in await on.events("run.queued", fleet_id=fleet))
        assert first == 0
        assert 800 <= second <= 1200
        assert 1600 <= third <= 2400
        assert len({chat.session for chat in on.chats()}) == 1


async def test_an_agent_that_keeps_failing_is_failed_after_the_attempts_it_was_given(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "never", status: 400, body: '{"error": {"message": "not now"}}'}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("hopeless", max_attempts=2))

        (result,) = await on.wait(fleet)

        assert (result["status"], "not now" in result["error"]) == ("failed", True)
        assert await outcomes(on, fleet) == ["failed", "failed"]
        assert (await on.call("fleet.status", fleet_id=fleet))["agents"][0]["runs"] == 2


async def test_a_wrong_key_is_final_at_once(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "never", status: 401, body: '{"error": {"message": "wrong key"}}'}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("locked out"))

        (result,) = await on.wait(fleet)

        assert (result["status"], "wrong key" in result["error"]) == ("failed", True)
        assert await outcomes(on, fleet) == ["failed"]


HANGS = """
agents:
  - name: hangs
    match: {text: You are hangs}
    steps:
      - say: "I begin."
        call: {tool: bash, arguments: {command: "sleep 300", description: "wait", timeout: 600000}}
  - name: all
    steps:
      - say: "quick"
"""


async def test_a_run_over_its_time_is_ended_whole_and_keeps_what_was_said(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, HANGS) as on:
        fleet = await on.spawn(agent("hangs", timeout_ms=10_000), agent("quick"))

        hangs, quick = await on.wait(fleet)

        assert (hangs["status"], hangs["output"], hangs["partial"]) == ("timed_out", "I begin.", True)
        assert "10000 ms" in hangs["error"]
        assert hangs["duration_ms"] < 15_000
        assert (quick["status"], quick["output"]) == ("done", "quick")
        assert (await on.call("fleet.status", fleet_id=fleet))["fleet"]["status"] == "failed"
        assert not on.running("sleep")
        assert await outcomes(on, fleet) == ["done", "timed_out"]  # a timeout is final: no further run


async def test_a_timeout_that_is_set_later_reaches_a_run_at_work(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, HANGS) as on:
        fleet = await on.spawn(agent("hangs"))
        with anyio.fail_after(30):
            while not on.running("sleep"):
                await anyio.sleep(0.05)

        answer = await on.call("fleet.set_timeout", fleet_id=fleet, timeout_ms=1)
        (result,) = await on.wait(fleet, seconds=10)

        assert answer == {"ok": True, "timeout_ms": 1}
        assert (result["status"], result["output"]) == ("timed_out", "I begin.")


async def test_a_run_without_a_sign_of_life_is_timed_out_and_keeps_what_was_said(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "I begin.", call: {tool: bash, arguments: {command: echo a, description: says a}}}
          - {say: "And then I fall silent in the middle of it.", silence: true, after: 22}
    """
    async with stage(tmp_path, scenario, inactivity_ms=8000) as on:
        fleet = await on.spawn(agent("silent"))

        (result,) = await on.wait(fleet)

        said = "And then I fall silent"
        assert (result["status"], result["output"], result["partial"]) == ("timed_out", said, True)
        assert "No sign of life came for 8000 ms" in result["error"]
        assert await outcomes(on, fleet) == ["timed_out"]


async def test_a_busy_command_is_a_sign_of_life(tmp_path: Path) -> None:
    command = "timeout 12 sh -c 'while :; do :; done'; echo through"
    scenario = f"""
    agents:
      - name: all
        steps:
          - {{call: {{tool: bash, arguments: {{command: "{command}", description: works}}}}}}
          - {{say: "done"}}
    """
    async with stage(tmp_path, scenario, inactivity_ms=8000) as on:
        fleet = await on.spawn(agent("busy"))

        (result,) = await on.wait(fleet)

        assert (result["status"], result["output"]) == ("done", "done")


async def test_a_provider_that_wants_to_be_left_alone_for_an_hour_is(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "never", status: 429, retry_after: 3600}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("patient"))
        await on.until(fleet, patient="working")
        await on.until(fleet, patient="queued")

        (waiting,) = (await on.call("fleet.status", fleet_id=fleet, full=True))["agents"]
        again = (await on.events("run.queued", fleet_id=fleet))[-1]
        assert 3_500_000 < again["body"]["after_ms"] <= 3_600_000
        assert (waiting["status"], "429" in waiting["error"] or "rate" in waiting["error"].lower()) == ("queued", True)
        assert waiting["due_at"] is not None
        chats = len(on.chats())

        cancelled = await on.call("fleet.cancel", fleet_id=fleet)

        assert (cancelled["status"], cancelled["settled"]) == ("cancelled", True)
        assert len(on.chats()) == chats


async def test_time_in_which_the_hub_was_stopped_counts_for_no_deadline(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - {say: "after all", hold: gate}
    """
    async with stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("sleeper", timeout_ms=20_000))
        await on.rehearsal.held("gate", 1)
        on.hub.send_signal(signal.SIGSTOP)
        await anyio.sleep(60)  # nothing to wait for: a stopped hub tells nothing
        on.hub.send_signal(signal.SIGCONT)
        with anyio.fail_after(10):
            while not (slept := await on.events("hub.slept")):
                await anyio.sleep(0.1)
        on.rehearsal.release("gate")

        (result,) = await on.wait(fleet)

        assert (result["status"], result["output"]) == ("done", "after all")
        assert slept[0]["body"]["seconds"] > 50

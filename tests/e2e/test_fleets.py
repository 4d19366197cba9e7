"""The main job on the real OpenCode: agents start, work in parallel, and their results are collected."""

import time
from pathlib import Path

import anyio
import pytest

from e2e.stage import stage, wants_opencode
from e2e.standing import Standing
from muster.errors import BadValue, InvalidInput, MusterError, UnknownPersona

pytestmark = [pytest.mark.anyio, wants_opencode]

SAY_DONE = """
agents:
  - name: all
    steps:
      - say: "done"
"""

IN_STEP = """
agents:
  - name: all
    steps:
      - {say: "through", hold: gate}
"""


def agent(role: str, prompt: str = "Do it.", **more: str) -> dict[str, str]:
    return {"role": role, "prompt": prompt, **more}


async def test_four_agents_ask_the_model_at_the_same_time_and_answer_in_order(
    tmp_path: Path, standing: Standing
) -> None:
    async with standing.stage(tmp_path, IN_STEP) as on:
        fleet = await on.spawn(*(agent(role) for role in ("one", "two", "three", "four")))

        await on.rehearsal.held("gate", 4, within=40)  # all four wait for the model together
        on.rehearsal.release("gate")

        results = await on.wait(fleet)
        assert [(result["name"], result["status"], result["output"]) for result in results] == [
            (name, "done", "through") for name in ("one", "two", "three", "four")
        ]


async def test_agents_with_a_process_each_all_start_from_nothing_at_the_same_time(tmp_path: Path) -> None:
    async with stage(tmp_path, IN_STEP, agents_per_server=1) as on:
        fleet = await on.spawn(*(agent(role) for role in ("one", "two", "three")))

        await on.rehearsal.held("gate", 3, within=60)
        assert len(await on.events("server.ready")) == 3
        on.rehearsal.release("gate")

        assert [result["output"] for result in await on.wait(fleet)] == ["through"] * 3


async def test_one_failing_agent_does_not_hurt_the_others(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: bad
        match: {text: You are bad}
        steps:
          - {say: never, status: 400, body: '{"error": {"message": "the model has a cold"}}'}
      - name: good
        steps:
          - say: fine
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("good"), agent("bad"), agent("also good"))

        good, bad, also_good = await on.wait(fleet)

        assert (good["status"], good["output"]) == ("done", "fine")
        assert (also_good["status"], also_good["output"]) == ("done", "fine")
        assert (bad["status"], bad["output"], "the model has a cold" in bad["error"]) == ("failed", None, True)
        assert (await on.call("fleet.status", fleet_id=fleet))["fleet"]["status"] == "failed"


async def test_an_agent_that_leaves_a_background_process_ends_and_takes_it_along(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call:
              tool: bash
              arguments: {command: "nohup sleep 300 >/dev/null 2>&1 & echo started", description: "start"}
          - say: left it running
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("starter"))

        (result,) = await on.wait(fleet)

        assert (result["status"], result["output"]) == ("done", "left it running")
        with anyio.fail_after(5):
            while on.running("sleep"):
                await anyio.sleep(0.05)


async def test_cancel_ends_a_working_fleet_within_five_seconds_and_keeps_what_was_said(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - say: "I begin."
            call: {tool: bash, arguments: {command: "sleep 300", description: "wait", timeout: 600000}}
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("sleeper"), agent("other sleeper"))
        with anyio.fail_after(30):
            while on.running("sleep") < 2:
                await anyio.sleep(0.05)

        began = time.monotonic()
        answer = await on.call("fleet.cancel", fleet_id=fleet, reason="enough")
        took = time.monotonic() - began

        assert answer == {"fleet_id": fleet, "status": "cancelled", "settled": True}
        assert took < 5
        assert not on.running("sleep")
        results = (await on.call("result.collect", fleet_id=fleet))["results"]
        assert [(result["status"], result["output"], result["partial"]) for result in results] == [
            ("cancelled", "I begin.", True)
        ] * 2


async def test_cancelling_one_agent_leaves_the_others_at_work(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, IN_STEP) as on:
        fleet = await on.spawn(agent("stays"), agent("goes"))
        await on.rehearsal.held("gate", 2, within=40)
        goes = (await on.call("fleet.status", fleet_id=fleet))["agents"][1]["agent_id"]

        answer = await on.call("agent.cancel", agent_id=goes)
        on.rehearsal.release("gate")

        assert answer == {"agent_id": goes, "status": "cancelled", "settled": True}
        assert [result["status"] for result in await on.wait(fleet)] == ["done", "cancelled"]


async def test_an_attached_agent_makes_a_quiet_fleet_run_again(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        fleet = await on.spawn(agent("first"))
        await on.wait(fleet)

        attached = await on.call("agent.attach", fleet_id=fleet, role="second", prompt="Go.")
        results = await on.wait(fleet)

        assert attached["fleet_id"] == fleet
        assert [(result["name"], result["status"]) for result in results] == [("first", "done"), ("second", "done")]


PROMPTS = {
    "a flag": "--version",
    "quotes": """say "it's" `now` $HOME \\ and 'then' ; rm -rf / #""",
    "lines": "first\n\nthird\r\n\ttabbed\n",
    "emoji": "👩‍🚀 naïve 日本語 \u202eabc",
    "a mebibyte": "x" * (1024 * 1024 - 3) + "end",
}


async def test_every_prompt_reaches_the_model_word_for_word(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        fleet = await on.spawn(*(agent(role, prompt) for role, prompt in PROMPTS.items()))

        assert {result["status"] for result in await on.wait(fleet)} == {"done"}

        seen = ["".join(m.text for m in request.messages if m.role == "user") for request in on.chats()]
        for prompt in PROMPTS.values():
            assert sum(prompt in text for text in seen) == 1


async def test_no_more_agents_work_at_once_than_the_ceiling_says(tmp_path: Path) -> None:
    async with stage(tmp_path, SAY_DONE, max_agents=2, mesh_worktree="never") as on:
        fleet = await on.spawn(*(agent(f"agent {number}") for number in range(6)))
        await on.wait(fleet)

        live, most, order = 0, 0, []
        for event in await on.events("run.admitted", "run.ended", fleet_id=fleet):
            live += 1 if event["name"] == "run.admitted" else -1
            most = max(most, live)
            if event["name"] == "run.admitted":
                order.append(event["agent"])
        spawned = [row["agent_id"] for row in (await on.call("fleet.status", fleet_id=fleet))["agents"]]
        assert (most, order) == (2, spawned)


async def test_a_persona_of_the_project_and_a_model_are_used_as_asked(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        folder = on.project / ".opencode" / "agent"
        folder.mkdir(parents=True)
        (folder / "poet.md").write_text("---\ndescription: Writes verse\nmode: primary\n---\nAnswer only in verse.\n")
        listed = (await on.call("persona.list", project=str(on.project), query="verse"))["agents"]

        fleet = await on.spawn(agent("bard", agent="poet", model="rehearsal/model"))
        await on.wait(fleet)

        assert [persona["name"] for persona in listed] == ["poet"]
        assert any(m.role == "system" and "Answer only in verse." in m.text for m in on.chats()[0].messages)


async def test_an_unknown_model_fails_its_agent_with_the_hosts_own_words(tmp_path: Path, standing: Standing) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        fleet = await on.spawn(agent("lost", model="rehearsal/no-such-model"), agent("found"))

        lost, found = await on.wait(fleet)

        assert (lost["status"], found["status"]) == ("failed", "done")
        assert "no-such-model" in lost["error"]


REFUSED = [
    (UnknownPersona, {"agents": [{"role": "a", "prompt": "b", "agent": "biuld"}]}),
    (BadValue, {"agents": [{"role": "a", "prompt": "b", "model": "no-slash"}]}),
    (InvalidInput, {"agents": []}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": ""}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": 5}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b\0"}]}),
    (InvalidInput, {"agents": [{"role": "a"}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b", "timeout_ms": 0}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b", "max_attempts": 0}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b", "worktree": "own"}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b", "plan_approval": True}]}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b"}], "budget": {"max_cost_usd": 5}}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b"}] * 201}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b", "name": "lead"}]}),
    (InvalidInput, {"agents": "a"}),
    (InvalidInput, {"agents": [{"role": "a", "prompt": "b"}], "project": "/no/such/folder"}),
]


async def test_whatever_cannot_be_done_is_refused_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    async with stage(tmp_path, SAY_DONE) as on:
        for error, request in REFUSED:
            with pytest.raises(error) as refused:
                await on.call("fleet.spawn", **({"project": str(on.project)} | request))
            assert isinstance(refused.value, MusterError)
            assert refused.value.next_step

        assert await on.events() == []
        assert (await on.call("fleet.list"))["fleets"] == []
        assert on.rehearsal.requests == ()


async def test_without_opencode_the_fleet_fails_and_says_what_to_install(tmp_path: Path) -> None:
    async with stage(tmp_path, SAY_DONE, serve=False) as on:
        on.env["PATH"] = "/usr/bin:/bin"
        await on.start_hub()

        (result,) = await on.wait(await on.spawn(agent("nobody")))

        assert result["status"] == "failed"
        assert "opencode" in result["error"]

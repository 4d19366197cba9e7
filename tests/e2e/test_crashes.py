"""What is killed is taken up again: a restart is only the first pass of the reconcilers."""

import json
import os
import time
from pathlib import Path

import anyio
import psutil
import pytest

from e2e.stage import Stage, stage, wants_opencode
from muster.rehearsal import Rehearsal, opencode_config, parse_scenario

pytestmark = [pytest.mark.anyio, wants_opencode]

HELD = """
agents:
  - name: all
    steps:
      - {say: "looked", call: {tool: bash, arguments: {command: "echo seen", description: "look"}}}
      - {say: "answered", hold: gate}
"""


def agent(role: str) -> dict[str, str]:
    return {"role": role, "prompt": "Look, then answer."}


async def held_fleet(on: Stage) -> str:
    fleet = await on.spawn(agent("one"), agent("two"))
    await on.rehearsal.held("gate", 2, within=40)
    return fleet


def servers(on: Stage) -> list[psutil.Process]:
    return [process for process in on.processes() if _serves(process)]


def _serves(process: psutil.Process) -> bool:
    """A child that was forked and has not become its program yet looks like its parent, but leads no session."""
    try:
        return "serve" in process.cmdline() and os.getsid(process.pid) == process.pid
    except (psutil.Error, ProcessLookupError):
        return False  # it ended while it was looked at


async def test_a_killed_hub_adopts_what_still_runs_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)
        (server,) = servers(on)

        await on.kill_hub()
        await on.start_hub()
        on.rehearsal.release("gate")
        results = await on.wait(fleet)

        assert [result["output"] for result in results] == ["answered", "answered"]
        assert servers(on) == [server]
        assert len(on.chats()) == 4  # two steps for each agent


async def test_agents_that_finish_while_the_hub_is_away_are_collected_when_it_is_back(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)

        await on.kill_hub()
        on.rehearsal.release("gate")
        await on.rehearsal.until(
            lambda request: request.step == 1 and request.outcome == "answered", count=2, within=20
        )
        await on.start_hub()
        results = await on.wait(fleet)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 2
        assert len(on.chats()) == 4


async def test_a_killed_host_server_is_replaced_and_its_sessions_go_on(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)

        servers(on)[0].kill()
        await on.rehearsal.until(lambda request: request.step == 1, count=3, within=40)  # one asks again, alone
        on.rehearsal.release("gate")
        results = await on.wait(fleet)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 2
        ended = await on.events("run.ended", fleet_id=fleet)
        assert sorted(event["body"]["outcome"] for event in ended) == ["done", "done", "interrupted", "interrupted"]
        assert len([chat for chat in on.chats() if chat.step == 0]) == 2  # the first step was not asked for again


async def test_stopping_the_hub_ends_every_process_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)

        began = time.monotonic()
        await on.end_hub()
        took = time.monotonic() - began
        left = on.processes()
        await on.start_hub()
        on.rehearsal.release("gate")
        results = await on.wait(fleet)

        assert (left, took < 3) == ([], True)
        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 2


# A neighbour whose answer was half written when the server died is asked for what follows: the same word.
KILLER = (
    HELD.replace(
        "agents:",
        """
agents:
  - name: killer
    match: {text: You are killer}
    steps: []
    then: {call: {tool: bash, arguments: {command: "kill -9 $PPID", description: "end my host server"}}}
""",
    )
    + '    then: {say: "answered"}\n'
)


async def test_an_agent_that_kills_its_host_server_is_quarantined_and_its_neighbours_lose_nothing(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, KILLER) as on:
        on.rehearsal.release("gate")
        fleet = await on.spawn(agent("one"), agent("killer"), agent("two"))
        one, killer, two = await on.wait(fleet, seconds=100)  # five starts of OpenCode

        assert [(result["status"], result["output"]) for result in (one, two)] == [("done", "answered")] * 2
        assert (killer["status"], killer["error"].startswith("Quarantined")) == ("failed", True)
        ended = await on.events("run.ended", fleet_id=fleet)
        lost = [event["agent"] for event in ended if event["body"]["outcome"] == "failed"]
        assert lost == [killer["agent_id"]]


async def test_a_swollen_host_server_is_drained_and_replaced(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)
        (swollen,) = servers(on)
        await on.kill_hub()
        await on.start_hub(server_memory_mib=int(swollen.memory_info().rss / 2**20 * 0.8))

        with anyio.fail_after(20):
            while not await on.events("server.drained"):
                await anyio.sleep(0.1)
        (row,) = (await on.call("hub.status"))["servers"]
        late = await on.spawn(agent("late"))
        await on.rehearsal.held("gate", 3, within=40)
        beside = len(servers(on))
        on.rehearsal.release("gate")
        results = await on.wait(fleet) + await on.wait(late)
        with anyio.fail_after(20):
            while swollen in on.processes():
                await anyio.sleep(0.1)

        assert (row["pid"], row["swollen_mib"] > 0, beside) == (swollen.pid, True, 2)
        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 3
        assert len(on.chats()) == 6


async def test_a_host_server_that_hangs_is_replaced_and_its_agents_go_on(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)
        (stuck,) = servers(on)

        stuck.suspend()
        on.rehearsal.release("gate")
        results = await on.wait(fleet)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 2
        (stopped,) = await on.events("server.stopped")
        assert (stopped["body"]["why"], stopped["body"]["detail"]) == ("lost", "it did not answer for 10 s")
        assert stuck not in on.processes()


async def test_agents_outlast_a_model_server_that_is_gone_for_a_while(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD, serve=False) as on:
        async with Rehearsal.serve(parse_scenario(HELD)) as model:
            on.env["OPENCODE_CONFIG_CONTENT"] = json.dumps(opencode_config(model.url))
            await on.start_hub()
            fleet = await on.spawn(agent("one"), agent("two"))
            await model.held("gate", 2, within=40)
            port = int(model.url.rpartition(":")[2])
        late = await on.spawn(agent("late"))
        await on.until(late, late="working")

        async with Rehearsal.serve(parse_scenario(HELD), port=port) as model:
            model.release("gate")
            results = await on.wait(fleet) + await on.wait(late)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 3
        ended = [event for whose in (fleet, late) for event in await on.events("run.ended", fleet_id=whose)]
        assert {event["body"]["outcome"] for event in ended} == {"done"}

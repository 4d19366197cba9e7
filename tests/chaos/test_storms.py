"""Minutes of bad weather: what is killed and stopped at moments that nobody chose."""

import random
import signal
from collections import Counter
from pathlib import Path

import anyio
import pytest

from e2e.stage import Stage, stage, wants_opencode
from e2e.test_crashes import HELD, held_fleet, servers
from e2e.test_kill_points import CASES, GOOD, SCENARIO, WORKER, working

pytestmark = [pytest.mark.anyio, wants_opencode, pytest.mark.timeout(300)]

AGENTS = 6
HUB_DEATHS = 12
LOOK = '{say: "", delay_seconds: 0.7, call: {tool: bash, arguments: {command: "echo seen", description: "look"}}}'
STEPS = "\n".join([f"      - {LOOK}"] * 12)
LONG = f"""
agents:
  - name: all
    steps:
{STEPS}
      - {{say: "answered"}}
"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_fleet_ends_with_all_outputs_however_often_the_hub_dies_and_nothing_is_paid_twice(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with stage(tmp_path, LONG) as on:
        fleet = await on.spawn(*[{"role": f"worker {number}", "prompt": "Look."} for number in range(AGENTS)])
        for _ in range(HUB_DEATHS):
            await anyio.sleep(chance.uniform(0, 2))  # the moment is what is tried
            await on.kill_hub()
            await on.start_hub()
        results = await on.wait(fleet, seconds=120)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * AGENTS
        asked = Counter((chat.session, chat.step) for chat in on.chats())
        assert set(asked.values()) == {1}
        assert len(asked) == AGENTS * 13


@pytest.mark.parametrize("point", [point for point, (case, _) in CASES.items() if case is working])
async def test_fleet_ends_with_all_outputs_when_its_host_server_dies_with_the_hub(tmp_path: Path, point: str) -> None:
    async with stage(tmp_path, SCENARIO, serve=False) as on:
        await on.start_hub(dies_at=point)
        fleet = await on.spawn(WORKER, {**WORKER, "role": "unlucky"})
        await on.hub_died()
        for server in servers(on):
            server.kill()
        await on.start_hub()

        results = await on.wait(fleet)

        assert [(result["status"], result["output"]) for result in results] == GOOD


async def test_hub_that_stood_still_for_a_minute_goes_on_with_the_servers_that_it_had(tmp_path: Path) -> None:
    async with stage(tmp_path, HELD) as on:
        fleet = await held_fleet(on)
        before = servers(on)

        await frozen(on, seconds=60)
        on.rehearsal.release("gate")
        results = await on.wait(fleet)

        assert [(result["status"], result["output"]) for result in results] == [("done", "answered")] * 2
        assert servers(on) == before
        assert len(on.chats()) == 4
        assert await on.events("server.stopped") == []


async def frozen(on: Stage, seconds: float) -> None:
    on.hub.send_signal(signal.SIGSTOP)
    await anyio.sleep(seconds)
    on.hub.send_signal(signal.SIGCONT)

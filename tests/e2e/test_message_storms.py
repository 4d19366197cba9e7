"""Many processes send at once, and the hub is killed under them: what it answered is there. Meshfleet's M29 and M30."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from e2e.stage import MUSTER, Stage, stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]

PROCESSES = 6
SENDS = 300
KILLS = 5
BUSY = """
agents:
  - name: busy
    steps:
      - {say: "done", hold: gate}
"""


async def busy(on: Stage) -> str:
    """An agent to whom what is not urgent waits."""
    fleet = await on.spawn({"role": "busy", "prompt": "Be busy."})
    await on.rehearsal.held("gate", 1, within=40)
    (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
    return str(agent["agent_id"])


def senders(on: Stage, agent: str) -> list[subprocess.Popen[str]]:
    program = [sys.executable, "-m", "e2e.sender", str(on.home), agent]
    env = on.env | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return [
        subprocess.Popen([*program, f"p{number}", str(SENDS)], env=env, stdout=subprocess.PIPE, text=True)
        for number in range(PROCESSES)
    ]


async def accepted(running: list[subprocess.Popen[str]]) -> set[str]:
    """What they were told is accepted, once they are through."""
    told: set[str] = set()
    with anyio.fail_after(100):
        for sender in running:
            said, _ = await anyio.to_thread.run_sync(sender.communicate, abandon_on_cancel=True)
            assert sender.returncode == 0
            told |= set(said.split())
    return told


async def inbox(on: Stage, agent: str) -> Counter[str]:
    found: Counter[str] = Counter()
    cursor, remaining = 0, 1
    while remaining:
        page = await on.call("inbox.read", agent_id=agent, since=cursor, limit=1000)
        found.update(message["payload"] for message in page["messages"])
        cursor, remaining = page["cursor"], page["remaining"]
    return found


# M29
async def test_six_processes_that_send_at_once_lose_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, BUSY) as on:
        agent = await busy(on)
        told = await accepted(senders(on, agent))

        assert len(told) == PROCESSES * SENDS
        assert await inbox(on, agent) == Counter(told)


# M30
async def test_whatever_was_answered_is_there_when_the_hub_is_killed_in_a_storm_of_sends(tmp_path: Path) -> None:
    chance = random.Random(30)
    async with stage(tmp_path, BUSY) as on:
        agent = await busy(on)
        running = senders(on, agent)
        for _ in range(KILLS):
            await anyio.sleep(chance.uniform(0.1, 0.6))  # the moment is what is tried
            await on.kill_hub()
            await on.start_hub()
        told = await accepted(running)
        found = await inbox(on, agent)

        assert told
        assert told <= set(found)
        assert set(found.values()) == {1}
        verified = await anyio.run_process([*MUSTER, "verify"], env=on.env, cwd=on.project, check=False)
        assert verified.returncode == 0, verified.stdout

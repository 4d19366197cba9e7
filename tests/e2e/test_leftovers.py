"""What a crash leaves behind is ended at the next start, and nobody else's."""

import subprocess
from pathlib import Path

import anyio
import psutil
import pytest

from e2e.stage import Stage, stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]

SLEEPS = """
agents:
  - name: all
    steps:
      - {call: {tool: bash, arguments: {command: "sleep 300", description: "wait", timeout: 600000}}}
      - {say: "woken"}
"""


def sleeper(on: Stage, **marks: str) -> psutil.Popen:
    return psutil.Popen(["sleep", "300"], env=on.env | marks, stdin=subprocess.DEVNULL)


async def test_a_start_ends_what_no_row_knows_in_its_state_folder_and_nothing_elsewhere(tmp_path: Path) -> None:
    async with stage(tmp_path, SLEEPS, serve=False) as on:
        own = {"MUSTER_STATE": str(on.home)}
        forgotten = sleeper(on, MUSTER_SERVER="srv_forgotten", **own)
        over = sleeper(on, MUSTER_RUN="run_over", **own)
        foreign = sleeper(on, MUSTER_SERVER="srv_forgotten", MUSTER_RUN="run_over", MUSTER_STATE=str(tmp_path / "copy"))
        await on.start_hub()
        with anyio.fail_after(20):
            await anyio.to_thread.run_sync(forgotten.wait)
            await anyio.to_thread.run_sync(over.wait)

        assert foreign.is_running()
        foreign.kill()
        foreign.wait()


async def test_what_an_agent_started_does_not_outlive_a_crash_of_hub_and_host_server(tmp_path: Path) -> None:
    async with stage(tmp_path, SLEEPS) as on:
        fleet = await on.spawn({"role": "sleeper", "prompt": "Wait."})
        with anyio.fail_after(40):
            while not (shells := [process for process in on.processes() if process.name() == "sleep"]):
                await anyio.sleep(0.05)

        await on.kill_hub()
        for process in on.processes():
            if process not in shells and "serve" in process.cmdline():
                process.kill()
        await on.start_hub()
        (result,) = await on.wait(fleet)
        temporary = list((on.home / "servers").glob("*/tmp/*"))
        await on.end_hub()
        await on.start_hub()
        with anyio.fail_after(20):
            while list((on.home / "servers").glob("*/tmp")):
                await anyio.sleep(0.05)

        assert (result["status"], result["output"]) == ("done", "woken")
        assert not [process for process in shells if process.is_running()]
        assert temporary

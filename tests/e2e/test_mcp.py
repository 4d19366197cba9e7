"""The first use as the README says it: OpenCode with the MCP server configured, and a model that calls the tools."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import psutil
import pytest

from e2e.stage import MUSTER, OPENCODE, Stage, stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]

THREE_WORKERS = """
agents:
  - name: worker
    match: {regex: 'You are (one|two|three)\\b'}
    steps:
      - say: "report of ${user ~ You are (\\\\w+)}"
  - name: lead
    steps:
      - say: "I spawn them."
        call:
          tool: spawn_fleet
          arguments:
            agents:
              - {role: one, prompt: Look at the code.}
              - {role: two, prompt: Look at the tests.}
              - {role: three, prompt: Look at the docs.}
      - call: {tool: wait_fleet, arguments: {fleet_id: "${spawn_fleet.fleet_id}"}}
      - say: "${wait_fleet.results[0].output} / ${wait_fleet.results[1].output} / ${wait_fleet.results[2].output}"
"""


@contextmanager
def whatever_hub_was_started(on: Stage) -> Iterator[None]:
    """The door starts a hub by itself; it is ended here by the pid that it announced."""
    try:
        yield
    finally:
        announced = on.home / "hub.json"
        if announced.exists():
            hub = psutil.Process(json.loads(announced.read_text())["pid"])
            hub.send_signal(signal.SIGTERM)
            hub.wait(10)


def run_opencode(on: Stage, prompt: str) -> str:
    """`opencode run` in the project, as a person would type it."""
    done = subprocess.run(
        [OPENCODE or "", "run", prompt],
        cwd=on.project,
        env=on.env | {"PWD": str(on.project)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_model_in_opencode_spawns_a_fleet_waits_and_holds_three_outputs_in_order(tmp_path: Path) -> None:
    async with stage(tmp_path, THREE_WORKERS, serve=False) as on:
        config = {"mcp": {"muster": {"type": "local", "command": [*MUSTER, "mcp"]}}}
        (on.project / "opencode.json").write_text(json.dumps(config))
        with whatever_hub_was_started(on):
            answer = await anyio.to_thread.run_sync(run_opencode, on, "Map this repository with three agents.")

            assert on.rehearsal.failures == ()
            assert "report of one / report of two / report of three" in answer
            (fleet,) = (await on.call("fleet.list"))["fleets"]
            assert fleet["project"] == os.path.realpath(on.project)
            offered = on.chats("lead")[0].tools
            assert {"muster_spawn_fleet", "muster_wait_fleet", "muster_collect_results"} <= set(offered)

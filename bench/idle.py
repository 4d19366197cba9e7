"""A hub that nobody asks anything, with a long past."""

import tempfile
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from bench.calls import HELD
from e2e.stage import Stage, stage
from muster.surfaces.client import Hub as Caller

FLEETS = 1000
SECONDS = 30.0
MEBIBYTE = 1024 * 1024


async def table() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), HELD, max_agents=1, server_idle_seconds=1, hub_idle_minutes=0) as on:
            await _live_through(on)
            hub = psutil.Process(on.hub.pid)
            before = hub.cpu_times()
            await anyio.sleep(SECONDS)
            after = hub.cpu_times()
            memory = hub.memory_full_info()
    busy = after.user + after.system - before.user - before.system
    return "\n".join(
        [
            f"| hub, idle, {FLEETS:,} ended fleets | measured | wanted |",
            "|---|---|---|",
            f"| CPU, over {SECONDS:.0f} s | {busy / SECONDS:.2%} | < 0.5 % |",
            f"| memory (PSS; private) | {memory.pss / MEBIBYTE:.0f} MiB; {memory.uss / MEBIBYTE:.0f} MiB | ≤ 150 MB |",
        ]
    )


async def _live_through(on: Stage) -> None:
    """Fleets that are cancelled while they wait for the one place that there is; then until no host server is left."""
    sitter = await on.spawn({"role": "sitter", "prompt": "Wait."})
    await on.rehearsal.held("gate", within=60)

    def spawn_and_cancel() -> None:
        with Caller.find(on.home, environment={}) as caller:
            for _ in range(FLEETS):
                agents = [{"role": "passer-by", "prompt": "Look around."}]
                fleet = caller.call("fleet.spawn", agents=agents, project=str(on.project))["fleet_id"]
                caller.call("fleet.cancel", fleet_id=fleet)

    await anyio.to_thread.run_sync(spawn_and_cancel)
    await on.call("fleet.cancel", fleet_id=sitter)
    with anyio.fail_after(60):
        while (await on.call("hub.status"))["servers"]:
            await anyio.sleep(0.5)

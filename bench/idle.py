"""A hub that nobody asks anything, with a long past."""

import tempfile
from pathlib import Path

import anyio
import psutil

from bench.calls import HELD
from e2e.stage import Stage, stage

FLEETS = 1000
SECONDS = 30.0
MEBIBYTE = 1024 * 1024


async def table() -> str:
    with tempfile.TemporaryDirectory() as folder:
        async with stage(Path(folder), HELD, server_idle_seconds=1, hub_idle_minutes=0) as on:
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
    """Fleets of one agent, each cancelled; then until every host server has ended."""
    for _ in range(FLEETS):
        fleet = await on.spawn({"role": "passer-by", "prompt": "Look around."})
        await on.call("fleet.cancel", fleet_id=fleet)
    with anyio.fail_after(60):
        while (await on.call("hub.status"))["servers"]:
            await anyio.sleep(0.5)

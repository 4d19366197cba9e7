"""Reconcilers that look often, and a hub whose agents a cast plays."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.reconcilers import asks, decisions, deliveries, hosts, queue
from unit.reconcilers.cast import Cast
from unit.stage import Clock, Stage, hub


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what is done, not how long it takes."""
    for module in (asks, decisions, deliveries):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(hosts, "TEND_SECONDS", 0.05)
    monkeypatch.setattr(queue, "RESYNC_SECONDS", 0.2)
    monkeypatch.setattr(queue, "FIRST_BACKOFF", 0.01)


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock, cast: Cast) -> AsyncIterator[Stage]:
    async with ScriptedHost(cast.play) as host, hub(tmp_path, host, clock) as stage:
        yield stage

"""A clock and a hub for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muster import engine
from muster.hosts.scripted import ScriptedHost
from unit.stage import Clock, Stage, hub


@pytest.fixture(autouse=True)
def _patient_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine is not what these tests are about."""
    monkeypatch.setattr(engine, "READ_SECONDS", 20)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock) -> AsyncIterator[Stage]:
    """A hub whose reconcilers rest."""
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock) as stage:
        yield stage

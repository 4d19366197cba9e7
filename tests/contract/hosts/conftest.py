"""One stage and one server for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.hosts.stages import Served, Stage, opencode_stage, scripted_stage, serving


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


@pytest.fixture(params=["scripted", "opencode"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    opened = scripted_stage() if request.param == "scripted" else opencode_stage(tmp_path / "home")
    async with opened as stage:
        yield stage


@pytest.fixture
async def served(stage: Stage, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(stage, tmp_path / "server") as served:
        yield served

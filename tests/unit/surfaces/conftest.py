"""A served hub, and the operator at its door."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from unit.stage import Stage
from unit.surfaces.doors import caller, web


@pytest.fixture
async def url(stage: Stage) -> AsyncIterator[str]:
    async with web(stage) as url:
        yield url


@pytest.fixture
async def operator(url: str, stage: Stage) -> AsyncIterator[httpx2.AsyncClient]:
    async with caller(url, stage.keyring.operator()) as client:
        yield client

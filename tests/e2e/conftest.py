"""A hub that tests share; it ends with the last of them."""

from collections.abc import AsyncIterator

import pytest

from e2e.standing import Standing
from muster.rehearsal import Rehearsal, parse_scenario

SILENCE = "agents: [{name: nobody, match: {text: nothing}, steps: []}]"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def standing(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Standing]:
    async with Rehearsal.serve(parse_scenario(SILENCE)) as rehearsal:
        standing = Standing(rehearsal, lambda: tmp_path_factory.mktemp("standing"))
        try:
            yield standing
        finally:
            await standing.end()
